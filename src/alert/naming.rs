//! What an alert and an incident are called before people: what, and where.

use super::text::line;
use super::{Episode, Incident};

/// Labels that say where, the most telling first.
const PLACES: [&str; 10] =
    ["agent", "agent_id", "instance", "service", "container", "name", "host", "node", "device", "mountpoint"];
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
        let place = PLACES.iter().find_map(|label| self.labels.get(*label)).filter(|place| !place.is_empty());
        match place {
            Some(place) => format!("{} {}", line(name, NAME), line(place, PLACE)),
            None => line(name, NAME + PLACE),
        }
    }

    /// Everything that says where it is.
    fn places(&self) -> impl Iterator<Item = Option<&String>> {
        PLACES.iter().map(|label| self.labels.get(*label))
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
