//! What is posted.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};

use tidewatch::clock::Clock;

/// Requests of one kind.
pub(crate) trait Requests: Sync {
    /// How many things one request carries.
    fn size(&self) -> usize;

    /// How many requests are made once and then sent again and again; 0 where each is another.
    fn again(&self) -> usize;

    /// The next one: where to, and what.
    fn next(&self) -> (Cow<'static, str>, String);
}

/// Whose API the alerts are posted to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum To {
    Alertmanager,
    Tidewatch,
}

impl FromStr for To {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "alertmanager" => Ok(Self::Alertmanager),
            "tidewatch" => Ok(Self::Tidewatch),
            _ => Err(format!("`{name}` takes no alerts")),
        }
    }
}

/// A fleet of this size has alerts: a first alert of another agent is told at once, more of the same wait.
const AGENTS_ALERTING: u64 = 20;

/// The same alerts for both: each post is a group of its own, as `group_by: [alertname, cluster]` makes it.
pub(crate) struct Alerts {
    to: To,
    size: usize,
    repeat: bool,
    starts_at: String,
    posts: AtomicU64,
}

impl Alerts {
    pub(crate) fn new(to: To, size: usize, repeat: bool) -> Self {
        let starts_at = Clock::system().now().to_string();
        Self { to, size, repeat, starts_at, posts: AtomicU64::new(0) }
    }

    fn alert(&self, post: u64, number: u64, out: &mut String) {
        let id = post * self.size as u64 + number;
        let severity = if id.is_multiple_of(4) { "critical" } else { "warning" };
        let (name, agent, starts_at) = (post % 16, id % AGENTS_ALERTING, &self.starts_at);
        write!(
            out,
            "\"labels\":{{\"agent_id\":\"agent-{agent}\",\"alertname\":\"BenchAlert{name}\",\"cluster\":\"c-{post}\",\
             \"instance\":\"10.0.0.{agent}:9100\",\"job\":\"agents\",\"severity\":\"{severity}\",\"task\":\"task-{id}\"}},\
             \"annotations\":{{\"description\":\"task-{id} of agent-{agent} has not moved for 93 s; it is to move every 30 s.\",\
             \"runbook_url\":\"https://runbooks.example.com/BenchAlert{name}\",\"summary\":\"task-{id} is late\"}},\
             \"startsAt\":\"{starts_at}\",\"generatorURL\":\"http://prometheus:9090/graph?g0.expr=late&g0.tab=1\""
        )
        .unwrap();
        if self.to == To::Tidewatch {
            // Spread over the numbers as a hash is.
            let fingerprint = (id + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            write!(
                out,
                ",\"status\":\"firing\",\"endsAt\":\"0001-01-01T00:00:00Z\",\"fingerprint\":\"{fingerprint:016x}\""
            )
            .unwrap();
        }
    }
}

impl Requests for Alerts {
    fn size(&self) -> usize {
        self.size
    }

    fn again(&self) -> usize {
        if self.repeat { 20 } else { 0 }
    }

    fn next(&self) -> (Cow<'static, str>, String) {
        let mut out = String::with_capacity(700 * (self.size + 1));
        let post = self.posts.fetch_add(1, Ordering::Relaxed);
        let ours = self.to == To::Tidewatch;
        out.push_str(if ours { "{\"receiver\":\"tidewatch\",\"status\":\"firing\",\"alerts\":[" } else { "[" });
        for number in 0..self.size as u64 {
            out.push_str(if number == 0 { "{" } else { ",{" });
            self.alert(post, number, &mut out);
            out.push('}');
        }
        out.push(']');
        if ours {
            let name = post % 16;
            write!(
                out,
                ",\"groupLabels\":{{\"alertname\":\"BenchAlert{name}\",\"cluster\":\"c-{post}\"}},\
                 \"commonLabels\":{{\"alertname\":\"BenchAlert{name}\",\"cluster\":\"c-{post}\",\"job\":\"agents\"}},\
                 \"commonAnnotations\":{{}},\"externalURL\":\"http://alertmanager:9093\",\"version\":\"4\",\
                 \"groupKey\":\"{{}}:{{alertname=\\\"BenchAlert{name}\\\", cluster=\\\"c-{post}\\\"}}\",\
                 \"truncatedAlerts\":0}}"
            )
            .unwrap();
        }
        let path = if ours { "/webhook/alerts" } else { "/api/v2/alerts" };
        (path.into(), out)
    }
}

/// Heartbeats of 10 000 agents in turn; one a request, or many.
pub(crate) struct Heartbeats {
    size: usize,
    requests: AtomicU64,
}

/// As many as may be kept by default.
const AGENTS: u64 = 10_000;

impl Heartbeats {
    pub(crate) fn new(size: usize) -> Self {
        Self { size, requests: AtomicU64::new(0) }
    }
}

/// A full heartbeat, its counters growing.
fn heartbeat(agent: u64, turn: u64, out: &mut String) {
    let (messages, completed, input) = (turn * 11, turn * 3, turn * 2_400);
    write!(
        out,
        "{{\"agent_id\":\"agent-{agent:05}\",\"status\":\"active\",\"interval_seconds\":30,\"model\":\"model-7b\",\
         \"messages_processed\":{messages},\"tasks\":{{\"completed\":{completed},\"failed\":{turn}}},\
         \"tokens\":{{\"input\":{input},\"output\":{completed}}},\"cost_usd\":{turn}.25}}"
    )
    .unwrap();
}

impl Requests for Heartbeats {
    fn size(&self) -> usize {
        self.size
    }

    fn again(&self) -> usize {
        0
    }

    fn next(&self) -> (Cow<'static, str>, String) {
        let first = self.requests.fetch_add(1, Ordering::Relaxed) * self.size as u64;
        let mut out = String::with_capacity(220 * self.size);
        if self.size == 1 {
            heartbeat(first % AGENTS, first / AGENTS, &mut out);
            return (format!("/api/v1/agents/agent-{:05}/heartbeat", first % AGENTS).into(), out);
        }
        for number in first..first + self.size as u64 {
            out.push(if number == first { '[' } else { ',' });
            heartbeat(number % AGENTS, number / AGENTS, &mut out);
        }
        out.push(']');
        ("/api/v1/heartbeats".into(), out)
    }
}
