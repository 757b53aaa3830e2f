//! What a channel's incidents do while it cannot deliver them: they wait, and the next channel is told of those that
//! nobody has heard of. And the words in which the other channels hear of the failing one.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;

use crate::alert::text;
use crate::clock::later;
use crate::store::{Delivery, Handover, Subject};

use super::super::{Channel, SendError};
use super::Worker;

/// What is settled about deliveries beyond one channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// A message that arrives later than this after it fell due is late.
    pub late: Duration,
    /// A channel that has delivered nothing for so long hands its incidents to the next.
    pub failover_after: Duration,
    /// Which channels are tried then, the best first. Empty: those that reach people, by kind.
    pub failover: Vec<String>,
}

impl Default for Rules {
    fn default() -> Self {
        Self { late: Duration::from_mins(5), failover_after: Duration::from_mins(5), failover: Vec::new() }
    }
}

/// Kinds that reach people by themselves, the most insistent first. A terminal or a file is no substitute: nobody looks.
const REACHES_PEOPLE: [&str; 5] = ["pagerduty", "email", "slack", "discord", "webhook"];

/// While a channel is stuck, what has fallen due since is handed over this often.
const EVERY: Duration = Duration::from_secs(30);

impl Rules {
    /// The channels that take over, in their order.
    pub(super) fn order(&self, channels: &[Channel]) -> Vec<String> {
        if !self.failover.is_empty() {
            return self.failover.clone();
        }
        let of_kind = |kind: &'static str| channels.iter().filter(move |channel| channel.kind == kind);
        REACHES_PEOPLE.into_iter().flat_map(of_kind).map(|channel| channel.name.clone()).collect()
    }
}

impl Worker {
    /// Hands incidents over once the channel has been stuck for long enough. Returns when to look again.
    pub(super) async fn fail_over(&self, now: Timestamp) -> Option<Timestamp> {
        let since = self.gate().stuck_since()?;
        let from = later(since, self.post.rules.failover_after);
        if now < from {
            return Some(from);
        }
        if let Err(next) = self.gate().hands_over(now, EVERY) {
            return Some(next);
        }
        let to = self.next_channels();
        let lasted = text::length(now.duration_since(since).as_secs());
        let handed = self.hand_over(None, &to, &format!("{} has not delivered it", self.channel.name)).await;
        if self.gate().tell() {
            let meanwhile = match to.first() {
                Some(next) => format!("Its incidents go to {next} meanwhile, and to {} later.", self.channel.name),
                None => "No other channel that reaches people works: its incidents wait.".to_owned(),
            };
            let Channel { name, kind, .. } = &self.channel;
            self.announce(&format!("The channel {name} ({kind}) has delivered nothing for {lasted}. {meanwhile}"))
                .await;
        }
        if handed > 0 {
            tracing::warn!(channel = self.channel.name, handed, "incidents are handed to another channel");
        }
        Some(later(now, EVERY))
    }

    /// What never will arrive here is told elsewhere at once, and the others hear of the fault: once until something
    /// arrives again.
    pub(super) async fn dead(&self, delivery: &Delivery, error: &SendError) {
        if matches!(delivery.subject, Subject::Notice(_)) {
            return;
        }
        let name = &self.channel.name;
        self.hand_over(Some(delivery.id), &self.next_channels(), &format!("{name} cannot deliver it")).await;
        if self.others.is_empty() || !self.gate().alarm() {
            return;
        }
        let text = format!(
            "A message for the channel {name} ({}) could not be delivered and is given up: {error}. It is kept: \
             `tidewatch outbox list --dead` shows it, `tidewatch outbox replay {}` sends it again.",
            self.channel.kind, delivery.id
        );
        self.announce(&text).await;
    }

    /// The others heard that it did not, so they hear that it does.
    pub(super) async fn works_again(&self) {
        self.announce(&format!("The channel {} ({}) delivers again.", self.channel.name, self.channel.kind)).await;
    }

    /// One subject for the channel's ups and downs, so that a word that was overtaken before it was sent is never sent.
    async fn announce(&self, text: &str) {
        if self.others.is_empty() {
            return;
        }
        let name = &self.channel.name;
        if let Err(error) = self.post.store.notice(&format!("channel_{name}"), text, &self.others).await {
            tracing::error!(channel = name, %error, "the other channels cannot be told about this one");
        }
    }

    /// The channels that reach people and, as far as is known, work.
    fn next_channels(&self) -> Vec<String> {
        let mut seen = BTreeSet::from([&self.channel.name]);
        let next = self.order.iter().filter(|name| seen.insert(name) && !self.post.gates.is_stuck(name));
        next.cloned().collect()
    }

    async fn hand_over(&self, row: Option<i64>, to: &[String], words: &str) -> u64 {
        if to.is_empty() {
            return 0;
        }
        let from = self.channel.name.clone();
        let handover = Handover { from, row, to: to.to_vec(), words: words.to_owned() };
        match self.post.store.hand_over(handover).await {
            Ok(handed) => {
                self.post.meters.handed(&self.channel.name, handed);
                handed
            }
            Err(error) => {
                tracing::error!(channel = self.channel.name, %error, "incidents cannot be handed to another channel");
                0
            }
        }
    }
}
