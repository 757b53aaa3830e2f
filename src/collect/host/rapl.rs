//! `rapl`: the energy that processors and memory took (Documentation/power/powercap).

use std::collections::HashMap;
use std::path::PathBuf;

use async_trait::async_trait;
use serde::Deserialize;

use super::sysfs;
use super::{Listed, Part, Run, Site};
use crate::collect::CollectError;
use crate::metrics::{Desc, Kind};

/// How RAPL is read.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RaplConfig {
    /// One family with the zone as a label, instead of a family for each zone.
    pub enable_zone_label: bool,
}

static JOULES: Desc =
    Desc::counter("node_rapl_joules_total", "Current RAPL value in joules", &["index", "path", "rapl_zone"]);
static OF_ZONE: Desc =
    Desc::counter("node_rapl_*_joules_total", "Current RAPL value of a zone in joules", &["index", "path"]);

pub(super) struct Rapl {
    class: PathBuf,
    labelled: bool,
}

impl Listed for Rapl {
    fn descs() -> Vec<&'static Desc> {
        vec![&JOULES, &OF_ZONE]
    }

    fn new(site: &Site<'_>) -> Self {
        let (roots, config) = (&site.roots, &site.config.rapl);
        Self { class: roots.sysfs.join("class/powercap"), labelled: config.enable_zone_label }
    }
}

#[async_trait]
impl Part for Rapl {
    async fn collect(&self, run: &mut Run) -> Result<(), CollectError> {
        let mut used: HashMap<String, usize> = HashMap::new();
        for entry in run.folders.names(&self.class)? {
            let folder = self.class.join(entry);
            let Some(name) = sysfs::attribute(&mut run.files, &folder.join("name")) else { continue };
            let (zone, number) = zone(&name);
            let index = number.unwrap_or_else(|| used.get(zone).copied().unwrap_or_default());
            used.insert(zone.to_owned(), index + 1);
            // Since CVE-2020-8694 only root may read it. Two lines of the same zone are told apart by the index.
            let Some(energy) = sysfs::value(&mut run.files, &folder.join("energy_uj")) else { continue };
            let (index, path) = (index.to_string(), folder.to_string_lossy().into_owned());
            if self.labelled {
                run.batch.push(&JOULES, &[&index, &path, zone], energy / 1e6);
            } else {
                run.batch.push(&of_zone(zone), &[&index, &path], energy / 1e6);
            }
        }
        Ok(())
    }
}

/// `package-0` is the zone `package` with the index 0.
fn zone(name: &str) -> (&str, Option<usize>) {
    match name.split_once('-') {
        Some((zone, index)) if !zone.is_empty() => index.parse().map_or((name, None), |index| (zone, Some(index))),
        _ => (name, None),
    }
}

fn of_zone(zone: &str) -> Desc {
    let name = super::names::metric(zone);
    let help = format!("Current RAPL {zone} value in joules");
    Desc::named(Kind::Counter, format!("node_rapl_{name}_joules_total"), help, &["index", "path"])
}

#[cfg(test)]
mod tests {
    use super::zone;

    #[test]
    fn a_number_at_the_end_of_a_zone_is_its_index() {
        assert_eq!(zone("package-0"), ("package", Some(0)));
        assert_eq!(zone("core"), ("core", None));
        assert_eq!(zone("psys-a"), ("psys-a", None));
        assert_eq!(zone("package-0-die-1"), ("package-0-die-1", None));
    }
}
