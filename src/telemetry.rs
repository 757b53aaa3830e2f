//! Logs and the program's own counters: `tracing` to standard error, and one registry of the `prometheus` crate that is
//! passed in, never global.

use prometheus::{GaugeVec, HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts, Registry, core::Collector};

/// The registry of the program's own counters. Clones share it. Asking twice for a name gives the same family.
#[derive(Clone, Default)]
pub struct Telemetry {
    registry: Registry,
}

impl Telemetry {
    /// An empty registry.
    pub fn new() -> Self {
        Self::default()
    }

    /// A counter; `name` ends in `_total`.
    pub fn counter(&self, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
        self.register(IntCounterVec::new(Opts::new(name, help), labels))
    }

    /// A gauge of whole numbers.
    pub fn gauge(&self, name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
        self.register(IntGaugeVec::new(Opts::new(name, help), labels))
    }

    /// A gauge of floating-point numbers.
    pub fn float_gauge(&self, name: &str, help: &str, labels: &[&str]) -> GaugeVec {
        self.register(GaugeVec::new(Opts::new(name, help), labels))
    }

    /// A histogram of seconds.
    pub fn histogram(&self, name: &str, help: &str, labels: &[&str], buckets: &[f64]) -> HistogramVec {
        self.register(HistogramVec::new(HistogramOpts::new(name, help).buckets(buckets.to_vec()), labels))
    }

    #[expect(clippy::expect_used, reason = "names and labels are literals of this program: a bad one fails every test")]
    fn register<C: Collector + Clone + 'static>(&self, family: prometheus::Result<C>) -> C {
        let family = family.expect("a literal name, help and labels");
        self.registry.register(Box::new(family.clone())).expect("each family is made once");
        family
    }
}
