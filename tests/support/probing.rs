//! The collector of probes in this process, asked as `/probe` asks it and run as a scrape runs it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tidewatch::clock::Clock;
use tidewatch::collect::{self, Answer, Config, Deps, Entry, Output, Question, Refused};
use tidewatch::config::{Document, Environment, Problems};
use tidewatch::metrics::Batch;
use tidewatch::metrics::expose::{self, Format};
use tidewatch::task::Tasks;
use tidewatch::telemetry::Telemetry;

/// The collector with a section.
pub(crate) struct Prober(Entry);

/// The samples of a probe, by their series as they are written.
#[derive(Debug)]
pub(crate) struct Probed {
    pub(crate) text: String,
    series: BTreeMap<String, f64>,
}

impl Prober {
    /// With the section `[probes]` of this text, which must be without faults.
    pub(crate) fn new(section: &str) -> Self {
        let (mut config, mut problems) = Document::new("t.toml", section).parse::<Config>();
        config.complete(&Environment::default(), &mut problems);
        config.check(&mut problems);
        assert!(!problems.fatal(), "{problems}");
        let tasks = Tasks::new(&Telemetry::new());
        let deps = Deps { clock: Clock::system(), tasks, agents: Arc::default() };
        let entry = collect::build(&config, &deps).into_iter().find(|entry| entry.name == "probes");
        Self(entry.expect("a section with something to probe"))
    }

    /// What is wrong with a section.
    pub(crate) fn problems(section: &str) -> Problems {
        let (mut config, mut problems) = Document::new("t.toml", section).parse::<Config>();
        config.complete(&Environment::default(), &mut problems);
        config.check(&mut problems);
        problems
    }

    /// Asks `/probe`.
    pub(crate) async fn ask(&self, query: &[(&str, &str)]) -> Result<Answer, Refused> {
        self.ask_within(query, Duration::from_secs(20)).await
    }

    pub(crate) async fn ask_within(&self, query: &[(&str, &str)], limit: Duration) -> Result<Answer, Refused> {
        let query = query.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let question = Question { query, limit };
        tokio::time::timeout(limit, self.0.collector.answer(&question)).await.expect("an answer within the limit")
    }

    /// The samples of a probe.
    pub(crate) async fn probe(&self, target: &str, module: &str) -> Probed {
        match self.ask(&[("target", target), ("module", module)]).await {
            Ok(Answer::Samples(batch)) => Probed::of(&[&batch]),
            other => panic!("{target} by {module}: {other:?}"),
        }
    }

    /// The transcript of a probe.
    pub(crate) async fn transcript(&self, target: &str, module: &str) -> String {
        match self.ask(&[("target", target), ("module", module), ("debug", "true")]).await {
            Ok(Answer::Text(text)) => text,
            other => panic!("{target} by {module}: {other:?}"),
        }
    }

    /// One run over the static targets.
    pub(crate) async fn run(&self) -> (Probed, Output) {
        let mut out = Output::default();
        let limit = self.0.schedule.timeout.0;
        tokio::time::timeout(limit, self.0.collector.collect(&mut out)).await.expect("within the deadline").unwrap();
        let batches: Vec<&Batch> = out.parts().map(|(_, batch)| batch).collect();
        (Probed::of(&batches), out)
    }
}

impl Probed {
    fn of(batches: &[&Batch]) -> Self {
        let mut text = Vec::new();
        let dropped = expose::write(batches, Format::Text, &mut text);
        assert!(dropped.is_empty(), "{dropped:?}");
        let text = String::from_utf8(text).unwrap();
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let series = lines.map(|line| line.rsplit_once(' ').unwrap());
        let series = series.map(|(name, value)| (name.to_owned(), value.parse().unwrap())).collect();
        Self { text, series }
    }

    /// A sample's value.
    pub(crate) fn value(&self, series: &str) -> f64 {
        self.get(series).unwrap_or_else(|| panic!("no {series} in:\n{}", self.text))
    }

    pub(crate) fn get(&self, series: &str) -> Option<f64> {
        self.series.get(series).copied()
    }

    /// Whether the probe succeeded.
    pub(crate) fn success(&self) -> bool {
        self.value("probe_success") > 0.5
    }
}
