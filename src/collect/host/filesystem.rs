//! `filesystem`: how full each mounted file system is.

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::join_all;
use tokio::time::Instant;

use super::config::as_of;
use super::detached::Detached;
use super::filter::Filter;
use super::mounts::{self, Mount};
use super::statvfs::{self, Space, Statvfs};
use super::{HostConfig, Listed, Part, Run, Site};
use crate::collect::CollectError;
use crate::config::Problems;
use crate::metrics::Desc;

const LABELS: &[&str] = &["device", "device_error", "fstype", "mountpoint"];

pub(super) static SIZE: Desc = Desc::gauge("node_filesystem_size_bytes", "Filesystem size in bytes.", LABELS);
pub(super) static AVAIL: Desc =
    Desc::gauge("node_filesystem_avail_bytes", "Filesystem space available to non-root users in bytes.", LABELS);
pub(super) static READ_ONLY: Desc = Desc::gauge("node_filesystem_readonly", "Filesystem read-only status.", LABELS);
static FREE: Desc = Desc::gauge("node_filesystem_free_bytes", "Filesystem free space in bytes.", LABELS);
static FILES: Desc = Desc::gauge("node_filesystem_files", "Filesystem total file nodes.", LABELS);
static FILES_FREE: Desc = Desc::gauge("node_filesystem_files_free", "Filesystem total free file nodes.", LABELS);
static DEVICE_ERROR: Desc = Desc::gauge(
    "node_filesystem_device_error",
    "Whether an error occurred while getting statistics for the given device.",
    LABELS,
);
static PURGEABLE: Desc = Desc::gauge(
    "node_filesystem_purgeable_bytes",
    "Filesystem space available including purgeable space (MacOS specific).",
    LABELS,
);
static MOUNT_INFO: Desc = Desc::gauge(
    "node_filesystem_mount_info",
    "Filesystem mount information.",
    &["device", "major", "minor", "mountpoint"],
);

pub(super) static DESCS: [&Desc; 9] =
    [&SIZE, &FREE, &AVAIL, &FILES, &FILES_FREE, &READ_ONLY, &DEVICE_ERROR, &PURGEABLE, &MOUNT_INFO];

/// node_exporter 1.12's own defaults.
pub(super) const MOUNT_POINTS_EXCLUDED: &str =
    "^/(dev|proc|run/credentials/.+|sys|var/lib/docker/.+|var/lib/containers/storage/.+)($|/)";
pub(super) const TYPES_EXCLUDED: &str = "^(autofs|binfmt_misc|bpf|cgroup2?|configfs|debugfs|devpts|devtmpfs|fusectl|\
    hugetlbfs|iso9660|mqueue|nsfs|overlay|proc|procfs|pstore|rpc_pipefs|securityfs|selinuxfs|squashfs|erofs|sysfs|\
    tracefs)$";

/// The label's value for a mount that does not answer, in node_exporter's words.
const TIMEOUT: &str = "mountpoint timeout";

/// Another user's private mount: we may not ask it, and nothing is wrong with it.
const DENIED: &str = "permission denied";

/// A mount that the filters take.
struct Taken {
    mount: Mount,
    /// Its mount point as the label spells it.
    point: String,
    may_hang: bool,
}

pub(super) struct Filesystems {
    /// Those of the first process are the host's, also where we run in a container. To read them takes the right to
    /// look into that process; without it, our own.
    tables: [PathBuf; 2],
    rootfs: PathBuf,
    points: Filter,
    types: Filter,
    timeout: Duration,
    families: Families,
    statvfs: Statvfs,
    detached: Detached,
    /// The last run's mounts, if they may be taken for the next one's.
    known: Mutex<Option<Vec<Taken>>>,
}

/// The families as the release has them whose labels are asked for.
struct Families {
    older: bool,
    device_error: Cow<'static, Desc>,
    read_only: Cow<'static, Desc>,
    size: Cow<'static, Desc>,
    free: Cow<'static, Desc>,
    avail: Cow<'static, Desc>,
    files: Cow<'static, Desc>,
    files_free: Cow<'static, Desc>,
    purgeable: Cow<'static, Desc>,
}

impl Families {
    fn new(older: bool) -> Self {
        let of = |desc| as_of(older, desc, "device_error");
        Self {
            older,
            device_error: of(&DEVICE_ERROR),
            read_only: of(&READ_ONLY),
            size: of(&SIZE),
            free: of(&FREE),
            avail: of(&AVAIL),
            files: of(&FILES),
            files_free: of(&FILES_FREE),
            purgeable: of(&PURGEABLE),
        }
    }
}

/// What each mount answered.
type Answers = Vec<Result<Space, String>>;

impl Listed for Filesystems {
    fn descs() -> Vec<&'static Desc> {
        DESCS.to_vec()
    }

    fn check(config: &HostConfig, problems: &mut Problems) {
        config.filesystem.check(&config.schedule, problems);
    }

    fn new(site: &Site<'_>) -> Self {
        let (roots, config) = (&site.roots, &site.config.filesystem);
        Self {
            tables: [roots.procfs.join("1/mountinfo"), roots.procfs.join("self/mountinfo")],
            rootfs: roots.rootfs.clone(),
            points: config.points(),
            types: config.types(),
            timeout: config.mount_timeout.0,
            families: Families::new(site.config.is_older()),
            statvfs: site.statvfs.clone(),
            detached: Detached::new(site.deps.tasks.clone(), site.deps.clock.clone()),
            known: Mutex::default(),
        }
    }
}

impl Filesystems {
    /// The mounts with their answers. The table is read when the kernel has announced a change of it, or when an answer
    /// contradicts it: that a file system became read-only after an error is not announced.
    async fn asked(&self, run: &mut Run) -> Result<(Vec<Taken>, Answers), CollectError> {
        let deadline = Instant::now() + self.timeout;
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(taken) = known.filter(|_| run.files.is_unchanged(&self.tables)) {
            let answers = self.ask_all(&taken, deadline).await;
            if agree(&taken, &answers) {
                return Ok((taken, answers));
            }
        }
        let taken = self.taken(run)?;
        let answers = self.ask_all(&taken, deadline).await;
        Ok((taken, answers))
    }

    async fn ask_all(&self, taken: &[Taken], deadline: Instant) -> Answers {
        join_all(taken.iter().map(|taken| self.ask(taken, deadline))).await
    }

    /// The mounts that the filters take. Of several with the same labels the last one stays: it covers the others.
    fn taken(&self, run: &mut Run) -> Result<Vec<Taken>, CollectError> {
        let mounts = mounts::parse(run.files.bytes_of_either(&self.tables)?, &self.rootfs);
        let may_hang = statvfs::may_hang(&mounts);
        let mut places: HashMap<[String; 3], usize> = HashMap::new();
        let mut taken: Vec<Taken> = Vec::new();
        for (mount, may_hang) in mounts.into_iter().zip(may_hang) {
            let point = mount.point.to_string_lossy().into_owned();
            if !self.points.takes(&point) || !self.types.takes(&mount.kind) {
                continue;
            }
            let place = *places.entry([mount.device.clone(), mount.kind.clone(), point.clone()]).or_insert(taken.len());
            let next = Taken { mount, point, may_hang };
            match taken.get_mut(place) {
                Some(covered) => *covered = next,
                None => taken.push(next),
            }
        }
        Ok(taken)
    }

    /// Asks one mount. Those that may hang get a thread each and wait together until the deadline.
    async fn ask(&self, taken: &Taken, deadline: Instant) -> Result<Space, String> {
        let path = self.path(&taken.mount.point);
        if !taken.may_hang {
            return (self.statvfs)(&path).map_err(|error| statvfs::words(&error));
        }
        let statvfs = Arc::clone(&self.statvfs);
        // Mounted anew it has another number, and is asked although the old one still hangs.
        let name = format!("{}:{}", taken.mount.id, taken.point);
        match self.detached.call(&name, deadline, move || statvfs(&path)).await {
            Some(answer) => answer.map_err(|error| statvfs::words(&error)),
            None => Err(TIMEOUT.to_owned()),
        }
    }

    /// Where we see what the host sees at `point`.
    fn path(&self, point: &Path) -> PathBuf {
        point.strip_prefix("/").map_or_else(|_| point.to_owned(), |rest| self.rootfs.join(rest))
    }
}

#[async_trait]
impl Part for Filesystems {
    async fn collect(&self, run: &mut Run) -> Result<(), CollectError> {
        let (taken, answers) = self.asked(run).await?;
        let families = &self.families;
        for (Taken { mount, point, .. }, answer) in taken.iter().zip(&answers) {
            let error = answer.as_ref().err().map_or("", String::as_str);
            let all = [mount.device.as_str(), error, &mount.kind, point];
            let of_older = [mount.device.as_str(), &mount.kind, point];
            let labels: &[&str] = if families.older { &of_older } else { &all };
            run.batch.push(&families.device_error, labels, f64::from(answer.is_err()));
            run.batch.push(&families.read_only, labels, f64::from(mount.read_only));
            let Ok(space) = answer else {
                if error != DENIED {
                    run.findings.silent_mount(point, error);
                }
                continue;
            };
            run.batch.push(&families.size, labels, space.size as f64);
            run.batch.push(&families.free, labels, space.free as f64);
            run.batch.push(&families.avail, labels, space.avail as f64);
            run.batch.push(&families.files, labels, space.files as f64);
            run.batch.push(&families.files_free, labels, space.files_free as f64);
            run.batch.push(&families.purgeable, labels, 0.0);
            run.batch.push(&MOUNT_INFO, &[&mount.device, &mount.major, &mount.minor, point], 1.0);
            if !mount.read_only {
                run.findings.disk(point, space.size, space.avail);
            }
        }
        // In a container our own view may be read-only where the host's is not: then an answer tells nothing.
        let known = agree(&taken, &answers).then_some(taken);
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = known;
        Ok(())
    }
}

/// Whether every mount that answers is as read-only as the table says.
fn agree(taken: &[Taken], answers: &Answers) -> bool {
    let agrees = |(taken, answer): (&Taken, &Result<Space, String>)| {
        answer.as_ref().map_or(true, |space| space.read_only == taken.mount.read_only)
    };
    taken.iter().zip(answers).all(agrees)
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use std::fs;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    use jiff::Timestamp;

    use super::*;
    use crate::clock::Clock;
    use crate::collect::Deps;
    use crate::collect::host::{FilesystemConfig, Roots};
    use crate::task::Tasks;
    use crate::telemetry::Telemetry;

    #[tokio::test]
    async fn the_table_is_read_again_when_an_answer_contradicts_it() {
        // The table of this process, without that of the first one.
        let procfs = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/proc/self", procfs.path().join("self")).unwrap();
        let table = fs::read("/proc/self/mountinfo").unwrap();
        let root = mounts::parse(&table, Path::new("/")).into_iter().rfind(|mount| mount.point == Path::new("/"));
        let truth = root.unwrap().read_only;

        let (asked, lies) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let (count, lie) = (Arc::clone(&asked), Arc::clone(&lies));
        let statvfs: Statvfs = Arc::new(move |_| {
            count.fetch_add(1, Ordering::SeqCst);
            Ok(Space { read_only: truth != lie.load(Ordering::SeqCst), ..Space::default() })
        });
        let all = |pattern: &str| Some(pattern.to_owned());
        let filesystem = FilesystemConfig {
            mount_points_include: all("^/$"),
            fs_types_include: all("."),
            ..FilesystemConfig::default()
        };
        let config = HostConfig { filesystem, ..HostConfig::default() };
        let roots = Roots { procfs: procfs.path().into(), sysfs: "/sys".into(), rootfs: "/".into() };
        let tasks = Tasks::new(&Telemetry::new());
        let deps = Deps { clock: Clock::manual(Timestamp::UNIX_EPOCH), tasks, agents: Arc::default() };
        let part = Filesystems::new(&Site { config: &config, roots, deps: &deps, statvfs: &statvfs });

        let mut run = Run::default();
        // Other programs' mounts may be announced meanwhile, and then the table is read once and none is asked twice.
        let mut times = async |lying| {
            lies.store(lying, Ordering::SeqCst);
            let before = asked.load(Ordering::SeqCst);
            part.collect(&mut run).await.unwrap();
            asked.load(Ordering::SeqCst) - before
        };
        for _ in 0..100 {
            assert_eq!(times(false).await, 1);
            if times(true).await == 2 {
                assert_eq!(times(true).await, 1, "what is not believed is not remembered");
                return;
            }
        }
        panic!("the table is never taken from the run before");
    }
}
