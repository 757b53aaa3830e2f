//! Which alerts go to which channels.

use serde::Deserialize;

use super::Labels;
use super::matcher::Matcher;
use crate::config::{Problem, Problems};

/// One `[[routes]]` entry. The first that matches decides, unless it says `continue`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// All of them must match, as in Alertmanager: `severity="critical"`.
    pub matchers: Vec<String>,
    /// The channels' names.
    pub channels: Vec<String>,
    /// Whether later entries are looked at too.
    pub r#continue: bool,
}

#[derive(Clone, Debug)]
struct Route {
    matchers: Vec<Matcher>,
    channels: Vec<String>,
    r#continue: bool,
}

/// The configured routes. What none of them matches goes to every channel: better once too often than never.
#[derive(Clone, Debug, Default)]
pub struct Routes {
    rules: Vec<Route>,
    /// Every channel, in the order of the configuration.
    all: Vec<String>,
    /// Gets everything beside the routes: the console, where it is on.
    always: Vec<String>,
}

impl Routes {
    /// No routes configured: everything goes to all of `channels`.
    pub fn everything(channels: Vec<String>) -> Self {
        Self { all: channels, ..Self::default() }
    }

    /// From the configuration. `all` are the channels that exist, `always` those that get everything in any case.
    /// Problems have keys like `routes.0.matchers`.
    pub fn new(configs: &[Config], all: Vec<String>, always: Vec<String>, problems: &mut Problems) -> Self {
        let mut routes = Vec::new();
        for (index, config) in configs.iter().enumerate() {
            let mut matchers = Vec::new();
            for text in &config.matchers {
                match text.parse() {
                    Ok(matcher) => matchers.push(matcher),
                    Err(error) => problems.push(Problem::error(format!("routes.{index}.matchers"), error)),
                }
            }
            for name in config.channels.iter().filter(|name| !all.contains(name)) {
                let known =
                    if all.is_empty() { "there are none".into() } else { format!("there are: {}", all.join(", ")) };
                let key = format!("routes.{index}.channels");
                problems.push(Problem::error(key, format!("there is no channel `{name}`")).hint(known));
            }
            if config.channels.is_empty() {
                let problem =
                    Problem::warning(format!("routes.{index}"), "a route without channels drops what it matches");
                problems.push(problem.hint("name at least one channel, or take the route out"));
            }
            routes.push(Route { matchers, channels: config.channels.clone(), r#continue: config.r#continue });
        }
        Self { rules: routes, all, always }
    }

    /// Every channel, in the order of the configuration.
    pub fn all(&self) -> &[String] {
        &self.all
    }

    /// The channels of an incident, from its members' labels: each at most once, in the order of the configuration.
    pub fn channels<'a>(&self, members: impl Iterator<Item = &'a Labels>) -> Vec<String> {
        if self.rules.is_empty() {
            return self.all.clone();
        }
        let mut wanted: Vec<&String> = self.always.iter().collect();
        for labels in members {
            wanted.extend(self.of(labels));
        }
        self.all.iter().filter(|name| wanted.contains(name)).cloned().collect()
    }

    fn of(&self, labels: &Labels) -> Vec<&String> {
        let mut channels = Vec::new();
        let mut matched = false;
        for route in self.rules.iter().filter(|route| route.matchers.iter().all(|matcher| matcher.matches(labels))) {
            matched = true;
            channels.extend(&route.channels);
            if !route.r#continue {
                break;
            }
        }
        if matched { channels } else { self.all.iter().collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routes(configs: &[(&[&str], &[&str], bool)]) -> Routes {
        let texts = |list: &[&str]| list.iter().map(ToString::to_string).collect::<Vec<_>>();
        let configs: Vec<_> = configs
            .iter()
            .map(|(matchers, channels, more)| Config {
                matchers: texts(matchers),
                channels: texts(channels),
                r#continue: *more,
            })
            .collect();
        let mut problems = Problems::default();
        let routes = Routes::new(&configs, texts(&["console", "ops", "mail"]), texts(&["console"]), &mut problems);
        assert!(problems.0.is_empty(), "{problems}");
        routes
    }

    fn channels(routes: &Routes, severity: &str) -> String {
        let labels = Labels::from([("severity".to_owned(), severity.to_owned())]);
        routes.channels([&labels].into_iter()).join(" ")
    }

    #[test]
    fn without_routes_every_channel_gets_everything() {
        assert_eq!(channels(&Routes::everything(vec!["a".into(), "b".into()]), "x"), "a b");
    }

    #[test]
    fn the_first_route_that_matches_decides() {
        let routes =
            routes(&[(&[r#"severity="critical""#], &["mail"], false), (&[r#"severity=~".+""#], &["ops"], false)]);
        assert_eq!(channels(&routes, "critical"), "console mail");
        assert_eq!(channels(&routes, "warning"), "console ops");
    }

    #[test]
    fn continue_looks_further() {
        let routes = routes(&[(&[r#"severity="critical""#], &["mail"], true), (&[], &["ops"], false)]);
        assert_eq!(channels(&routes, "critical"), "console ops mail");
    }

    #[test]
    fn what_no_route_matches_goes_everywhere() {
        let routes = routes(&[(&[r#"severity="critical""#], &["mail"], false)]);
        assert_eq!(channels(&routes, "warning"), "console ops mail");
    }

    #[test]
    fn faults_are_named_with_their_place() {
        let config = Config { matchers: vec!["nonsense".into()], channels: vec!["nobody".into()], r#continue: false };
        let mut problems = Problems::default();
        Routes::new(&[config], vec!["ops".into()], vec![], &mut problems);
        let keys: Vec<_> = problems.0.iter().map(|problem| problem.key.as_str()).collect();
        assert_eq!(keys, ["routes.0.matchers", "routes.0.channels"]);
    }
}
