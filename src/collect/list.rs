//! The list of collectors, from which everything else about them derives.

use std::sync::Arc;

use super::{Collector, Schedule};

/// A collector that is enabled, ready to run.
#[derive(Clone)]
pub struct Entry {
    /// Its name in the configuration, in `collect[]`, in logs and in success metrics.
    pub name: &'static str,
    /// The names besides its own that `collect[]` takes.
    pub parts: &'static [&'static str],
    /// When and how much.
    pub schedule: Schedule,
    /// What runs.
    pub collector: Arc<dyn Collector>,
}

/// Declares a module for each collector, and what [`list!`] yields for all of them.
macro_rules! collectors {
    ($($name:ident => $($type:ident)::+),* $(,)?) => {
        $(pub mod $name;)*
        list! { $($name => $($type)::+),* }
    };
}

/// Yields the configuration, the names, the builder and the descriptions of the collectors that it is given. Apart from
/// [`collectors!`], so that a test can make a list of collectors that have no file.
macro_rules! list {
    ($($name:ident => $type:ty),* $(,)?) => {
        /// The sections `[collectors.NAME]`.
        #[derive(Clone, Debug, Default, serde::Deserialize)]
        #[serde(deny_unknown_fields, default)]
        pub struct Config {
            $(
                #[doc = concat!("`[collectors.", stringify!($name), "]`")]
                pub $name: <$type as $crate::collect::Declare>::Config,
            )*
        }

        impl Config {
            /// What is wrong beyond the syntax; keys begin with the collector's name.
            pub fn check(&self, problems: &mut $crate::config::Problems) {
                const CHECKS: &[(&str, fn(&Config, &mut $crate::config::Problems))] = &[$(
                    (stringify!($name), |config, problems| {
                        problems.within("schedule", |problems| config.$name.schedule.check(problems));
                        <$type as $crate::collect::Declare>::check(&config.$name, problems);
                    }),
                )*];
                for (name, check) in CHECKS {
                    problems.within(name, |problems| check(self, problems));
                }
            }
        }

        /// Every collector with its parts: the names that `collect[]` knows.
        pub const NAMES: &[(&str, &[&str])] =
            &[$((stringify!($name), <$type as $crate::collect::Declare>::PARTS)),*];

        /// Builds the collectors that are enabled, in the order of the list.
        pub fn build(config: &Config, deps: &$crate::collect::Deps) -> Vec<$crate::collect::Entry> {
            const BUILD: &[fn(&Config, &$crate::collect::Deps) -> Option<$crate::collect::Entry>] = &[$(
                |config, deps| {
                    config.$name.schedule.enabled.then(|| $crate::collect::Entry {
                        name: stringify!($name),
                        parts: <$type as $crate::collect::Declare>::PARTS,
                        schedule: config.$name.schedule.clone(),
                        collector: std::sync::Arc::new(<$type as $crate::collect::Declare>::build(&config.$name, deps)),
                    })
                },
            )*];
            BUILD.iter().filter_map(|build| build(config, deps)).collect()
        }

        /// The families of every collector, in the order of the list.
        pub fn descs() -> Vec<(&'static str, Vec<&'static $crate::metrics::Desc>)> {
            vec![$((stringify!($name), <$type as $crate::collect::Declare>::descs())),*]
        }
    };
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use serde::Deserialize;

    use crate::collect::{CollectError, Collector, Declare, Deps, Output, Schedule};
    use crate::config::{Document, Problem, Problems};
    use crate::metrics::Desc;

    static UP: Desc = Desc::gauge("fake_up", "Always 1.", &[]);

    struct Fake;

    #[derive(Clone, Debug, Default, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    struct FakeConfig {
        schedule: Schedule,
        size: u8,
    }

    #[async_trait]
    impl Collector for Fake {
        async fn collect(&self, out: &mut Output) -> Result<(), CollectError> {
            out.part("left").push(&UP, &[], 1.0);
            Ok(())
        }
    }

    impl Declare for Fake {
        type Config = FakeConfig;
        const PARTS: &'static [&'static str] = &["left", "right"];

        fn descs() -> Vec<&'static Desc> {
            vec![&UP]
        }

        fn check(config: &FakeConfig, problems: &mut Problems) {
            if config.size == 13 {
                problems.push(Problem::error("size", "13 brings bad luck"));
            }
        }

        fn build(_config: &FakeConfig, _deps: &Deps) -> Self {
            Self
        }
    }

    #[expect(unreachable_pub, reason = "what the macro yields is public where the real list stands")]
    mod listed {
        list! { alpha => super::Fake, beta => super::Fake }
    }

    #[derive(Default, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    struct Settings {
        collectors: listed::Config,
    }

    fn deps() -> Deps {
        let telemetry = crate::telemetry::Telemetry::new();
        Deps {
            clock: crate::clock::Clock::system(),
            tasks: crate::task::Tasks::new(&telemetry),
            agents: std::sync::Arc::default(),
        }
    }

    #[test]
    fn a_fault_in_a_section_is_reported_with_line_and_column() {
        let text = "[collectors.alpha]\nsize = 300\nsihze = 1\n[collectors.beta]\nschedule = { timout = \"4s\" }\n[collectors.gamma]\n";
        let (_, problems) = Document::new("t.toml", text).parse::<Settings>();
        let mut found: Vec<String> = problems.0.iter().map(ToString::to_string).collect();
        found.sort();
        assert_eq!(found.len(), 4, "{problems}");
        for (line, start) in found.iter().zip([
            "t.toml:2:8: error: invalid value: integer `300`",
            "t.toml:3:1: error: unknown field `sihze`",
            "t.toml:5:14: error: unknown field `timout`",
            "t.toml:6:13: error: unknown field `gamma`",
        ]) {
            assert!(line.starts_with(start), "{line}");
        }
    }

    #[test]
    fn a_check_names_the_collector_and_the_key() {
        let text = "[collectors.beta]\nsize = 13\nschedule = { timeout = \"0s\" }\n";
        let document = Document::new("t.toml", text);
        let (settings, mut problems) = document.parse::<Settings>();
        problems.within("collectors", |problems| settings.collectors.check(problems));
        document.locate(&mut problems);
        let found: Vec<_> = problems.0.iter().map(|problem| (problem.key.as_str(), problem.at.clone())).collect();
        assert_eq!(
            found,
            [
                ("collectors.beta.schedule.timeout", Some(("t.toml".into(), 3, 14))),
                ("collectors.beta.size", Some(("t.toml".into(), 2, 1)))
            ]
        );
    }

    #[test]
    fn the_list_yields_names_parts_and_families() {
        assert_eq!(listed::NAMES, [("alpha", Fake::PARTS), ("beta", Fake::PARTS)]);
        assert_eq!(listed::descs(), [("alpha", vec![&UP]), ("beta", vec![&UP])]);
    }

    #[test]
    fn a_disabled_collector_is_not_built() {
        let text =
            "[collectors.alpha]\nschedule = { enabled = false }\n[collectors.beta]\nschedule = { max_series = 7 }\n";
        let (settings, problems) = Document::new("t.toml", text).parse::<Settings>();
        assert!(problems.0.is_empty(), "{problems}");
        let entries = listed::build(&settings.collectors, &deps());
        let found: Vec<_> = entries.iter().map(|entry| (entry.name, entry.parts, entry.schedule.max_series)).collect();
        assert_eq!(found, [("beta", Fake::PARTS, 7)]);
    }
}
