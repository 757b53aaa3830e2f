//! Writes batches in the text format 0.0.4 or OpenMetrics 1.0.0.

use flate2::{Compress, Compression, FlushCompress, Status};

use super::batch::Distribution;
use super::merge::{Merged, merge};
use super::text::{append_all, append_escaped, append_help, append_integer, append_value, go_float, open_float};
use super::{Batch, Dropped, Kind};

pub use super::format::{Format, accepts_gzip};

/// zlib-rs at level 1 gives 10 to 50 % more bytes, above 2 it costs much more than the rendering.
const LEVEL: Compression = Compression::new(2);
/// The largest window, 32 KiB, as every decompressor takes it.
const WINDOW_BITS: u8 = 15;

/// Appends `batches` as one exposition to `out`: a family at a time over all of them, without timestamps. Returns what
/// could not be written without making the exposition invalid.
pub fn write(batches: &[&Batch], format: Format, out: &mut Vec<u8>) -> Vec<Dropped> {
    let (families, dropped) = merge(batches);
    for family in &families {
        write_header(family, format, out);
        family.lines.write(out);
        for (labels, distribution) in &family.distributions {
            Writer { name: &family.desc.name, labels, format, out }.write(distribution);
        }
    }
    if format == Format::OpenMetrics {
        out.extend_from_slice(b"# EOF\n");
    }
    dropped
}

/// Compresses expositions for scrapers that accept gzip. Its tables, a quarter of a MiB, are used again.
#[derive(Debug)]
pub struct Gzip(Compress);

impl Default for Gzip {
    fn default() -> Self {
        Self(Compress::new_gzip(LEVEL, WINDOW_BITS))
    }
}

impl Gzip {
    /// Appends `plain`, compressed, to `out`.
    #[expect(clippy::expect_used, clippy::missing_panics_doc, reason = "compressing from memory to memory cannot fail")]
    pub fn pack(&mut self, plain: &[u8], out: &mut Vec<u8>) {
        self.0.reset();
        loop {
            let read = usize::try_from(self.0.total_in()).expect("what is read lies in memory");
            // An exposition shrinks to an eighth or less.
            out.reserve(plain.len() / 8 + 1_024);
            let status = self.0.compress_vec(&plain[read..], out, FlushCompress::Finish);
            if status.expect("a sound stream") == Status::StreamEnd {
                return;
            }
        }
    }
}

fn write_header(family: &Merged<'_>, format: Format, out: &mut Vec<u8>) {
    let open = format == Format::OpenMetrics;
    let (name, kind) = match (family.desc.kind, family.counter) {
        (Kind::Counter, Some(base)) if open => (base, "counter"),
        (Kind::Counter | Kind::Unknown, _) if open => (family.desc.name.as_ref(), "unknown"),
        (Kind::Counter, _) => (family.desc.name.as_ref(), "counter"),
        (Kind::Gauge, _) => (family.desc.name.as_ref(), "gauge"),
        (Kind::Histogram, _) => (family.desc.name.as_ref(), "histogram"),
        (Kind::Summary, _) => (family.desc.name.as_ref(), "summary"),
        (Kind::Unknown, _) => (family.desc.name.as_ref(), "untyped"),
    };
    if !family.desc.help.is_empty() {
        append_all(out, ["# HELP ", name, " "]);
        if open {
            append_escaped(out, &family.desc.help);
        } else {
            append_help(out, &family.desc.help);
        }
        out.push(b'\n');
    }
    append_all(out, ["# TYPE ", name, " ", kind, "\n"]);
}

/// Writes the series of one histogram or summary.
struct Writer<'a> {
    name: &'a str,
    labels: &'a [u8],
    format: Format,
    out: &'a mut Vec<u8>,
}

impl Writer<'_> {
    fn write(mut self, distribution: &Distribution) {
        match distribution {
            Distribution::Histogram(histogram) => {
                let bounds = histogram.bounds.iter().copied().chain([f64::INFINITY]);
                for (bound, count) in bounds.zip(&histogram.cumulative) {
                    self.write_name("_bucket", Some(("le", bound)));
                    self.write_count(*count);
                }
                // OpenMetrics: no sum, and so no count, where observations may be negative.
                let negative = histogram.bounds.first().is_some_and(|bound| *bound < 0.0);
                if self.format == Format::Text || (!negative && histogram.sum >= 0.0) {
                    self.write_sum(histogram.sum);
                    self.write_name("_count", None);
                    self.write_count(histogram.cumulative.last().copied().unwrap_or(0));
                }
            }
            Distribution::Summary(summary) => {
                for (quantile, value) in &summary.quantiles {
                    if self.allows(*value) || value.is_nan() {
                        self.write_name("", Some(("quantile", *quantile)));
                        self.write_value(*value);
                    }
                }
                if self.allows(summary.sum) {
                    self.write_sum(summary.sum);
                }
                self.write_name("_count", None);
                self.write_count(summary.count);
            }
        }
    }

    /// OpenMetrics takes no negative quantile, and no sum that is negative or NaN.
    fn allows(&self, value: f64) -> bool {
        self.format == Format::Text || value >= 0.0
    }

    fn write_sum(&mut self, sum: f64) {
        self.write_name("_sum", None);
        self.write_value(sum);
    }

    fn write_name(&mut self, suffix: &str, bound: Option<(&str, f64)>) {
        append_all(self.out, [self.name, suffix]);
        if bound.is_none() && self.labels.is_empty() {
            return;
        }
        self.out.push(b'{');
        self.out.extend_from_slice(self.labels);
        if let Some((label, bound)) = bound {
            let bound = if self.format == Format::Text { go_float(bound) } else { open_float(bound) };
            let comma = if self.labels.is_empty() { "" } else { "," };
            append_all(self.out, [comma, label, "=\"", &bound, "\""]);
        }
        self.out.push(b'}');
    }

    fn write_value(&mut self, value: f64) {
        self.out.push(b' ');
        append_value(self.out, value);
        self.out.push(b'\n');
    }

    fn write_count(&mut self, count: u64) {
        self.out.push(b' ');
        append_integer(self.out, count);
        self.out.push(b'\n');
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::super::{Desc, Histogram, Reason, Summary};
    use super::*;

    static LOAD: Desc = Desc::gauge("load", "Load \\ \"of\"\nthe host.", &["host"]);
    static SWITCHES: Desc = Desc::counter("switches_total", "Context switches.", &[]);
    static SCANS: Desc = Desc::counter("scans", "Scans, under their known name.", &[]);
    static OLD: Desc = Desc::unknown("old", "", &[]);
    static SECONDS: Desc = Desc::histogram("seconds", "Seconds.", &["way"]);

    fn written(batches: &[&Batch], format: Format) -> (String, Vec<Dropped>) {
        let mut out = Vec::new();
        let dropped = write(batches, format, &mut out);
        (String::from_utf8(out).unwrap(), dropped)
    }

    fn dropped(family: &str, series: usize, reason: Reason) -> Dropped {
        Dropped { family: family.into(), series, reason }
    }

    #[test]
    fn both_formats_are_written_family_by_family_over_all_batches() {
        let (mut a, mut b) = (Batch::new(), Batch::new());
        a.push(&LOAD, &["a\"\\\n"], 0.5);
        a.push(&SWITCHES, &[], 7.0);
        a.push(&SCANS, &[], 1.0);
        a.push(&OLD, &[], f64::NAN);
        let histogram = Histogram { bounds: vec![0.5, 1.0], cumulative: vec![1, 1, 3], sum: 9.5 };
        a.push_histogram(&SECONDS, &["in"], &histogram);
        b.push(&LOAD, &["b"], f64::INFINITY);
        assert_eq!((a.series(), b.series()), (9, 1));
        let (text, left_out) = written(&[&a, &b], Format::Text);
        assert_eq!(
            text,
            r#"# HELP load Load \\ "of"\nthe host.
# TYPE load gauge
load{host="a\"\\\n"} 0.5
load{host="b"} +Inf
# HELP switches_total Context switches.
# TYPE switches_total counter
switches_total 7
# HELP scans Scans, under their known name.
# TYPE scans counter
scans 1
# TYPE old untyped
old NaN
# HELP seconds Seconds.
# TYPE seconds histogram
seconds_bucket{way="in",le="0.5"} 1
seconds_bucket{way="in",le="1"} 1
seconds_bucket{way="in",le="+Inf"} 3
seconds_sum{way="in"} 9.5
seconds_count{way="in"} 3
"#
        );
        assert_eq!(left_out, []);
        assert_eq!(
            written(&[&a, &b], Format::OpenMetrics).0,
            text.replace(r#""of""#, r#"\"of\""#)
                .replace("HELP switches_total", "HELP switches")
                .replace("TYPE switches_total", "TYPE switches")
                .replace("scans counter", "scans unknown")
                .replace("untyped", "unknown")
                .replace(r#"le="1""#, r#"le="1.0""#)
                + "# EOF\n"
        );
    }

    #[test]
    fn what_a_source_tells_cannot_break_the_exposition() {
        let named = |kind, name: &str| Desc::named(kind, name.into(), String::new(), &[]);
        let (mut a, mut b) = (Batch::new(), Batch::new());
        a.push(&LOAD, &["x"], 1.0);
        a.push(&LOAD, &["y"], 2.0);
        a.push(&named(Kind::Counter, "load"), &[], 1.0);
        a.push_labelled(&LOAD, &[("bad name", "")], 1.0);
        a.push_labelled(&LOAD, &[("twice", ""), ("twice", "")], 1.0);
        a.push(&named(Kind::Gauge, "bad\nname"), &[], 1.0);
        a.push_histogram(&SECONDS, &["in"], &Histogram { bounds: vec![], cumulative: vec![1], sum: 1.0 });
        a.push_histogram(&SECONDS, &["out"], &Histogram { bounds: vec![2.0, 1.0], cumulative: vec![1; 3], sum: 1.0 });
        b.push(&named(Kind::Gauge, "seconds_count"), &[], 1.0);
        b.push(&LOAD, &["x"], 3.0);
        b.push(&named(Kind::Unknown, "load"), &[], 1.0);
        let (text, left_out) = written(&[&a, &b], Format::Text);
        assert_eq!(
            text.lines().filter(|line| line.starts_with("load")).collect::<Vec<_>>(),
            [r#"load{host="x"} 1"#, r#"load{host="y"} 2"#]
        );
        assert!(!text.contains("name") && !text.contains("out") && text.matches("seconds_count").count() == 1);
        assert_eq!(
            left_out,
            [
                dropped("load", 4, Reason::Type),
                dropped("load", 1, Reason::Duplicate),
                dropped("bad\nname", 1, Reason::Name),
                dropped("seconds", 1, Reason::Type),
                dropped("seconds_count", 1, Reason::Clash),
            ]
        );
    }

    #[test]
    fn a_batch_of_an_instance_says_so_on_every_sample() {
        static SEEN: Desc = Desc::gauge("seen", "", &[]);
        let (mut one, mut two) = (Batch::of_instance("a\"b"), Batch::of_instance("c"));
        for batch in [&mut one, &mut two] {
            batch.push(&SEEN, &[], 1.0);
            batch.push(&LOAD, &["x"], 1.0);
            batch.push_labelled(&OLD, &[("instance", "forged")], 1.0);
        }
        two.push_histogram(&SECONDS, &["in"], &Histogram { bounds: vec![], cumulative: vec![1], sum: 1.0 });
        let (text, left_out) = written(&[&one, &two], Format::Text);
        let samples: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(
            samples,
            [
                r#"seen{instance="a\"b"} 1"#,
                r#"seen{instance="c"} 1"#,
                r#"load{instance="a\"b",host="x"} 1"#,
                r#"load{instance="c",host="x"} 1"#,
                r#"seconds_bucket{instance="c",way="in",le="+Inf"} 1"#,
                r#"seconds_sum{instance="c",way="in"} 1"#,
                r#"seconds_count{instance="c",way="in"} 1"#,
            ]
        );
        assert_eq!(left_out, [dropped("old", 2, Reason::Type)]);
    }

    #[test]
    fn a_counter_that_openmetrics_cannot_take_is_unknown_there_under_the_same_name() {
        let named = |name: &str| Desc::named(Kind::Counter, name.into(), String::new(), &[]);
        let mut batch = Batch::new();
        batch.push(&named("load_total"), &[], 1.0);
        batch.push(&LOAD, &["x"], 1.0);
        batch.push(&named("back_total"), &[], -1.0);
        batch.push(&named("_total"), &[], 1.0);
        batch.push(&named("a_total_total"), &[], 1.0);
        batch.push(&named("a_total"), &[], 1.0);
        let (text, left_out) = written(&[&batch], Format::OpenMetrics);
        let types: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
        assert_eq!(
            types,
            [
                "load_total unknown",
                "load gauge",
                "back_total unknown",
                "_total unknown",
                "a_total_total unknown",
                "a counter"
            ]
        );
        assert_eq!(left_out, []);
    }

    #[test]
    fn a_counter_whose_creation_time_has_anothers_name_is_unknown_in_openmetrics() {
        let counter = |name: &str| Desc::named(Kind::Counter, name.into(), String::new(), &[]);
        let mut batch = Batch::new();
        batch.push(&counter("a_total"), &[], 1.0);
        batch.push(&Desc::gauge("a_created", "", &[]), &[], 1.0);
        batch.push(&counter("b_total"), &[], 1.0);
        batch.push(&counter("b_created_total"), &[], 1.0);
        let (text, left_out) = written(&[&batch], Format::OpenMetrics);
        let types: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
        assert_eq!(types, ["a_total unknown", "a_created gauge", "b counter", "b_created_total unknown"]);
        assert_eq!(left_out, []);
    }

    #[test]
    fn distributions_of_negative_values_lose_what_openmetrics_forbids() {
        static SPREAD: Desc = Desc::new(Kind::Summary, "spread", "", &[]);
        let mut batch = Batch::new();
        batch.push_histogram(&SECONDS, &[""], &Histogram { bounds: vec![-1.0], cumulative: vec![1, 2], sum: -3.0 });
        batch.push_summary(&SPREAD, &[], &Summary { quantiles: vec![(0.5, -1.0), (1.0, 1.0)], sum: -3.0, count: 2 });
        let (text, _) = written(&[&batch], Format::Text);
        assert!(text.contains("seconds_sum{way=\"\"} -3\nseconds_count") && text.contains("spread_sum -3\n"));
        assert!(text.contains("spread{quantile=\"0.5\"} -1\nspread{quantile=\"1\"} 1\n"));
        let (open, _) = written(&[&batch], Format::OpenMetrics);
        assert!(!open.contains("_sum") && !open.contains("seconds_count") && !open.contains(" -"));
        assert!(open.contains("spread{quantile=\"1.0\"} 1\nspread_count 2\n"));
    }

    #[test]
    fn a_limit_cuts_whole_families() {
        let mut batch = Batch::new();
        batch.push(&SWITCHES, &[], 1.0);
        for host in ["a", "b", "c"] {
            batch.push(&LOAD, &[host], 1.0);
        }
        batch.push(&SCANS, &[], 1.0);
        assert_eq!(batch.truncate_families(4), [dropped("scans", 1, Reason::Limit)]);
        assert_eq!(batch.truncate_families(2), [dropped("load", 3, Reason::Limit)]);
        batch.push(&OLD, &[], 1.0);
        assert_eq!(batch.series(), 2);
    }

    #[test]
    fn gzip_reads_back_however_often_it_is_used() {
        let mut gzip = Gzip::default();
        for series in [1, 1_000, 0, 30_000] {
            let lines = (0..series).map(|at| format!("load{{host=\"{at}\"}} {}\n", at * 7_919 % 1_013));
            let plain = lines.collect::<Vec<_>>().concat();
            let (mut packed, mut back) = (Vec::new(), Vec::new());
            gzip.pack(plain.as_bytes(), &mut packed);
            let mut decoder = flate2::write::GzDecoder::new(&mut back);
            decoder.write_all(&packed).unwrap();
            decoder.finish().unwrap();
            assert!(packed.len() < plain.len() / 3 + 100, "{series}: {}", packed.len());
            assert!(back == plain.as_bytes(), "{series}");
        }
    }
}
