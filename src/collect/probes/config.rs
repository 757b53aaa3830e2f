//! The section `[collectors.probes]`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde::Deserialize;

use super::module::{Module, Prober};
use super::reach::Pattern;
use super::{costly, defaults, foreign, gaps, http};
use crate::collect::Schedule;
use crate::config::{Problem, ProblemSeverity, Problems, Span};

/// What is probed, how, and what `/probe` may reach.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ProbesConfig {
    /// When and how much.
    pub schedule: Schedule,
    /// A `blackbox.yml`: its modules instead of the default ones.
    pub modules_file: Option<PathBuf>,
    /// Modules of our own; they win over those of the file.
    pub modules: BTreeMap<String, Module>,
    /// What is probed with every scrape.
    pub targets: Vec<Target>,
    /// Patterns of what `/probe` may reach besides the targets: `https://*.example.org/*`.
    pub allow: Vec<String>,
    /// So many probes of one scrape run at once.
    pub concurrency: usize,
    #[serde(skip)]
    pub(super) file: Option<FileModules>,
}

/// What the file held.
#[derive(Clone, Debug, Default)]
pub(super) struct FileModules {
    modules: BTreeMap<String, Module>,
    problems: Vec<Problem>,
}

/// One target.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Target {
    /// What is probed: a URL, a host, a host with a port, as the module wants it.
    pub target: String,
    /// How.
    pub module: String,
    /// The label `job`.
    pub job: String,
    /// The label `instance`; the target itself, if not said.
    pub instance: String,
    /// The name in the request and in the certificate, where it is not the target's.
    pub hostname: Option<String>,
    /// The longest that this probe takes; the module's, if not said, else 5 s.
    pub timeout: Option<Span>,
}

impl Default for ProbesConfig {
    fn default() -> Self {
        Self {
            schedule: Schedule::default(),
            modules_file: None,
            modules: BTreeMap::new(),
            targets: Vec::new(),
            allow: Vec::new(),
            concurrency: 256,
            file: None,
        }
    }
}

impl Target {
    /// The module's name; the original's default, if none is said.
    pub(super) fn module(&self) -> &str {
        if self.module.is_empty() { super::DEFAULT_MODULE } else { &self.module }
    }

    pub(super) fn job(&self) -> &str {
        if self.job.is_empty() { "blackbox" } else { &self.job }
    }

    pub(super) fn instance(&self) -> &str {
        if self.instance.is_empty() { &self.target } else { &self.instance }
    }
}

impl ProbesConfig {
    /// Reads the file of modules, once for checking and building.
    pub(super) fn load(&mut self) {
        let Some(file) = &self.modules_file else { return };
        let read = foreign::read(file);
        self.file = Some(match read {
            Ok((modules, problems)) => FileModules { modules, problems },
            Err(problem) => FileModules { modules: BTreeMap::new(), problems: vec![problem] },
        });
    }

    /// Every module by its name.
    pub(super) fn all_modules(&self) -> BTreeMap<String, Module> {
        let mut modules = match &self.file {
            Some(file) => file.modules.clone(),
            None => defaults::modules(),
        };
        modules.extend(self.modules.clone());
        modules
    }

    pub(super) fn check(&self, problems: &mut Problems) {
        let from_file = self.file.iter().flat_map(|file| &file.problems);
        for problem in from_file {
            problems.push(Problem { key: "modules_file".into(), ..problem.clone() });
        }
        let broken = problems.fatal();
        for (name, module) in &self.modules {
            for gap in gaps::of(module) {
                let severity = if gap.fails { ProblemSeverity::Error } else { ProblemSeverity::Warning };
                let problem = Problem::error(format!("modules.{name}.{}", gap.key), gap.what);
                problems.push(Problem { severity, ..problem });
            }
        }
        if self.concurrency == 0 {
            problems.push(Problem::error("concurrency", "no probe ever runs").hint("write 256, or leave it out"));
        }
        for (at, text) in self.allow.iter().enumerate() {
            match Pattern::parse(text) {
                Err(error) => problems.push(
                    Problem::error(format!("allow.{at}"), error)
                        .hint("write it like https://*.example.org/* or db:5432"),
                ),
                Ok(pattern) => {
                    if pattern.is_everywhere() {
                        let problem = Problem::warning(format!("allow.{at}"), "it names every host");
                        problems.push(problem.hint("whoever reaches /probe can look round this network: name hosts"));
                    }
                    let costly = |target: String| costly::warning(&target, &Module::of(Prober::Http));
                    if let Some((what, hint)) = pattern.examples().find_map(costly) {
                        problems.push(Problem::warning(format!("allow.{at}"), what).hint(hint));
                    }
                }
            }
        }
        self.check_targets(broken, problems);
    }

    fn check_targets(&self, broken: bool, problems: &mut Problems) {
        let modules = self.all_modules();
        let mut seen = BTreeSet::new();
        for (at, target) in self.targets.iter().enumerate() {
            let key = |name: &str| format!("targets.{at}.{name}");
            if target.target.is_empty() {
                problems.push(Problem::error(format!("targets.{at}"), "it says no `target`"));
                continue;
            }
            if !seen.insert((target.job(), target.instance())) {
                let what = format!("another target is {} of job {} already", target.instance(), target.job());
                problems.push(Problem::error(key("target"), what).hint("give one of them another `job` or `instance`"));
            }
            let Some(module) = modules.get(target.module()) else {
                if !broken {
                    let known: Vec<&str> = modules.keys().map(String::as_str).collect();
                    let problem = Problem::error(key("module"), format!("there is no module `{}`", target.module()));
                    problems.push(problem.hint(format!("there are: {}", known.join(", "))));
                }
                continue;
            };
            if module.prober == Prober::Http {
                match http::url(&target.target) {
                    Err(error) => problems.push(Problem::error(key("target"), error)),
                    Ok(url) if !url.username().is_empty() || url.password().is_some() => {
                        let problem = Problem::error(key("target"), "it holds credentials, which labels would show");
                        problems.push(problem.hint("put them into a module: http = { basic_auth = { … } }"));
                    }
                    Ok(_) => {}
                }
            }
            if let Some((what, hint)) = costly::warning(&target.target, module) {
                problems.push(Problem::warning(key("target"), what).hint(hint));
            }
            if target.timeout.is_some_and(|timeout| timeout >= self.schedule.timeout) {
                problems.push(
                    Problem::warning(key("timeout"), "not shorter than `schedule.timeout`, which ends all probes")
                        .hint("raise schedule.timeout, and the scraper's timeout above it"),
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> Vec<String> {
        let (mut config, mut problems) = crate::config::Document::new("t.toml", text).parse::<ProbesConfig>();
        config.load();
        config.check(&mut problems);
        problems.0.into_iter().map(|problem| format!("{}: {}", problem.key, problem.message)).collect()
    }

    #[test]
    fn what_is_wrong_is_named_by_its_key() {
        let text = "allow = ['ftp://x']\nconcurrency = 0\n\
            targets = [{ target = 'h', module = 'htpp_2xx' }, { target = 'https://u:canary@h/' }, { module = 'icmp' },\n\
            { target = 'x', module = 'icmp' }, { target = 'x', module = 'tcp_connect' }]\n\
            [modules.m]\nprober = 'http'\nhttp = { compression = 'br' }\n";
        let found = problems(text);
        let keys: Vec<_> = found.iter().map(|problem| problem.split(':').next().unwrap()).collect();
        assert_eq!(
            keys,
            [
                "modules.m.http.compression",
                "concurrency",
                "allow.0",
                "targets.0.module",
                "targets.1.target",
                "targets.2",
                "targets.4.target"
            ]
        );
        assert!(!found.join("\n").contains("canary"));
    }

    #[test]
    fn a_pattern_that_names_every_host_is_warned_of() {
        assert_eq!(problems("allow = ['*:*/*']"), ["allow.0: it names every host"]);
        assert_eq!(problems("allow = ['*.example.org']"), [""; 0]);
    }

    #[test]
    fn what_costs_money_is_warned_of() {
        let found = problems(
            "allow = ['litellm:4000/health', 'http://gateway:4000/*']\ntargets = [{ target = 'http://litellm:4000/health' }]\n",
        );
        assert_eq!(found.len(), 3, "{found:?}");
        assert!(found.iter().all(|problem| problem.contains("costs money")), "{found:?}");
    }
}
