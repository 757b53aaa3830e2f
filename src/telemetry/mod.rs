//! Logs and the program's own counters: `tracing` to standard error, and one registry of the `prometheus` crate that is
//! passed in, never global.

mod lines;
mod logging;
mod process;

use std::any::Any;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus::core::Collector;
use prometheus::proto::{Metric, MetricFamily, MetricType};
use prometheus::{GaugeVec, HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts, Registry};

use crate::metrics::{Batch, Desc, Histogram, Kind};

pub use logging::{LogFormat, LogLevel, LoggingError, check_level, flush, logging};

static BUILD_INFO: Desc =
    Desc::gauge("tidewatch_build_info", "Always 1; the labels tell what is running.", &["version", "revision"]);

/// The registry of the program's own counters. Clones share it. Asking twice for a name gives the same family.
#[derive(Clone, Default)]
pub struct Telemetry {
    registry: Registry,
    families: Arc<Mutex<HashMap<String, Family>>>,
    started: Option<f64>,
}

/// A family that was asked for: its description, and one of the `prometheus` crate's vectors.
struct Family {
    desc: Desc,
    vector: Box<dyn Any + Send>,
}

impl Telemetry {
    /// An empty registry.
    pub fn new() -> Self {
        Self { started: process::started(), ..Self::default() }
    }

    /// A counter; `name` ends in `_total`.
    pub fn counter(&self, name: &str, help: &str, labels: &[&'static str]) -> IntCounterVec {
        self.family(described(Kind::Counter, name, help, labels), || IntCounterVec::new(Opts::new(name, help), labels))
    }

    /// A gauge of whole numbers.
    pub fn gauge(&self, name: &str, help: &str, labels: &[&'static str]) -> IntGaugeVec {
        self.family(described(Kind::Gauge, name, help, labels), || IntGaugeVec::new(Opts::new(name, help), labels))
    }

    /// A gauge of floating-point numbers.
    pub fn float_gauge(&self, name: &str, help: &str, labels: &[&'static str]) -> GaugeVec {
        self.family(described(Kind::Gauge, name, help, labels), || GaugeVec::new(Opts::new(name, help), labels))
    }

    /// A histogram of seconds.
    pub fn histogram(&self, name: &str, help: &str, labels: &[&'static str], buckets: &[f64]) -> HistogramVec {
        self.family(described(Kind::Histogram, name, help, labels), || {
            HistogramVec::new(HistogramOpts::new(name, help).buckets(buckets.to_vec()), labels)
        })
    }

    /// Pushes every family of the registry, the build's, the log's and the process's.
    pub fn collect(&self, batch: &mut Batch) {
        let revision = option_env!("TIDEWATCH_REVISION").unwrap_or_default();
        batch.push(&BUILD_INFO, &[env!("CARGO_PKG_VERSION"), revision], 1.0);
        lines::STDERR.collect(batch);
        process::collect(self.started, batch);
        for family in self.registry.gather() {
            push(&family, batch);
        }
    }

    /// Every family that was asked for so far, and those that exist without a registry: for the documentation.
    pub fn families(&self) -> Vec<Desc> {
        let asked = self.families.lock().unwrap_or_else(PoisonError::into_inner);
        asked.values().map(|family| &family.desc).chain(Self::descs()).cloned().collect()
    }

    /// The families that exist without a registry.
    pub fn descs() -> Vec<&'static Desc> {
        [&BUILD_INFO, &lines::DROPPED].into_iter().chain(process::DESCS).collect()
    }

    #[expect(
        clippy::expect_used,
        reason = "names, labels and types are literals of this program: tests find a bad one"
    )]
    fn family<C>(&self, desc: Desc, make: impl FnOnce() -> prometheus::Result<C>) -> C
    where
        C: Collector + Clone + 'static,
    {
        let mut families = self.families.lock().unwrap_or_else(PoisonError::into_inner);
        let known = families.entry(desc.name.to_string()).or_insert_with(|| {
            let family = make().expect("a literal name, help and labels");
            self.registry.register(Box::new(family.clone())).expect("the name is new");
            Family { desc, vector: Box::new(family) }
        });
        known.vector.downcast_ref::<C>().expect("a name has one type").clone()
    }
}

fn described(kind: Kind, name: &str, help: &str, labels: &[&'static str]) -> Desc {
    Desc { labels: labels.to_vec().into(), ..Desc::named(kind, name.to_owned(), help.to_owned(), &[]) }
}

/// Pushes what the registry gathered of one family.
fn push(family: &MetricFamily, batch: &mut Batch) {
    let kind = match family.get_field_type() {
        MetricType::COUNTER => Kind::Counter,
        MetricType::GAUGE => Kind::Gauge,
        MetricType::HISTOGRAM => Kind::Histogram,
        // This registry makes no other types.
        MetricType::SUMMARY | MetricType::UNTYPED => return,
    };
    let desc = Desc::named(kind, family.name().to_owned(), family.help().to_owned(), &[]);
    for metric in family.get_metric() {
        let labels: Vec<_> = metric.get_label().iter().map(|label| (label.name(), label.value())).collect();
        match kind {
            Kind::Counter => batch.push_labelled(&desc, &labels, metric.get_counter().get_value()),
            Kind::Histogram => batch.push_histogram_labelled(&desc, &labels, histogram(metric)),
            _ => batch.push_labelled(&desc, &labels, metric.get_gauge().get_value()),
        }
    }
}

fn histogram(metric: &Metric) -> Histogram {
    let told = metric.get_histogram();
    let finite = || told.get_bucket().iter().filter(|bucket| bucket.upper_bound().is_finite());
    Histogram {
        bounds: finite().map(prometheus::proto::Bucket::upper_bound).collect(),
        cumulative: finite()
            .map(prometheus::proto::Bucket::cumulative_count)
            .chain([told.get_sample_count()])
            .collect(),
        sum: told.get_sample_sum(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::expose::{self, Format};

    fn exposed(telemetry: &Telemetry) -> String {
        let mut batch = Batch::new();
        telemetry.collect(&mut batch);
        let mut out = Vec::new();
        assert_eq!(expose::write(&[&batch], Format::OpenMetrics, &mut out), []);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn asking_twice_gives_the_same_family() {
        let telemetry = Telemetry::new();
        for _ in 0..2 {
            telemetry.counter("a_total", "A.", &["x"]).with_label_values(&["1"]).inc();
            telemetry.gauge("b", "B.", &[]).with_label_values::<&str>(&[]).inc();
            telemetry.float_gauge("c", "C.", &[]).with_label_values::<&str>(&[]).add(0.5);
            telemetry.clone().histogram("d", "D.", &[], &[1.0]).with_label_values::<&str>(&[]).observe(2.0);
        }
        let text = exposed(&telemetry);
        assert!(text.contains("# HELP a A.\n# TYPE a counter\na_total{x=\"1\"} 2\n"), "{text}");
        assert!(text.contains("# TYPE b gauge\nb 2\n") && text.contains("\nc 1\n"), "{text}");
        assert!(text.contains("d_bucket{le=\"1.0\"} 0\nd_bucket{le=\"+Inf\"} 2\nd_sum 4\nd_count 2\n"), "{text}");
    }

    #[test]
    fn a_family_is_described_before_it_has_a_series() {
        let telemetry = Telemetry::new();
        telemetry.counter("a_total", "A.", &["x"]);
        let known = telemetry.families();
        assert!(known.contains(&Desc::counter("a_total", "A.", &["x"])), "{known:?}");
        assert_eq!(known.len(), Telemetry::descs().len() + 1);
    }

    #[test]
    fn the_build_and_the_process_are_told() {
        let text = exposed(&Telemetry::new());
        assert!(text.contains(concat!("tidewatch_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\",revision=")));
        let families = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
        let declared = Telemetry::descs().into_iter().map(|desc| desc.name.trim_end_matches("_total"));
        assert_eq!(families.collect::<Vec<_>>(), declared.collect::<Vec<_>>());
    }
}
