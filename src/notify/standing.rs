//! Where an incident's first message stands, for channels that edit it in place, and what it told people: whoever reads
//! it later knows whether they must be told anew, also when messages between were superseded.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::alert::{Incident, Kind, Severity};

use super::Anchor;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Standing<P> {
    /// The message, in the notifier's own terms.
    #[serde(flatten)]
    pub(crate) place: P,
    severity: Severity,
    open: bool,
}

impl<P: Serialize + DeserializeOwned> Standing<P> {
    /// A message that was just posted about `incident`.
    pub(crate) fn new(place: P, incident: &Incident) -> Self {
        Self { place, severity: incident.severity, open: incident.resolved_at.is_none() }
    }

    /// What an anchor says; `None` where there is none of ours.
    pub(crate) fn read(anchor: Option<&str>) -> Option<Self> {
        serde_json::from_str(anchor?).ok()
    }

    /// Whether an edit is not enough: it calls nobody.
    pub(crate) fn must_tell_again(&self, incident: &Incident, kind: Kind) -> bool {
        let open = incident.resolved_at.is_none();
        let news = matches!(kind, Kind::Risen | Kind::Reopened) || incident.severity > self.severity || !self.open;
        open && news
    }

    /// The same place after an edit, as an anchor.
    pub(crate) fn now(self, incident: &Incident) -> Option<Anchor> {
        Self::new(self.place, incident).written()
    }

    /// As an anchor.
    pub(crate) fn written(&self) -> Option<Anchor> {
        serde_json::to_string(self).ok()
    }
}
