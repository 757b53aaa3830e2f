//! The disk guard: with too little room nothing is taken in, so that what was taken in can be finished. Alertmanager
//! tries again what is refused.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use prometheus::IntGaugeVec;

use super::readiness::Latch;
use super::settings::Storage;
use super::shared::Shared;
use crate::alert::text;
use crate::store::{Reserve, Room, Store};

/// How often is looked. A storm of posts writes some tens of MB in this time.
const OFTEN: Duration = Duration::from_secs(1);

/// The guard is at most this part of the volume, the reserve this: a small volume is not refused for its size.
const MOST: (u64, u64) = (10, 40);

/// How much must be free, and how much is kept in reserve, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Limits {
    guard: u64,
    reserve: u64,
}

impl Limits {
    fn of(storage: &Storage, room: Room) -> Self {
        Self { guard: storage.min_free.0.min(room.total / MOST.0), reserve: storage.reserve.0.min(room.total / MOST.1) }
    }

    /// Whether posts are refused, with `kept` bytes in reserve. Once they are, they are until there is room for the
    /// whole reserve too: else giving it up would end the refusal.
    fn refuses(self, room: Room, kept: u64, refused: bool) -> bool {
        let wanted = if refused { self.guard + self.reserve.saturating_sub(kept) } else { self.guard };
        room.free < wanted
    }
}

/// While posts are refused.
struct Refusal {
    since: Timestamp,
    /// People were told.
    told: bool,
    _latch: Latch,
}

struct Guard {
    shared: Arc<Shared>,
    store: Arc<dyn Store>,
    reserve: Reserve,
    free: IntGaugeVec,
    least: IntGaugeVec,
    refusal: Option<Refusal>,
    /// What people are still to be told of a refusal that is over.
    over: Option<String>,
}

/// Looks now and then. The first look is done when this returns, so that no post comes before it.
pub(super) async fn watch(shared: &Arc<Shared>) {
    let Some(store) = shared.parts.store.clone() else { return };
    let telemetry = &shared.parts.telemetry;
    let free = telemetry.gauge("tidewatch_disk_free_bytes", "Room on the volume of the data folder.", &[]);
    let least = telemetry.gauge("tidewatch_disk_min_free_bytes", "With less room than this, posts are refused.", &[]);
    let reserve = Reserve::new(&shared.generation().validated.settings.data_dir);
    let (shared, refusal) = (Arc::clone(shared), None);
    let tasks = shared.parts.tasks.clone();
    let mut guard = Guard { shared, store, reserve, free, least, refusal, over: None };
    guard.look().await;
    let guard = Arc::new(tokio::sync::Mutex::new(guard));
    tasks.supervise("disk-guard", move || {
        let guard = Arc::clone(&guard);
        async move {
            let mut guard = guard.lock().await;
            let tasks = guard.shared.parts.tasks.clone();
            let mut stopping = std::pin::pin!(tasks.stopping());
            loop {
                tokio::select! {
                    () = &mut stopping => return,
                    () = tokio::time::sleep(OFTEN) => guard.look().await,
                }
            }
        }
    });
}

impl Guard {
    async fn look(&mut self) {
        let generation = self.shared.generation();
        let settings = &generation.validated.settings;
        let room = match Room::of(&settings.data_dir) {
            Ok(room) => room,
            Err(error) => return tracing::warn!(%error, "the data folder's volume does not tell its room"),
        };
        let limits = Limits::of(&settings.storage, room);
        self.free.with_label_values::<&str>(&[]).set(room.free.cast_signed());
        self.least.with_label_values::<&str>(&[]).set(limits.guard.cast_signed());
        let now = self.shared.parts.clock.now();
        let folder = settings.data_dir.display();
        if limits.refuses(room, self.reserve.bytes(), self.refusal.is_some()) {
            let why = format!("{} free under {folder}, below the {} that must be", mib(room.free), mib(limits.guard));
            self.refuse(now, why, room.free < limits.guard / 2);
        } else if let Err(error) = self.reserve.take(limits.reserve) {
            tracing::warn!(%error, "there is no room for the reserve");
            self.refuse(now, format!("no room for the reserve under {folder}: {error}"), false);
        } else if let Some(refusal) = self.refusal.take() {
            self.shared.set_room(Ok(()));
            tracing::warn!(free = room.free, "there is room again: posts are taken");
            let lasted = text::length(text::seconds(refusal.since, now));
            self.over =
                Some(format!("intake goes on: {} free under {folder}; it was refused for {lasted}", mib(room.free)));
        }
        self.tell(&generation.validated.zone, now).await;
    }

    fn refuse(&mut self, now: Timestamp, why: String, give_up: bool) {
        if give_up && let Err(error) = self.reserve.give_up() {
            tracing::error!(%error, "the reserve cannot be given up");
        }
        if self.refusal.is_none() {
            tracing::error!(why, "posts are refused with 503 until there is room");
            let latch = self.shared.readiness.latch("room on the disk");
            self.refusal = Some(Refusal { since: now, told: false, _latch: latch });
        }
        self.shared.set_room(Err(why));
    }

    /// One notice when it begins, one when it ends; a store that cannot take it yet is asked again.
    async fn tell(&mut self, zone: &jiff::tz::TimeZone, now: Timestamp) {
        let text = match (&self.refusal, &self.over) {
            (Some(Refusal { told: false, since, .. }), _) => {
                let why = self.shared.room().err().unwrap_or_default();
                let since = text::time(*since, now, zone);
                format!("intake refused since {since}: {why}; Alertmanager tries again until there is room")
            }
            (None, Some(over)) => over.clone(),
            _ => return,
        };
        let policy = self.shared.generation().policy.clone();
        match self.store.notice("intake_refused", &text, policy.routes.all()).await {
            Ok(()) => {
                self.over = None;
                self.refusal.iter_mut().for_each(|refusal| refusal.told = true);
            }
            Err(error) => tracing::debug!(%error, "the notice of the full disk waits"),
        }
    }
}

fn mib(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Size;

    const MIB: u64 = 1 << 20;

    fn limits(total: u64) -> Limits {
        Limits::of(&Storage { min_free: Size(64 * MIB), reserve: Size(16 * MIB) }, Room { free: 0, total })
    }

    #[test]
    fn a_small_volume_is_not_refused_for_its_size() {
        assert_eq!(limits(100_000 * MIB), Limits { guard: 64 * MIB, reserve: 16 * MIB });
        assert_eq!(limits(400 * MIB), Limits { guard: 40 * MIB, reserve: 10 * MIB });
    }

    #[test]
    fn giving_the_reserve_up_does_not_end_the_refusal() {
        let limits = limits(100_000 * MIB);
        let refuses = |free: u64, kept: u64, refused| {
            limits.refuses(Room { free: free * MIB, total: 100_000 * MIB }, kept * MIB, refused)
        };
        assert!(!refuses(64, 16, false) && refuses(63, 16, false));
        assert!(refuses(70, 0, true), "63 and what the reserve gave");
        assert!(!refuses(80, 0, true) && !refuses(64, 16, true));
        assert!(!refuses(64, 0, false), "at the first start the reserve is not there yet");
    }
}
