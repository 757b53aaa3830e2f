//! Asks each source's Alertmanagers what fires there, and sets right what no post told: after a time in which nobody
//! listened, after a post that was cut short, and after the end of what was silenced. It asks configured addresses only,
//! and follows no redirect.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use jiff::Timestamp;
use prometheus::IntCounterVec;

use crate::alert::listing::Listing;
use crate::alert::policy::Policy;
use crate::alert::reconcile::{Differences, Heard, Memory, Rules};
use crate::alert::{Alert, Severity, text};
use crate::clock::{Clock, later};
use crate::store::{Store, StoreError};
use crate::task::Tasks;
use crate::telemetry::Telemetry;

mod config;
mod gap;
mod server;

pub use config::Source;
use server::Server;

/// What two looks say counts if they are so far apart, or a whole period where that is shorter; and so soon after the
/// first look, or a post that was cut short, comes the next.
const SETTLE: Duration = Duration::from_secs(10);

/// After a look this many times its length is a pause, whoever rings.
const REST: u32 = 10;

/// The shortest pause.
const PAUSE: Duration = Duration::from_secs(1);

/// With no news for less than this, nothing is wrong, however often is repeated.
const QUIET: Duration = Duration::from_hours(24);

/// A notice names so many alerts.
const NAMED: usize = 10;

/// What is counted; made once, kept over reloads.
#[derive(Clone)]
pub struct Meters {
    looks: IntCounterVec,
    alerts: IntCounterVec,
}

impl Meters {
    /// With every counter at 0.
    pub fn new(telemetry: &Telemetry) -> Self {
        let looks = telemetry.counter(
            "tidewatch_reconcile_total",
            "Comparisons with what a source's Alertmanagers list: all answered, some did, none did.",
            &["source", "result"],
        );
        let alerts = telemetry.counter(
            "tidewatch_reconciled_alerts_total",
            "Alerts set right: found firing, gone, held and firing, held and stale, missed in a time of absence.",
            &["source", "result"],
        );
        Self { looks, alerts }
    }

    fn begin(&self, source: &str) {
        for result in ["ok", "partial", "failed"] {
            self.looks.with_label_values(&[source, result]);
        }
        for result in ["found", "gone", "fires", "stale", "missed"] {
            self.alerts.with_label_values(&[source, result]);
        }
    }
}

/// What all sources share.
#[derive(Clone)]
pub struct Deps {
    /// Time.
    pub clock: Clock,
    /// Where the tasks run.
    pub tasks: Tasks,
    /// What is open, and where what is found is kept.
    pub store: Arc<dyn Store>,
    /// What is counted.
    pub meters: Meters,
    /// What decisions take.
    pub policy: Arc<Policy>,
    /// When the program began to listen.
    pub listening_since: Timestamp,
}

/// One source, watched.
#[derive(Clone)]
pub struct Watch {
    name: String,
    settings: Source,
    peers: Vec<Server>,
    prometheus: Option<Server>,
}

/// Builds one watch a source; starts nothing.
///
/// # Errors
/// A credential or a certificate cannot be read.
pub fn build(sources: &BTreeMap<String, Source>) -> anyhow::Result<Vec<Watch>> {
    let watch = |(name, settings): (&String, &Source)| {
        let peers = settings.alertmanager.iter().map(|url| Server::new(url, settings)).collect::<Result<_, _>>()?;
        let prometheus = settings.prometheus.as_ref().map(|url| Server::new(url, settings)).transpose()?;
        Ok(Watch { name: name.clone(), settings: settings.clone(), peers, prometheus })
    };
    sources.iter().map(watch).collect()
}

/// Starts one supervised task a source.
pub fn start(watches: &[Watch], deps: &Deps) {
    for watch in watches {
        if !watch.peers.is_empty() {
            deps.meters.begin(&watch.name);
        }
        let (watch, deps) = (Arc::new(watch.clone()), deps.clone());
        let tasks = deps.tasks.clone();
        tasks.supervise("reconcile", move || Work::new(Arc::clone(&watch), deps.clone()).run());
    }
}

/// Asks each source's Prometheus, once, what fired and ended since the process before this one was last at work.
pub fn look_back(watches: &[Watch], deps: &Deps) {
    let Some(alive) = deps.store.alive_before() else { return };
    for watch in watches.iter().filter(|watch| watch.prometheus.is_some()) {
        let (watch, deps) = (watch.clone(), deps.clone());
        let tasks = deps.tasks.clone();
        drop(tasks.spawn("look-back", async move { gap::look_back(&watch, &deps, alive).await }));
    }
}

/// A source's comparison from one look to the next.
struct Work {
    watch: Arc<Watch>,
    deps: Deps,
    memory: Memory,
    /// Peers that did not answer: it was said.
    silent: Vec<bool>,
    /// Alerts without news: it was said.
    quiet: bool,
}

impl Work {
    fn new(watch: Arc<Watch>, deps: Deps) -> Self {
        let silent = vec![false; watch.peers.len()];
        Self { watch, deps, memory: Memory::default(), silent, quiet: false }
    }

    async fn run(mut self) {
        let (clock, doubts) = (self.deps.clock.clone(), self.deps.store.doubts());
        let (period, tasks) = (self.watch.settings.reconcile_interval.0, self.deps.tasks.clone());
        let mut stopping = pin!(tasks.stopping());
        let mut soon = true;
        loop {
            let mut rung = pin!(doubts.bell().notified());
            rung.as_mut().enable();
            let began = clock.now();
            let truncated = doubts.take_truncated(&self.watch.name);
            if truncated {
                self.memory.truncated(later(began, period * 3));
            }
            if let Err(error) = self.look().await {
                tracing::warn!(source = self.watch.name, %error, "what Alertmanager lists could not be compared");
            }
            let now = clock.now();
            let took = Duration::try_from(now.duration_since(began)).unwrap_or_default();
            let rest = later(now, PAUSE.min(period).max(took * REST));
            let next = later(began, if soon || truncated { self.settle() } else { period }).max(rest);
            soon = false;
            tokio::select! {
                () = &mut stopping => return,
                () = rung => {}
                () = clock.sleep_until(next) => {}
            }
            tokio::select! {
                () = &mut stopping => return,
                () = clock.sleep_until(rest) => {}
            }
        }
    }

    fn settle(&self) -> Duration {
        SETTLE.min(self.watch.settings.reconcile_interval.0)
    }

    async fn look(&mut self) -> Result<(), StoreError> {
        // What is open is read before the list is: a post that comes meanwhile is then no difference.
        let mut heard = self.deps.store.heard(&self.watch.name).await?;
        heard.receivers.extend(self.watch.settings.receivers.iter().cloned());
        let answers = self.ask().await;
        let now = self.deps.clock.now();
        if !answers.is_empty() {
            let rules = Rules {
                settle: self.settle(),
                group_interval: self.watch.settings.group_interval.0,
                listening_since: self.deps.listening_since,
            };
            let mut differences = self.memory.compare(&heard, &answers, &rules, now);
            differences.found.retain(|alert| concerns_people(alert, &self.deps.policy));
            self.keep(differences).await?;
        }
        self.without_news(&heard, &answers, now).await
    }

    async fn ask(&mut self) -> Vec<Option<Listing>> {
        let now = self.deps.clock.now();
        let asked = join_all(self.watch.peers.iter().map(|peer| peer.list(now))).await;
        let (mut answers, name) = (Vec::new(), &self.watch.name);
        for ((peer, silent), answer) in self.watch.peers.iter().zip(&mut self.silent).zip(asked) {
            let before = std::mem::replace(silent, answer.is_err());
            match &answer {
                Err(why) if !before => {
                    tracing::warn!(source = name, peer = peer.shown(), why, "an Alertmanager does not say what fires");
                }
                Ok(_) if before => tracing::info!(source = name, peer = peer.shown(), "the Alertmanager answers again"),
                _ => {}
            }
            answers.push(answer.ok());
        }
        let result = match answers.iter().flatten().count() {
            _ if answers.is_empty() => return answers,
            0 => "failed",
            some if some < answers.len() => "partial",
            _ => "ok",
        };
        self.deps.meters.looks.with_label_values(&[name.as_str(), result]).inc();
        answers
    }

    async fn keep(&self, differences: Differences) -> Result<(), StoreError> {
        if differences.is_empty() {
            return Ok(());
        }
        let counts = [
            ("found", differences.found.len()),
            ("gone", differences.gone.len()),
            ("fires", differences.fires.len()),
            ("stale", differences.stale.len()),
        ];
        let (name, found) = (&self.watch.name, names(&differences.found));
        self.deps.store.reconcile(name, differences, Arc::clone(&self.deps.policy)).await?;
        for (result, count) in counts.into_iter().filter(|(_, count)| *count > 0) {
            self.deps.meters.alerts.with_label_values(&[name.as_str(), result]).inc_by(count as u64);
            match result {
                "found" => tracing::warn!(source = name, count, found, "alerts fire that no post told of"),
                "gone" => tracing::warn!(source = name, count, "alerts were open that Alertmanager has no more"),
                _ => tracing::info!(source = name, count, result, "held alerts are decided by Alertmanager's list"),
            }
        }
        Ok(())
    }

    /// Tells people once when alerts are open of which nothing is heard any more, and nobody can be asked about.
    async fn without_news(
        &mut self,
        heard: &Heard,
        answers: &[Option<Listing>],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let patience = QUIET.max(self.watch.settings.repeat_interval.0 * 3);
        let oldest = now.saturating_sub(patience).unwrap_or(Timestamp::MIN);
        let asked = answers.iter().any(Option::is_some);
        let quiet = heard.open.iter().filter(|open| !open.held && open.heard_at.is_some_and(|at| at < oldest));
        let count = if asked { 0 } else { quiet.count() };
        if count > 0 && !std::mem::replace(&mut self.quiet, true) {
            let hint = if self.watch.peers.is_empty() { "; `alertmanager` in its section would tell" } else { "" };
            let text = format!(
                "{count} alerts of source {} are open, and nothing was heard of them for {}{hint}",
                text::line(&self.watch.name, 60),
                text::length(patience.as_secs().cast_signed()),
            );
            tracing::warn!("{text}");
            self.deps.store.notice("no_news", &text, self.deps.policy.routes.all()).await?;
        }
        self.quiet = count > 0;
        Ok(())
    }
}

/// The Watchdog, and what is for nobody, count by their posts alone.
fn concerns_people(alert: &Alert, policy: &Policy) -> bool {
    alert.name() != "Watchdog" && policy.severity(&alert.labels) != Severity::None
}

/// Some names, for a person.
fn names(alerts: &[Alert]) -> String {
    let mut names: Vec<String> = alerts.iter().take(NAMED).map(|alert| text::line(alert.name(), 60)).collect();
    if alerts.len() > NAMED {
        names.push(format!("{} more", alerts.len() - NAMED));
    }
    names.join(", ")
}
