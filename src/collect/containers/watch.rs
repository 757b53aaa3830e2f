//! The task that keeps the registry current: once the list, then only what events tell.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bollard::models::{ContainerInspectResponse, SystemInfo};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::{Instant, interval_at, timeout};

use super::daemon::{Daemon, Fault};
use super::queue::Queue;
use super::registry::Registry;
use crate::clock::Clock;
use crate::task::Tasks;

/// Calls about single containers at once.
const CALLS: usize = 8;

/// Whether the daemon still answers is asked this often: its stream of events is silent also when it hangs.
const PING: Duration = Duration::from_secs(10);

/// The list is compared this often: an event that was lost costs no more.
const RELIST: Duration = Duration::from_mins(10);

/// Those of which the details could not be had are asked about again this often.
const RETRY: Duration = Duration::from_secs(30);

/// The first and the longest pause before the next attempt.
const PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(15));

/// In a second.
const NANOS: i64 = 1_000_000_000;

/// What the task and the scrapes share.
pub(super) struct Watch {
    socket: PathBuf,
    registry: Mutex<Registry>,
    about: Mutex<About>,
    /// When the last event that was taken over happened, in nanoseconds of the daemon's clock.
    heard: Mutex<Option<i64>>,
    /// Whether nothing is waiting to be asked.
    settled: watch::Sender<bool>,
    clock: Clock,
}

/// What is known of the daemon.
#[derive(Clone, Debug, Default)]
pub(super) struct About {
    /// What it tells of itself; kept when it is gone.
    pub(super) info: Option<Arc<SystemInfo>>,
    /// Why it cannot be watched now.
    pub(super) fault: Option<Fault>,
}

impl Watch {
    pub(super) fn new(socket: PathBuf, registry: Registry, clock: Clock) -> Arc<Self> {
        let (settled, _) = watch::channel(false);
        let registry = Mutex::new(registry);
        Arc::new(Self { socket, registry, about: Mutex::default(), heard: Mutex::default(), settled, clock })
    }

    /// Starts the task, which ends with the program or with what a reload replaces.
    pub(super) fn start(self: &Arc<Self>, daemon: Daemon, tasks: &Tasks) {
        let (watch, stopping) = (Arc::clone(self), tasks.clone());
        tasks.supervise("docker-watch", move || {
            let (watch, daemon, stop) = (Arc::clone(&watch), daemon.clone(), stopping.stopping());
            async move {
                tokio::select! {
                    () = watch.run(&daemon) => {}
                    () = stop => {}
                }
            }
        });
    }

    /// Waits until nothing is to be asked any more, `limit` at the longest.
    pub(super) async fn settled(&self, limit: Duration) {
        let mut settled = self.settled.subscribe();
        // What is known after that time is what is shown.
        drop(timeout(limit, settled.wait_for(|settled| *settled)).await);
    }

    /// The registry, for a moment.
    pub(super) fn registry<T>(&self, read: impl FnOnce(&mut Registry) -> T) -> T {
        read(&mut self.registry.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What is known of the daemon.
    pub(super) fn about(&self) -> About {
        self.about.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The daemon's socket.
    pub(super) fn socket(&self) -> &std::path::Path {
        &self.socket
    }

    async fn run(&self, daemon: &Daemon) {
        let mut pause = PAUSE.0;
        loop {
            let begun = Instant::now();
            let fault = self.follow(daemon).await;
            self.about.lock().unwrap_or_else(PoisonError::into_inner).fault = Some(fault);
            // Nobody is to wait for a daemon that is not there.
            self.settled.send_replace(true);
            if begun.elapsed() > PAUSE.1 {
                pause = PAUSE.0;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE.1);
        }
    }

    /// Lists, and follows the events until something fails.
    async fn follow(&self, daemon: &Daemon) -> Fault {
        match self.try_follow(daemon).await {
            Ok(never) => match never {},
            Err(fault) => fault,
        }
    }

    async fn try_follow(&self, daemon: &Daemon) -> Result<std::convert::Infallible, Fault> {
        let info = daemon.info().await?;
        // Events from here on are told even if they happen before the stream is open; on another stream, those that
        // happened since the last one. A clock that was set back tells nothing of that.
        let now = info.system_time.as_deref().and_then(|text| text.parse::<Timestamp>().ok()).map(Timestamp::as_second);
        let heard = *self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        let mut heard = heard.filter(|heard| now.is_none_or(|now| heard / NANOS <= now));
        let mut events = std::pin::pin!(daemon.events(heard.map(|heard| heard / NANOS).or(now)));
        let list = daemon.list().await?;
        let mut queue = Queue::default();
        queue.add(self.registry(|registry| registry.sync(&list, false, self.clock.now())));
        drop(list);
        *self.about.lock().unwrap_or_else(PoisonError::into_inner) = About { info: Some(Arc::new(info)), fault: None };
        let mut asked = FuturesUnordered::new();
        let mut ping = interval_at(Instant::now() + PING, PING);
        let mut relist = interval_at(Instant::now() + RELIST, RELIST);
        let mut retry = interval_at(Instant::now() + RETRY, RETRY);
        loop {
            while asked.len() < CALLS
                && let Some(id) = queue.next(|id| self.registry(|registry| registry.told(id)))
            {
                asked.push(async {
                    let told = daemon.inspect(&id).await;
                    (id, told)
                });
            }
            self.settled.send_if_modified(|settled| std::mem::replace(settled, asked.is_empty()) != asked.is_empty());
            tokio::select! {
                event = events.next() => {
                    let event = event.unwrap_or_else(|| Err(Fault::Odd("the stream of events ended".into())))?;
                    // The stream begins with a whole second, of which a part was heard before.
                    if heard.zip(event.time_nano).is_some_and(|(heard, at)| at <= heard) {
                        continue;
                    }
                    heard = None;
                    let mut last = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
                    *last = event.time_nano.max(*last);
                    drop(last);
                    let ask = self.registry(|registry| registry.apply(&event, self.clock.now()));
                    queue.add(ask);
                }
                Some((id, told)) = asked.next(), if !asked.is_empty() => {
                    let current = queue.is_current(&id, self.registry(|registry| registry.told(&id)));
                    if current || told.is_err() {
                        self.take(&id, told)?;
                    } else {
                        queue.add([id]);
                    }
                }
                _ = ping.tick() => daemon.ping().await?,
                _ = relist.tick() => {
                    let list = daemon.list().await?;
                    let ask = self.registry(|registry| registry.sync(&list, true, self.clock.now()));
                    queue.add(ask);
                }
                _ = retry.tick() => queue.add(self.registry(|registry| registry.doubtful())),
            }
        }
    }

    /// A container that hangs, or is gone again, costs its own details only.
    fn take(&self, id: &str, told: Result<ContainerInspectResponse, Fault>) -> Result<(), Fault> {
        match told {
            Ok(told) => self.registry(|registry| registry.detail(id, &told)),
            Err(Fault::Missing) => self.registry(|registry| registry.remove(id, self.clock.now())),
            Err(fault @ (Fault::Silent(_) | Fault::Odd(_))) => {
                tracing::debug!(container = id, %fault, "no details of a container");
                // What was known may be of an earlier life.
                self.registry(|registry| registry.doubt(id));
            }
            Err(fault @ (Fault::Unreachable(..) | Fault::Forbidden(_))) => return Err(fault),
        }
        Ok(())
    }
}
