//! `os`: which distribution is installed (os-release(5)).

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::files::malformed;
use super::stamp::{self, Stamped};
use super::sysfs::no_data;
use super::{Listed, Part, Run, Site};
use crate::collect::CollectError;
use crate::metrics::Desc;

/// The file's keys are the labels in capitals.
const LABELS: &[&str] = &[
    "build_id",
    "id",
    "id_like",
    "image_id",
    "image_version",
    "name",
    "pretty_name",
    "variant",
    "variant_id",
    "version",
    "version_codename",
    "version_id",
];

static INFO: Desc =
    Desc::gauge("node_os_info", "The operating system, as os-release tells it; the value is 1.", LABELS);
static VERSION: Desc = Desc::gauge(
    "node_os_version",
    "Metric containing the major.minor part of the OS version.",
    &["id", "id_like", "name"],
);
static SUPPORT_END: Desc = Desc::gauge(
    "node_os_support_end_timestamp_seconds",
    "Metric containing the end-of-life date timestamp of the OS.",
    &[],
);

/// What the file says.
struct Told {
    /// By [`LABELS`].
    labels: Vec<String>,
    version: Option<f64>,
    support_end: Option<f64>,
}

pub(super) struct Release {
    files: [PathBuf; 2],
    /// Of each file.
    told: Mutex<[Option<Stamped<Told>>; 2]>,
}

impl Listed for Release {
    fn descs() -> Vec<&'static Desc> {
        vec![&INFO, &VERSION, &SUPPORT_END]
    }

    fn new(site: &Site<'_>) -> Self {
        let files = ["etc/os-release", "usr/lib/os-release"].map(|file| site.roots.rootfs.join(file));
        Self { files, told: Mutex::default() }
    }
}

#[async_trait]
impl Part for Release {
    async fn collect(&self, run: &mut Run) -> Result<(), CollectError> {
        let mut known = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        for (file, known) in self.files.iter().zip(known.iter_mut()) {
            let Some(told) = stamp::current(known, file, || told(run.files.text(file)?, file))? else { continue };
            let labels: Vec<&str> = told.labels.iter().map(String::as_str).collect();
            run.batch.push(&INFO, &labels, 1.0);
            if let Some(version) = told.version.filter(|version| *version > 0.0) {
                let label = |name: &str| LABELS.iter().position(|label| *label == name).map_or("", |at| labels[at]);
                run.batch.push(&VERSION, &["id", "id_like", "name"].map(label), version);
            }
            if let Some(end) = told.support_end {
                run.batch.push(&SUPPORT_END, &[], end);
            }
            return Ok(());
        }
        Err(no_data(&self.files[0]))
    }
}

fn told(text: &str, file: &Path) -> Result<Told, CollectError> {
    let mut values = assignments(text);
    let end = values.get("SUPPORT_END").map_or("", String::as_str);
    let support_end = if end.is_empty() { None } else { Some(midnight(end, file)?) };
    let version = values.get("VERSION_ID").and_then(|version| number(version));
    let labels = LABELS.iter().map(|label| values.remove(label.to_ascii_uppercase().as_str()).unwrap_or_default());
    Ok(Told { labels: labels.collect(), version, support_end })
}

/// When a day begins, in seconds since 1970.
fn midnight(day: &str, file: &Path) -> Result<f64, CollectError> {
    let day: Date = day.parse().map_err(|_| malformed(file, "SUPPORT_END is no date"))?;
    let begin = day.to_zoned(TimeZone::UTC).map_err(|error| malformed(file, &error.to_string()))?;
    Ok(begin.timestamp().as_second() as f64)
}

/// The file's assignments, as a shell reads them: values bare, in single or in double quotes.
fn assignments(text: &str) -> HashMap<&str, String> {
    let lines = text.lines().map(str::trim).filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.split_once('=')).map(|(key, value)| (key, unquoted(value))).collect()
}

fn unquoted(value: &str) -> String {
    let inside = |quote| value.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
    if let Some(value) = inside('\'') {
        return value.to_owned();
    }
    let mut text = String::new();
    let mut letters = inside('"').unwrap_or(value).chars();
    while let Some(letter) = letters.next() {
        text.extend(if letter == '\\' { letters.next() } else { Some(letter) });
    }
    text
}

/// The leading `12.3` of a version.
fn number(version: &str) -> Option<f64> {
    let mut dots = 0;
    let taken = |c: &char| {
        dots += u8::from(*c == '.');
        c.is_ascii_digit() || (*c == '.' && dots == 1)
    };
    version.chars().take_while(taken).collect::<String>().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_unquoted_as_by_a_shell() {
        let values =
            assignments("# NAME=no\nNAME=\"A \\\"B\\\" \\$C\"\nID='d e'\nVERSION_ID=12\nHOME_URL=\"https://x/?a=b\"\n");
        assert_eq!(values["NAME"], "A \"B\" $C");
        assert_eq!(values["ID"], "d e");
        assert_eq!(values["VERSION_ID"], "12");
        assert_eq!(values["HOME_URL"], "https://x/?a=b");
    }

    #[test]
    fn a_version_is_its_first_two_numbers() {
        let numbers = ["12", "22.04", "20.04.3", "", "rolling", "3.x", "8."].map(number);
        assert_eq!(numbers, [Some(12.0), Some(22.04), Some(20.04), None, None, Some(3.0), Some(8.0)]);
    }
}
