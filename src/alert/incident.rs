//! An incident's state, and which message follows from its change.

use jiff::Timestamp;

use super::{Kind, Labels, Severity};

/// What the members of an incident share. Of each key at most one incident is open.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Where the alerts come from.
    pub source: String,
    /// The label `cause`, else the alert's name.
    pub cause: String,
}

/// The key of the incident that an alert belongs to. Correlation will answer here.
pub fn key(source: &str, labels: &Labels) -> Key {
    let label = |name| labels.get(name).filter(|value| !value.is_empty());
    let cause = label("cause").or_else(|| label("alertname")).cloned().unwrap_or_default();
    Key { source: source.to_owned(), cause }
}

/// What a member is about: an agent is a host of its own, though many are scraped from one instance.
pub fn host(labels: &Labels) -> &str {
    let found = ["agent_id", "agent", "host"].iter().find_map(|name| labels.get(*name).filter(|it| !it.is_empty()));
    if let Some(host) = found {
        return host;
    }
    let instance = labels.get("instance").map_or("", String::as_str);
    instance.rsplit_once(':').map_or(instance, |(host, _port)| host)
}

/// Where an incident stands. Sums only, so that a member that comes or goes costs the same among 3 and among 20 000.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// When its first member began.
    pub opened_at: Timestamp,
    /// When its last member ended; `None` while one fires.
    pub resolved_at: Option<Timestamp>,
    /// The latest end of a member so far.
    pub last_end: Option<Timestamp>,
    /// The highest severity that it ever had.
    pub worst: Severity,
    /// How many members fire, by severity in its order.
    pub open: [u64; 4],
    /// How many alerts are and were members: one that comes back is the same.
    pub total: u64,
}

impl Standing {
    /// An incident without members yet.
    pub fn new(opened_at: Timestamp) -> Self {
        Self { opened_at, resolved_at: None, last_end: None, worst: Severity::None, open: [0; 4], total: 0 }
    }

    /// How many members fire.
    pub fn firing(&self) -> u64 {
        self.open.iter().sum()
    }

    /// The highest of its open members; of all, once none is open.
    pub fn severity(&self) -> Severity {
        let order = [Severity::Critical, Severity::Warning, Severity::Info, Severity::None];
        order.into_iter().find(|severity| self.open[*severity as usize] > 0).unwrap_or(self.worst)
    }

    /// A member begins to fire; `anew` when it had been one before.
    pub fn join(&mut self, severity: Severity, starts_at: Timestamp, anew: bool) {
        self.open[severity as usize] += 1;
        self.total += u64::from(!anew);
        self.worst = self.worst.max(severity);
        self.resolved_at = None;
        self.began(starts_at);
    }

    /// A member began earlier than was known.
    pub fn began(&mut self, starts_at: Timestamp) {
        self.opened_at = self.opened_at.min(starts_at);
    }

    /// A member ends.
    pub fn leave(&mut self, severity: Severity, ends_at: Timestamp) {
        let open = &mut self.open[severity as usize];
        *open = open.saturating_sub(1);
        self.last_end = self.last_end.max(Some(ends_at));
        if self.firing() == 0 {
            self.resolved_at = self.last_end;
        }
    }
}

/// The message that follows when an incident goes from one standing to the next; members that came and went within
/// one post leave no trace.
pub fn kind(before: Option<&Standing>, after: &Standing) -> Option<Kind> {
    let Some(before) = before else {
        return (after.firing() > 0).then_some(Kind::Opened);
    };
    match (before.firing() > 0, after.firing() > 0) {
        (false, true) => Some(Kind::Reopened),
        (true, false) => Some(Kind::Resolved),
        (true, true) if after.severity() > before.severity() => Some(Kind::Risen),
        (true, true) if after.open != before.open || after.total != before.total => Some(Kind::Changed),
        _ => None,
    }
}

/// Whether a message that nobody has seen yet says all that `next` would: it shows the incident as it is when it is
/// sent. A beginning stands for what follows it; an end is always a message of its own.
pub fn stands_for(unsent: Kind, next: Kind) -> bool {
    match next {
        Kind::Changed => matches!(unsent, Kind::Opened | Kind::Changed | Kind::Risen | Kind::Reopened),
        Kind::Risen => matches!(unsent, Kind::Opened | Kind::Risen | Kind::Reopened),
        Kind::Opened | Kind::Reopened | Kind::Resolved | Kind::Notice => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn of(members: &[Severity]) -> Standing {
        let mut standing = Standing::new(at(0));
        for severity in members {
            standing.join(*severity, at(0), false);
        }
        standing
    }

    #[test]
    fn the_key_is_the_cause_else_the_name() {
        let cause = |pairs: &[_]| key("default", &labels(pairs)).cause;
        assert_eq!(cause(&[("cause", "agent"), ("alertname", "AgentOffline")]), "agent");
        assert_eq!(cause(&[("cause", ""), ("alertname", "AgentOffline")]), "AgentOffline");
        assert_eq!(cause(&[]), "");
    }

    #[test]
    fn agents_of_one_instance_are_hosts_of_their_own() {
        assert_eq!(host(&labels(&[("agent_id", "alpha"), ("instance", "box:9480")])), "alpha");
        assert_eq!(host(&labels(&[("instance", "[::1]:9480")])), "[::1]");
        assert_eq!(host(&labels(&[("instance", "box")])), "box");
        assert_eq!(host(&labels(&[])), "");
    }

    #[test]
    fn every_change_has_its_kind() {
        use Severity::{Critical, Warning};
        let one = of(&[Warning]);
        let two = of(&[Warning, Warning]);
        let worse = of(&[Warning, Critical]);
        let mut over = one.clone();
        over.leave(Warning, at(9));
        assert_eq!(over.resolved_at, Some(at(9)));
        assert_eq!(over.severity(), Warning, "of all, once it is resolved");
        let mut again = over.clone();
        again.join(Warning, at(10), true);
        assert_eq!(again.resolved_at, None);
        let cases = [
            (None, &one, Some(Kind::Opened)),
            (None, &over, None),
            (Some(&one), &one, None),
            (Some(&one), &two, Some(Kind::Changed)),
            (Some(&two), &one, Some(Kind::Changed)),
            (Some(&one), &worse, Some(Kind::Risen)),
            (Some(&worse), &one, Some(Kind::Changed)),
            (Some(&one), &over, Some(Kind::Resolved)),
            (Some(&over), &again, Some(Kind::Reopened)),
            (Some(&over), &over, None),
        ];
        for (before, after, expected) in cases {
            assert_eq!(kind(before, after), expected, "{before:?} -> {after:?}");
        }
    }
}
