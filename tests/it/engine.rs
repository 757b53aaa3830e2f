//! The engine against collectors that misbehave, scrapers that leave, and time.

mod bench;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt;
use jiff::Timestamp;
use tidewatch::facts::State;
use tokio::time::{Instant, sleep};

use crate::support::eventually;
use bench::{Bench, errs, everything, logged, own, seconds, settle, success, text, value, works};

const PATIENT: Duration = Duration::from_mins(1);

#[tokio::test(start_paused = true)]
async fn a_collector_that_fails_costs_its_own_series_only() {
    let mut bench = Bench::new();
    bench.add("good", works);
    bench.add("erring", errs);
    bench.add("panicking", || async { panic!("a defect") });
    bench.add("hanging", std::future::pending);
    let text = everything(&bench.engine(), PATIENT).await;

    for (name, expected) in [("good", true), ("erring", false), ("panicking", false), ("hanging", false)] {
        assert_eq!(success(&text, name), expected, "{text}");
        // What it had pushed before it failed is gone as well.
        let series = format!("fake_value{{collector=\"{name}\"}}");
        assert_eq!(value(&text, &series).is_some(), expected, "{series} in\n{text}");
    }
    assert_eq!(seconds(&text, "hanging"), 9);
    assert_eq!(seconds(&text, "good"), 0);
}

/// What a panic says, and it panics again when it is let go.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("a defect in a defect");
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_whose_task_panics_is_not_joined_again() {
    let mut bench = Bench::new();
    let first = AtomicBool::new(true);
    bench.add("armed", move || {
        let armed = first.swap(false, Ordering::SeqCst);
        async move { if armed { std::panic::panic_any(Bomb) } else { works().await } }
    });
    let engine = bench.engine();
    assert!(!success(&everything(&engine, PATIENT).await, "armed"));
    assert!(success(&everything(&engine, PATIENT).await, "armed"));
}

#[tokio::test(start_paused = true)]
async fn collectors_run_in_parallel() {
    let mut bench = Bench::new();
    for name in ["first", "second", "third"] {
        bench.add(name, || sleep(Duration::from_secs(2)).then(|()| works()));
    }
    let start = Instant::now();
    let text = everything(&bench.engine(), PATIENT).await;
    assert_eq!(start.elapsed().as_secs(), 2);
    assert_eq!(seconds(&text, "third"), 2);
}

#[tokio::test(start_paused = true)]
async fn scrapers_share_one_run_each_with_its_own_patience() {
    let mut bench = Bench::new();
    let runs = bench.add("slow", || sleep(Duration::from_secs(3)).then(|()| works()));
    let engine = bench.engine();
    let later = async {
        sleep(Duration::from_secs(2)).await;
        let start = Instant::now();
        (everything(&engine, PATIENT).await, start.elapsed())
    };
    let (hasty, patient, (late, waited)) =
        tokio::join!(everything(&engine, Duration::from_secs(1)), everything(&engine, PATIENT), later);

    assert_eq!(runs.load(Ordering::SeqCst), 1);
    assert_eq!((success(&hasty, "slow"), seconds(&hasty, "slow")), (false, 1));
    assert_eq!(value(&hasty, "fake_value{collector=\"slow\"}"), None);
    assert_eq!((success(&patient, "slow"), success(&late, "slow")), (true, true));
    assert_eq!((waited.as_secs(), seconds(&late, "slow")), (1, 3));

    everything(&engine, PATIENT).await;
    assert_eq!(runs.load(Ordering::SeqCst), 2, "a scrape after it collects anew");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_cancels_nothing() {
    let mut bench = Bench::new();
    let ended = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&ended);
    let runs = bench.add("slow", move || {
        let count = Arc::clone(&count);
        sleep(Duration::from_secs(3)).then(move |()| {
            count.fetch_add(1, Ordering::SeqCst);
            works()
        })
    });
    let engine = bench.engine();
    let leaves = tokio::time::timeout(Duration::from_secs(1), everything(&engine, PATIENT));
    assert!(leaves.await.is_err());
    let text = everything(&engine, PATIENT).await;
    assert!(success(&text, "slow"));
    assert_eq!((runs.load(Ordering::SeqCst), ended.load(Ordering::SeqCst)), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_scrapers_at_once_never_run_a_collector_twice_at_a_time() {
    let mut bench = Bench::new();
    let (running, overlaps) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (now, seen) = (Arc::clone(&running), Arc::clone(&overlaps));
    let runs = bench.add("busy", move || {
        let (now, seen) = (Arc::clone(&now), Arc::clone(&seen));
        async move {
            seen.fetch_add(now.fetch_add(1, Ordering::SeqCst), Ordering::SeqCst);
            tokio::task::yield_now().await;
            now.fetch_sub(1, Ordering::SeqCst);
            Ok(State::Ok)
        }
    });
    let engine = bench.engine();
    let scrapers = (0..32).map(|_| {
        let engine = engine.clone();
        bench.tasks.spawn("scraper", async move {
            for _ in 0..50 {
                assert!(success(&everything(&engine, PATIENT).await, "busy"));
            }
        })
    });
    for scraper in scrapers.collect::<Vec<_>>() {
        scraper.await.unwrap();
    }
    assert_eq!(overlaps.load(Ordering::SeqCst), 0);
    assert!((50..=32 * 50).contains(&runs.load(Ordering::SeqCst)), "{runs:?}");
}

#[tokio::test(start_paused = true)]
async fn a_run_that_was_cut_off_is_followed_by_a_new_one() {
    let mut bench = Bench::new();
    let runs = bench.add("hanging", std::future::pending);
    let engine = bench.engine();
    for expected in 1..=2 {
        let start = Instant::now();
        assert!(!success(&everything(&engine, PATIENT).await, "hanging"));
        assert_eq!((runs.load(Ordering::SeqCst), start.elapsed().as_secs()), (expected, 9));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_that_blocks_a_worker_delays_no_other() {
    let mut bench = Bench::new();
    let (release, blocked) = std::sync::mpsc::channel::<()>();
    let blocked = Arc::new(Mutex::new(blocked));
    bench.add("blocking", move || {
        let blocked = Arc::clone(&blocked);
        async move {
            // Blocks the worker until the test has seen what it wants; a closed channel ends it too.
            let closed = blocked.lock().unwrap().recv().is_err();
            Ok(if closed { State::Ok } else { State::Warning })
        }
    });
    bench.add("good", works);
    let engine = bench.engine();
    let text = everything(&engine, Duration::from_millis(10)).await;
    assert!(!success(&text, "blocking"));
    let good = engine.everything().bound(&["good".to_owned()]);
    let text = self::text(&engine.scrape(&good, PATIENT).await);
    assert!(success(&text, "good"));

    drop(release);
    let done = async || engine.last().services().any(|service| service.service == "blocking").then_some(());
    eventually("the blocked run ends", PATIENT, done).await;
}

#[tokio::test(start_paused = true)]
async fn with_no_scraper_the_engine_runs_by_itself() {
    let mut bench = Bench::new();
    let runs = bench.add("agents", works);
    let idle = Duration::from_secs(30);
    let engine = bench.engine();
    assert!(engine.last().collectors.is_empty());
    engine.keep_fresh(idle);
    let runs_after = async |seconds: u64| {
        bench.clock.advance(Duration::from_secs(seconds));
        settle().await;
        runs.load(Ordering::SeqCst)
    };

    assert_eq!(runs_after(0).await, 1, "at the start there is a state at once");
    assert_eq!(engine.last().collectors[0].at, Timestamp::UNIX_EPOCH);
    assert_eq!(runs_after(29).await, 1);
    assert_eq!(runs_after(1).await, 2);
    assert_eq!(engine.last().collectors[0].at.as_second(), 30);

    // A scrape's run refreshes it too.
    assert_eq!(runs_after(20).await, 2);
    everything(&engine, PATIENT).await;
    assert_eq!(runs_after(20).await, 3);
    assert_eq!(engine.last().collectors[0].at.as_second(), 50);
    assert_eq!(runs_after(10).await, 4);

    // After a reload nobody holds the old engine.
    drop(engine);
    assert_eq!(runs_after(31).await, 4);
    assert_eq!(bench.tasks.drain(Duration::from_secs(1)).await, 0);
}

#[tokio::test(start_paused = true)]
async fn the_state_keeps_since_when_it_has_been_so() {
    let mut bench = Bench::new();
    let now = Arc::new(Mutex::new(Some(State::Ok)));
    let told = Arc::clone(&now);
    bench.add("redis", move || {
        let told = *told.lock().unwrap();
        async move { told.map_or(errs().await, Ok) }
    });
    let engine = bench.engine();
    let mut seen = Vec::new();
    for state in [Some(State::Ok), Some(State::Ok), Some(State::Critical), None, None, Some(State::Ok)] {
        *now.lock().unwrap() = state;
        everything(&engine, PATIENT).await;
        let last = engine.last();
        let service = last.services().next().unwrap();
        seen.push((service.state, service.since.as_second(), last.collectors[0].success));
        bench.clock.advance(Duration::from_secs(10));
    }
    assert_eq!(
        seen,
        [
            (State::Ok, 0, true),
            (State::Ok, 0, true),
            (State::Critical, 20, true),
            (State::Unknown, 30, false),
            (State::Unknown, 30, false),
            (State::Ok, 50, true),
        ]
    );
    let evidence = serde_json::to_value(engine.last()).unwrap();
    assert_eq!(evidence["collectors"][0]["collector"], "redis");
    assert_eq!(evidence["collectors"][0]["at"], "1970-01-01T00:00:50Z");
    assert_eq!(evidence["collectors"][0]["facts"]["services"][0]["state"], "ok");
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_logged_once_and_so_is_its_end() {
    let (log, _guard) = logged();
    let mut bench = Bench::new();
    let broken = Arc::new(Mutex::new(true));
    let told = Arc::clone(&broken);
    bench.add("redis", move || if *told.lock().unwrap() { errs().boxed() } else { works().boxed() });
    bench.add("panicking", || async { panic!("a defect") });
    let engine = bench.engine();
    for _ in 0..3 {
        everything(&engine, PATIENT).await;
    }
    assert_eq!(log.lines_with("/proc/fake: no number"), 1);
    assert_eq!(log.lines_with("panicked: a defect"), 1);
    *broken.lock().unwrap() = false;
    for _ in 0..3 {
        everything(&engine, PATIENT).await;
    }
    assert_eq!(log.lines_with("works again"), 1);
}

#[tokio::test(start_paused = true)]
async fn too_many_series_are_cut_by_whole_families() {
    let (log, _guard) = logged();
    let mut bench = Bench::new();
    bench.add("flood", works);
    bench.entries[0].schedule.max_series = 2;
    let engine = bench.engine();
    let dropped = "tidewatch_collector_series_dropped_total{collector=\"flood\"}";
    assert_eq!(value(&own(&bench.telemetry), dropped), Some("0"));
    for run in ["3", "6"] {
        let text = everything(&engine, PATIENT).await;
        assert!(success(&text, "flood"));
        assert_eq!(value(&text, "fake_value{collector=\"flood\"}"), Some("1"));
        assert!(!text.contains("fake_row"), "{text}");
        assert_eq!(value(&own(&bench.telemetry), dropped), Some(run));
    }
    assert_eq!(log.lines_with("fake_row"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_part_alone_is_written_when_it_alone_is_asked_for() {
    let mut bench = Bench::new();
    bench.add("left", works);
    let right = bench.add("right", works);
    let engine = bench.engine();
    let bound = engine.everything().bound(&["left".to_owned()]);
    let selection = bound.narrowed(&["rows".to_owned()], &[]).unwrap();
    let text = text(&engine.scrape(&selection, PATIENT).await);
    assert_eq!(value(&text, "fake_row{row=\"1\"}"), Some("1"));
    assert!(!text.contains("fake_value"), "{text}");
    assert!(success(&text, "left"));
    assert!(!text.contains("collector=\"right\""), "{text}");
    assert_eq!(right.load(Ordering::SeqCst), 0);
}
