//! The list of collectors, from which everything else about them derives.

use std::sync::Arc;

use super::{Collector, Endpoint, Schedule};

/// A collector that is enabled, ready to run.
#[derive(Clone)]
pub struct Entry {
    /// Its name in the configuration, in `collect[]`, in logs and in success metrics.
    pub name: &'static str,
    /// The names besides its own that `collect[]` takes.
    pub parts: &'static [&'static str],
    /// When and how much.
    pub schedule: Schedule,
    /// The exporter that it follows, and the release.
    pub follows: Option<(&'static str, &'static str)>,
    /// Where it answers for a target that the request names.
    pub endpoint: Option<Endpoint>,
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
            /// Lays the environment over what the file says; keys of problems begin with the collector's name.
            pub fn complete(
                &mut self,
                environment: &$crate::config::Environment,
                problems: &mut $crate::config::Problems,
            ) {
                $(problems.within(stringify!($name), |problems| {
                    <$type as $crate::collect::Declare>::complete(&mut self.$name, environment, problems);
                });)*
            }

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

        impl Config {
            /// What is collected from: by name, the collectors that [`build`] builds.
            pub fn watched(&self) -> Vec<(&'static str, String)> {
                let watched = [$((
                    stringify!($name),
                    Some(&self.$name)
                        .filter(|config| config.schedule.enabled)
                        .and_then(<$type as $crate::collect::Declare>::watches),
                )),*];
                watched.into_iter().filter_map(|(name, what)| Some((name, what?))).collect()
            }

            /// The enabled collectors that have nothing to collect from, each with the variable or key that would
            /// name something.
            pub fn unwatched(&self) -> Vec<(&'static str, &'static str)> {
                let named_by = [$((
                    stringify!($name),
                    <$type as $crate::collect::Declare>::NAMED_BY.filter(|_| {
                        self.$name.schedule.enabled
                            && <$type as $crate::collect::Declare>::watches(&self.$name).is_none()
                    }),
                )),*];
                named_by.into_iter().filter_map(|(name, by)| Some((name, by?))).collect()
            }
        }

        /// Every collector with its parts: the names that `collect[]` knows.
        pub const NAMES: &[(&str, &[&str])] =
            &[$((stringify!($name), <$type as $crate::collect::Declare>::PARTS)),*];

        /// Every collector with its endpoint, if it has one.
        pub const ENDPOINTS: &[(&str, Option<$crate::collect::Endpoint>)] =
            &[$((stringify!($name), <$type as $crate::collect::Declare>::ENDPOINT)),*];

        /// Builds the collectors that are enabled, in the order of the list.
        pub fn build(config: &Config, deps: &$crate::collect::Deps) -> Vec<$crate::collect::Entry> {
            const BUILD: &[fn(&Config, &$crate::collect::Deps) -> Option<$crate::collect::Entry>] = &[$(
                |config, deps| {
                    let watches = <$type as $crate::collect::Declare>::watches(&config.$name).is_some();
                    (watches && config.$name.schedule.enabled).then(|| $crate::collect::Entry {
                        name: stringify!($name),
                        parts: <$type as $crate::collect::Declare>::PARTS,
                        schedule: config.$name.schedule.clone(),
                        follows: <$type as $crate::collect::Declare>::FOLLOWS,
                        endpoint: <$type as $crate::collect::Declare>::ENDPOINT,
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

    use crate::collect::{CollectError, Collector, Declare, Deps, Endpoint, Output, Schedule};
    use crate::config::{Document, Environment, Problem, Problems};
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
        const ENDPOINT: Option<Endpoint> = Some(Endpoint { path: "/probe", keys: "fakes" });
        const NAMED_BY: Option<&'static str> = Some("FAKE_SIZE");
        const PARTS: &'static [&'static str] = &["left", "right"];

        fn descs() -> Vec<&'static Desc> {
            vec![&UP]
        }

        fn complete(config: &mut FakeConfig, environment: &Environment, problems: &mut Problems) {
            match environment.get("FAKE_SIZE").map(str::parse).transpose() {
                Ok(size) => config.size = size.unwrap_or(config.size),
                Err(_) => problems.push(Problem::warning("size", "FAKE_SIZE is no size")),
            }
        }

        fn watches(config: &FakeConfig) -> Option<String> {
            (config.size != 0).then(|| format!("size {}", config.size))
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
    fn of_many_targets_the_first_are_named() {
        let names: Vec<String> = (1..8).map(|number| format!("t{number}")).collect();
        let named = |count: usize| crate::collect::named(names.iter().take(count));
        assert_eq!((named(0), named(1)), (None, Some("t1".into())));
        assert_eq!(named(5).unwrap(), "t1, t2, t3, t4, t5");
        assert_eq!(named(7).unwrap(), "t1, t2, t3, t4, t5 and 2 more");
    }

    #[test]
    fn a_disabled_collector_is_not_built() {
        let text = "[collectors.alpha]\nsize = 1\nschedule = { enabled = false }\n[collectors.beta]\nsize = 1\nschedule = { max_series = 7 }\n";
        let (settings, problems) = Document::new("t.toml", text).parse::<Settings>();
        assert!(problems.0.is_empty(), "{problems}");
        let entries = listed::build(&settings.collectors, &deps());
        let found: Vec<_> = entries.iter().map(|entry| (entry.name, entry.parts, entry.schedule.max_series)).collect();
        assert_eq!(found, [("beta", Fake::PARTS, 7)]);
        assert_eq!(settings.collectors.watched(), [("beta", "size 1".to_owned())]);
        assert_eq!(settings.collectors.unwatched(), [], "nobody misses what was turned off");
    }

    #[test]
    fn the_environment_completes_a_section_and_one_with_nothing_to_collect_from_is_not_built() {
        let mut config = listed::Config::default();
        assert!(listed::build(&config, &deps()).is_empty());
        assert_eq!(config.watched(), []);
        assert_eq!(config.unwatched(), [("alpha", "FAKE_SIZE"), ("beta", "FAKE_SIZE")]);
        let mut problems = Problems::default();
        config.complete(&[("FAKE_SIZE", "3")].into(), &mut problems);
        assert!(problems.0.is_empty(), "{problems}");
        let endpoints: Vec<_> =
            listed::build(&config, &deps()).iter().map(|entry| entry.endpoint.unwrap().path).collect();
        assert_eq!(endpoints, ["/probe", "/probe"]);
        assert_eq!(listed::ENDPOINTS.iter().map(|(name, _)| *name).collect::<Vec<_>>(), ["alpha", "beta"]);
        config.complete(&[("FAKE_SIZE", "big")].into(), &mut problems);
        let keys: Vec<_> = problems.0.iter().map(|problem| problem.key.as_str()).collect();
        assert_eq!(keys, ["alpha.size", "beta.size"]);
    }
}
