//! What an alert and an incident are called before people: what, and where.

use super::text::line;
use super::{Episode, Incident};

/// Labels that say where, the most telling first.
const PLACES: [&str; 8] = ["agent", "agent_id", "instance", "service", "container", "name", "host", "node"];
/// Labels that say where within that: one host has many disks.
const WITHIN: [&str; 2] = ["mountpoint", "device"];
/// Bounds of the parts: a title is one line on a phone.
const NAME: usize = 40;
const PLACE: usize = 30;

impl Episode {
    /// What and where of one alert: `AgentOffline steward`. One line, without what deceives.
    pub fn title(&self) -> String {
        let name = match self.name() {
            "" => "an alert without a name",
            name => name,
        };
        let place = self.first_of(&PLACES).map(|place| line(place, PLACE));
        let within = self.first_of(&WITHIN).map(|place| line(place, PLACE));
        match (place, within) {
            (Some(place), Some(within)) => format!("{} {place} {within}", line(name, NAME)),
            (Some(place), None) | (None, Some(place)) => format!("{} {place}", line(name, NAME)),
            (None, None) => line(name, NAME + PLACE),
        }
    }

    fn first_of(&self, labels: &[&str]) -> Option<&str> {
        let found = labels.iter().find_map(|label| self.labels.get(*label).filter(|value| !value.is_empty()));
        found.map(String::as_str)
    }

    /// Everything that says where it is.
    fn places(&self) -> impl Iterator<Item = Option<&String>> {
        PLACES.iter().chain(&WITHIN).map(|label| self.labels.get(*label))
    }
}

impl Incident {
    /// What and where of an incident: its first member, and how many there are beside it. A second alert about the very
    /// same thing, as the warning beside its critical twin, is no other: "and 1 more" would read like a second agent.
    pub fn title(&self) -> String {
        let Some(first) = self.members.first() else { return line(&self.cause, NAME + PLACE) };
        let open = self.resolved_at.is_none();
        let same = |member: &&Episode| (!open || member.ends_at.is_none()) && member.places().eq(first.places());
        let same = self.members.iter().filter(same).count() as u64;
        match if open { self.open } else { self.total }.saturating_sub(same) {
            0 => first.title(),
            others => format!("{} and {others} more", first.title()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::{Fingerprint, Severity};

    fn title(labels: &[(&str, &str)]) -> String {
        let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let starts_at = jiff::Timestamp::UNIX_EPOCH;
        let (id, fingerprint, severity) = (1, Fingerprint(1), Severity::Critical);
        let (annotations, generator_url, ends_at, found, reconciled) = Default::default();
        Episode { id, fingerprint, severity, labels, annotations, generator_url, starts_at, ends_at, found, reconciled }
            .title()
    }

    #[test]
    fn a_title_says_what_and_where() {
        let disk = [("alertname", "DiskFull"), ("instance", "box:9100"), ("mountpoint", "/data"), ("device", "sda1")];
        assert_eq!(title(&disk), "DiskFull box:9100 /data");
        assert_eq!(title(&disk[..2]), "DiskFull box:9100");
        assert_eq!(title(&[("alertname", "Late"), ("agent_id", "steward"), ("instance", "box")]), "Late steward");
        assert_eq!(title(&[("alertname", "Slow"), ("device", "sda1")]), "Slow sda1");
        assert_eq!(title(&[("alertname", "Odd"), ("instance", "")]), "Odd");
        assert_eq!(title(&[]), "an alert without a name");
    }
}
