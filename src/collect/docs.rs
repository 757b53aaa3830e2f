//! `docs/metrics.md`, from the descriptions in the source.

use super::scrape::{COMPATIBLE, DURATION, SUCCESS};
use super::{NAMES, descs};
use crate::metrics::{Desc, Kind};

const HEAD: &str = "\
# Metrics

Written by `tidewatch metrics --docs` from the descriptions in the source: change them there, not here. A `*` in a name
stands for what the source of the family tells.
";

/// Every family that tidewatch may write, as Markdown: the collectors' in the order of their list, then the program's
/// own, of which `own` are those that are counted rather than collected.
pub fn docs(own: &[Desc]) -> String {
    let mut sections = vec![HEAD.to_owned()];
    for (name, families) in descs() {
        let parts = NAMES.iter().find(|(collector, _)| *collector == name).map_or(&[][..], |(_, parts)| parts);
        let names: Vec<String> = [&name].into_iter().chain(parts).map(|name| format!("`{name}`")).collect();
        let about = format!("Configured in `[collectors.{name}]`; `collect[]` takes {}.", names.join(", "));
        sections.push(section(name, &about, families));
    }
    let own = own.iter().chain([&SUCCESS, &DURATION, &COMPATIBLE]).collect();
    sections.push(section("tidewatch itself", "Written with every scrape.", own));
    sections.concat()
}

fn section(title: &str, about: &str, mut families: Vec<&Desc>) -> String {
    families.sort_by(|left, right| left.name.cmp(&right.name));
    let rows: String = families.into_iter().map(row).collect();
    format!("\n## {title}\n\n{about}\n\n| name | type | labels | help |\n|---|---|---|---|\n{rows}")
}

fn row(desc: &Desc) -> String {
    let labels: Vec<String> = desc.labels.iter().map(|label| format!("`{label}`")).collect();
    let help = desc.help.replace('|', "\\|").replace('<', "&lt;").replace('\n', " ");
    format!("| `{}` | {} | {} | {help} |\n", desc.name, kind(desc.kind), labels.join(", "))
}

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
        Kind::Histogram => "histogram",
        Kind::Summary => "summary",
        Kind::Unknown => "unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_is_one_row_whatever_its_help_says() {
        static ODD: Desc = Desc::counter("odd_total", "Left | <right>\nbelow.", &["side", "row"]);
        assert_eq!(row(&ODD), "| `odd_total` | counter | `side`, `row` | Left \\| &lt;right> below. |\n");
    }
}
