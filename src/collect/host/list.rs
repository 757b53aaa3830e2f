//! The list of parts, from which everything else about them derives.

use super::{HostConfig, Part, Roots, Statvfs};
use crate::collect::Deps;
use crate::config::Problems;
use crate::metrics::Desc;

/// What a part is built with.
pub(super) struct Site<'a> {
    pub(super) config: &'a HostConfig,
    pub(super) roots: Roots,
    pub(super) deps: &'a Deps,
    pub(super) statvfs: &'a Statvfs,
}

/// What the list asks of a part's type.
pub(super) trait Listed: Part + Sized + 'static {
    /// Every family that it may write.
    fn descs() -> Vec<&'static Desc>;

    /// What is wrong with its section beyond its syntax; keys relative to `[collectors.host]`.
    fn check(_config: &HostConfig, _problems: &mut Problems) {}

    /// Builds it. Reads nothing: that is a run's work.
    fn new(site: &Site<'_>) -> Self;
}

/// A part as the list has it.
pub(super) struct Row {
    pub(super) name: &'static str,
    /// Whether it runs unless the configuration says otherwise: as node_exporter's collector does.
    pub(super) on: bool,
    pub(super) descs: fn() -> Vec<&'static Desc>,
    pub(super) check: fn(&HostConfig, &mut Problems),
    pub(super) build: fn(&Site<'_>) -> Box<dyn Part>,
}

/// Declares a module for each part, and the section `[collectors.host]` with a key for each part that has options.
macro_rules! parts {
    ($($name:ident => $type:ident, $state:ident $(, $section:ty)?;)*) => {
        $(mod $name;)*

        /// The parts' names.
        pub(super) const NAMES: &[&str] = &[$(stringify!($name)),*];

        /// The parts, in the order in which they run.
        const LIST: &[list::Row] = &[$(list::Row {
            name: stringify!($name),
            on: parts!(@ $state),
            descs: <$name::$type as list::Listed>::descs,
            check: <$name::$type as list::Listed>::check,
            build: |site| Box::new(<$name::$type as list::Listed>::new(site)),
        }),*];

        /// How the host is read.
        #[derive(Clone, Debug, serde::Deserialize)]
        #[serde(deny_unknown_fields, default)]
        pub struct HostConfig {
            /// When and how much.
            pub schedule: $crate::collect::Schedule,
            /// What reads it; by default what the system offers.
            pub backend: Backend,
            /// Where the host's `/proc` is seen.
            pub procfs: std::path::PathBuf,
            /// Where the host's `/sys` is seen.
            pub sysfs: std::path::PathBuf,
            /// Where the host's `/` is seen.
            pub rootfs: std::path::PathBuf,
            /// Which parts run.
            pub parts: Parts,
            /// The older release whose labels are written: `["1.5"]` leaves out what later ones added to series that
            /// were there before: `device_error`, `rotational` and `adminstate`.
            pub names: Vec<String>,
            $($(
                #[doc = concat!("The options of the part `", stringify!($name), "`.")]
                pub $name: $section,
            )?)*
        }

        impl Default for HostConfig {
            fn default() -> Self {
                Self {
                    schedule: $crate::collect::Schedule::default(),
                    backend: Backend::default(),
                    procfs: "/proc".into(),
                    sysfs: "/sys".into(),
                    rootfs: "/".into(),
                    parts: Parts::default(),
                    names: Vec::new(),
                    $($($name: <$section>::default(),)?)*
                }
            }
        }
    };
    (@ on) => { true };
    (@ off) => { false };
}
