//! `containers`: what cAdvisor tells (release 0.60), read when it is asked for.
//!
//! A task follows the Docker daemon's events, so that a scrape asks the daemon nothing while nothing changes. The
//! figures come from the cgroups' files where they are to be seen, else from the daemon's stats call.

use std::path::PathBuf;
use std::sync::{Arc, Once};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::{self, StreamExt};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout, timeout_at};

use super::{CollectError, Collector, Declare, Deps, Output, Said};
use crate::clock::Clock;
use crate::config::{Environment, Problems};
use crate::metrics::Desc;
use crate::task::Tasks;

mod api;
mod cgroups;
mod config;
mod container;
mod daemon;
mod disks;
mod families;
mod files;
mod machine;
mod network;
mod oom;
mod options;
mod processes;
mod queue;
mod reader;
mod registry;
mod series;
mod sockets;
mod space;
mod stats;
mod usage;
mod v1;
mod v2;
mod verdict;
mod watch;
mod write;

pub use config::ContainersConfig;
pub use space::{Space, Statvfs};

use container::{Container, Phase};
use daemon::Daemon;
use machine::Versions;
use options::{Group, Groups};
use reader::{Look, Reader};
use registry::Registry;
use stats::Stats;
use usage::Usage;
use watch::{About, Watch};
use write::Scene;

/// Stats calls at once: the daemon works for each, and a container that hangs holds one of them.
const CALLS: usize = 16;

/// How long a run waits for what changed just now to be asked.
const PATIENCE: Duration = Duration::from_millis(2500);

/// How long all stats calls of a run may take together: with the two times before, below the timeout of a run.
const ASKING: Duration = Duration::from_secs(3);

/// The collector of containers.
pub struct Containers {
    groups: Groups,
    /// The names of the shown labels as they are written.
    shown: Vec<String>,
    /// `None` if bollard refuses the socket's name, which its source does not.
    daemon: Option<Daemon>,
    watch: Arc<Watch>,
    /// Held by the thread that looks, which may hang: who waits for it waits without a thread.
    reader: Arc<Mutex<Reader>>,
    usage: Arc<Usage>,
    /// Where the host's `/` is seen.
    rootfs: PathBuf,
    started: Once,
    said: Said,
    clock: Clock,
    tasks: Tasks,
}

impl Containers {
    /// Builds it with another way of asking file systems about their space than the system's.
    pub fn with_statvfs(config: &ContainersConfig, deps: &Deps, statvfs: Statvfs) -> Self {
        let socket = config.daemon().unwrap_or_default();
        let registry = Registry::new(config.labels.clone());
        let reader = Reader::new(config.roots(), config.groups(), config.cgroups.clone(), statvfs);
        Self {
            groups: config.groups(),
            shown: config.written_labels(),
            daemon: Daemon::new(socket.clone(), config.call_timeout.0, deps.tasks.clone()).ok(),
            watch: Watch::new(socket, registry, deps.clock.clone()),
            reader: Arc::new(Mutex::new(reader)),
            usage: Arc::default(),
            rootfs: config.rootfs.clone(),
            started: Once::new(),
            said: Said::default(),
            clock: deps.clock.clone(),
            tasks: deps.tasks.clone(),
        }
    }

    /// Looks at the files, on a thread: memory.stat of a big cgroup takes the kernel a while.
    async fn look(&self, containers: Arc<Vec<Container>>, about: &About) -> Result<Look, CollectError> {
        let storage = about.info.as_ref().and_then(|info| info.docker_root_dir.clone());
        let failed = |source| CollectError::Io { what: "a thread to read cgroups".into(), source };
        let hangs = |_| failed(std::io::Error::other("the last one has not returned: see whether a mount hangs"));
        let mut reader = timeout(PATIENCE, Arc::clone(&self.reader).lock_owned()).await.map_err(hangs)?;
        let work = move || reader.look(&containers, storage.as_deref());
        let look = self.tasks.thread("containers", work).map_err(failed)?;
        look.await.map_err(|panic| failed(std::io::Error::other(panic)))
    }

    /// Has counted what containers take on disk, for the next scrapes.
    fn count_usage(&self, containers: &[Container], storage: &str) {
        if !self.groups.has(Group::Disk) {
            return;
        }
        let folders = containers.iter().filter(|container| container.phase != Phase::Still).filter_map(|container| {
            // Without a folder of its own, what a container takes is the storage driver's secret.
            let layer = container.details.as_ref()?.layer.as_deref()?;
            let paths = usage::folders(&self.rootfs, storage, &container.id, layer);
            Some(usage::Folders { id: container.id.clone(), paths })
        });
        self.usage.refresh(folders.collect(), self.clock.now(), &self.tasks);
    }

    /// Asks the daemon for what the files did not show. What it does not tell in time is not there.
    async fn ask(&self, containers: &[Container], look: &mut Look) -> Vec<Option<Stats>> {
        let mut told: Vec<Option<Stats>> = containers.iter().map(|_| None).collect();
        let Some(daemon) = &self.daemon else { return told };
        let unseen = containers.iter().zip(&look.containers).enumerate().filter(|(_, (container, found))| {
            container.phase != Phase::Still && found.as_ref().is_none_or(|found| found.blind)
        });
        let unseen: Vec<_> = unseen.map(|(at, (container, _))| (at, &container.id)).collect();
        let calls = unseen.into_iter().map(|(at, id)| async move { (at, daemon.stats(id).await) });
        let mut answers = stream::iter(calls.collect::<Vec<_>>()).buffer_unordered(CALLS);
        // Many that hang would take the whole run: what is not told by then is not there, and the rest is.
        let deadline = Instant::now() + ASKING;
        while let Ok(Some((at, answer))) = timeout_at(deadline, answers.next()).await {
            let Ok(stats) = answer else { continue };
            match &mut look.containers[at] {
                Some(found) => found.stats.network = stats.network,
                None => told[at] = Some(stats).filter(|stats| stats.cpu.is_some() || stats.memory.is_some()),
            }
        }
        told
    }
}

#[async_trait]
impl Collector for Containers {
    async fn collect(&self, out: &mut Output) -> Result<(), CollectError> {
        if let Some(daemon) = &self.daemon {
            self.started.call_once(|| self.watch.start(daemon.clone(), &self.tasks));
            self.watch.settled(PATIENCE).await;
        }
        let now = self.clock.now();
        let about = self.watch.about();
        let containers: Arc<Vec<Container>> =
            Arc::new(self.watch.registry(|registry| registry.containers().cloned().collect()));
        let mut look = self.look(Arc::clone(&containers), &about).await?;
        let told = if about.fault.is_none() { self.ask(&containers, &mut look).await } else { Vec::new() };
        let batch = out.part("containers");
        if let Some(storage) = about.info.as_ref().and_then(|info| info.docker_root_dir.as_deref()) {
            self.count_usage(&containers, storage);
        }
        let scene =
            Scene { groups: &self.groups, shown: &self.shown, look: &look, usage: &self.usage, now: now.as_second() };
        for (at, container) in containers.iter().enumerate() {
            let found = look.containers.get(at).and_then(Option::as_ref);
            let stats = found.map(|found| &found.stats).or_else(|| told.get(at).and_then(Option::as_ref));
            let counter = stats.and_then(|stats| stats.oom_kills).unwrap_or(0);
            let kills =
                self.watch.registry(|registry| registry.count_kills(&container.id, container.generation, counter));
            let usual = || usual(container, &about);
            let id = found.map_or_else(usual, |found| found.path.clone());
            scene.container(batch, container, &id, stats, kills);
        }
        let gone = self.watch.registry(|registry| registry.gone(now));
        for container in gone.iter().filter(|_| self.groups.has(Group::OomEvent)) {
            let id = usual(container, &about);
            series::Series::of_container(batch, &self.shown, container, &id).oom(container.kills.total());
        }
        for (path, stats) in &look.others {
            scene.cgroup(batch, path, stats);
        }
        look.machine.write(batch, &versions(&about));
        batch.push(&families::SCRAPE_ERROR, &[], f64::from(u8::from(about.fault.is_some())));
        let why = about.fault.as_ref().map(|fault| format!("{fault}; {}", fault.next(self.watch.socket())));
        self.said.tell("containers", &self.watch.socket().display().to_string(), why.as_deref());
        out.facts.services.push(verdict::of(&containers, &about, self.watch.socket(), now));
        Ok(())
    }
}

/// The cgroup that a container without one would be in.
fn usual(container: &Container, about: &About) -> String {
    use bollard::models::SystemInfoCgroupDriverEnum as Driver;
    let driver = about.info.as_ref().and_then(|info| info.cgroup_driver);
    let parent = container.details.as_ref().map_or("", |details| details.cgroup_parent.as_str());
    cgroups::usual(&container.id, parent, driver == Some(Driver::SYSTEMD))
}

fn versions(about: &About) -> Versions<'_> {
    let Some(info) = &about.info else { return Versions::default() };
    Versions {
        kernel: info.kernel_version.as_deref().unwrap_or_default(),
        system: info.operating_system.as_deref().unwrap_or_default(),
        docker: info.server_version.as_deref().unwrap_or_default(),
    }
}

impl Declare for Containers {
    type Config = ContainersConfig;

    const PARTS: &'static [&'static str] = &[];

    const FOLLOWS: Option<(&'static str, &'static str)> = Some(("cadvisor", "0.60.5"));

    const NAMED_BY: Option<&'static str> = Some("DOCKER_HOST");

    fn descs() -> Vec<&'static Desc> {
        families::descs().into_iter().chain([&families::SCRAPE_ERROR]).chain(machine::descs()).collect()
    }

    fn complete(config: &mut Self::Config, environment: &Environment, problems: &mut Problems) {
        config.complete(environment, problems);
    }

    fn watches(config: &Self::Config) -> Option<String> {
        config.daemon().map(|socket| socket.display().to_string())
    }

    fn check(config: &Self::Config, problems: &mut Problems) {
        config.check(problems);
    }

    fn build(config: &Self::Config, parts: &Deps) -> Self {
        Self::with_statvfs(config, parts, space::system())
    }
}
