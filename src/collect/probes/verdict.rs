//! How the targets are, in sentences.

use jiff::Timestamp;

use super::Target;
use crate::facts::{ServiceState, State};

/// So many targets that are down are told one by one.
const NAMED: usize = 20;

/// What the probes of one run say.
#[derive(Debug, Default)]
pub(super) struct Verdicts {
    all: usize,
    /// The first of those that are down, by name and reason.
    named: Vec<(String, String)>,
    down: usize,
}

impl Verdicts {
    pub(super) fn add(&mut self, target: &Target, why: Option<&str>) {
        self.all += 1;
        let Some(why) = why else { return };
        self.down += 1;
        if self.named.len() < NAMED {
            self.named.push((format!("probe:{}/{}", target.job(), target.instance()), why.to_owned()));
        }
    }

    /// The service `probes`, and one for each target that is down. Since when it has been so, the engine knows.
    pub(super) fn states(self, since: Timestamp) -> Vec<ServiceState> {
        let Self { all, named, down } = self;
        if all == 0 {
            return Vec::new();
        }
        let state = match down {
            0 => State::Ok,
            _ if down == all => State::Critical,
            _ => State::Warning,
        };
        let why = if down == 0 { format!("{all} targets answer") } else { format!("{down} of {all} targets fail") };
        let next = if down == 0 { "" } else { "tidewatch health tells which, and why" };
        let of =
            |service: String, state, why, next: &str| ServiceState { service, state, since, why, next: next.into() };
        let mut states = vec![of("probes".into(), state, why, next)];
        states.extend(named.into_iter().map(|(service, why)| {
            of(service, State::Critical, why, "ask for its transcript: /probe?target=…&module=…&debug=true")
        }));
        states
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_down_is_told_by_name_and_bounded() {
        let mut verdicts = Verdicts::default();
        for number in 0..50 {
            let target = Target { target: format!("h{number}"), ..Target::default() };
            verdicts.add(&target, (number > 0).then_some("refused"));
        }
        let states = verdicts.states(Timestamp::UNIX_EPOCH);
        assert_eq!(states.len(), 1 + NAMED);
        assert_eq!((states[0].state, states[0].why.as_str()), (State::Warning, "49 of 50 targets fail"));
        assert_eq!((states[1].service.as_str(), states[1].why.as_str()), ("probe:blackbox/h1", "refused"));
    }
}
