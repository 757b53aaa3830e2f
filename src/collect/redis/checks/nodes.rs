//! The other nodes of a cluster: keys lie on the node that has their slot.

use std::time::Duration;

use ::redis::Value;
use tokio::time::{Instant, timeout_at};

use crate::collect::redis::address::{Address, Place};
use crate::collect::redis::link::{Link, Session};
use crate::collect::redis::reply;
use crate::collect::redis::section::TargetConfig;

/// So many nodes are asked.
const MOST: usize = 100;

/// How many slots a cluster has.
const SLOTS: u16 = 16_384;

/// The node that is asked anyway.
pub(super) const OWN: usize = 0;

/// The primaries of a cluster, by number: 0 is the server itself.
#[derive(Default)]
pub(super) struct Nodes {
    /// First and last slot, and the node that has them.
    slots: Vec<(u16, u16, usize)>,
    others: Vec<Session>,
}

/// A primary, as `CLUSTER SLOTS` tells it.
#[derive(Debug, PartialEq, Eq)]
struct Primary {
    host: String,
    port: u16,
    id: String,
}

impl Nodes {
    /// Learns the nodes of a server, and connects to them with its credentials. `None` if one cannot be reached: a part
    /// of the keys would be mistaken for all.
    pub(super) async fn find(
        session: &mut Session,
        link: &Link,
        config: &TargetConfig,
        deadline: Instant,
    ) -> Option<Self> {
        let Place::Tcp { host, tls, .. } = &link.address.place else { return None };
        let asked = async {
            Some((
                session.ask_one(&["CLUSTER", "MYID"]).await.ok()?,
                session.ask_one(&["CLUSTER", "SLOTS"]).await.ok()?,
            ))
        };
        let (own, slots) = timeout_at(deadline, asked).await.ok()??;
        let own = reply::text(&own)?.into_owned();
        let (mut nodes, mut known) = (Self::default(), vec![own]);
        for range in reply::items(&slots) {
            let (first, last, primary) = range_of(range, host)?;
            let at = known.iter().position(|id| *id == primary.id);
            let node = if let Some(node) = at {
                node
            } else {
                if known.len() >= MOST {
                    return None;
                }
                let place = Place::Tcp { host: primary.host, port: primary.port, tls: *tls };
                let address = Address { place, ..link.address.clone() };
                let other = Link { address, tasks: link.tasks.clone() };
                let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
                nodes.others.push(timeout_at(deadline, other.open(config, left)).await.ok()?.ok()?);
                known.push(primary.id);
                known.len() - 1
            };
            nodes.slots.push((first, last, node));
        }
        Some(nodes)
    }

    /// The node that has a key; the server itself, where there is no cluster.
    pub(super) fn of(&self, key: &[u8]) -> usize {
        let slot = slot(key);
        self.slots.iter().find(|(first, last, _)| (*first..=*last).contains(&slot)).map_or(OWN, |(.., node)| *node)
    }

    /// All nodes that have keys.
    pub(super) fn all(&self) -> Vec<usize> {
        let mut all: Vec<usize> = self.slots.iter().map(|(.., node)| *node).collect();
        all.sort_unstable();
        all.dedup();
        if all.is_empty() { vec![OWN] } else { all }
    }

    /// The connection to another node.
    pub(super) fn other(&mut self, node: usize) -> Option<&mut Session> {
        self.others.get_mut(node.checked_sub(1)?)
    }
}

/// `[first, last, [host, port, id, …], replicas …]`. A node that does not know its own host is where we found it.
fn range_of(range: &Value, found_at: &str) -> Option<(u16, u16, Primary)> {
    let [first, last, primary, ..] = reply::items(range) else { return None };
    let [host, port, id, ..] = reply::items(primary) else { return None };
    let slot = |value: &Value| Some(reply::number(value)? as u16);
    let host = reply::text(host).filter(|host| !matches!(host.as_ref(), "" | "?"));
    let host = host.map_or_else(|| found_at.to_owned(), std::borrow::Cow::into_owned);
    let primary = Primary { host, port: slot(port)?, id: reply::text(id)?.into_owned() };
    Some((slot(first)?, slot(last)?, primary))
}

/// The slot of a key: CRC-16 (XMODEM) of the part in the first braces, else of the whole.
fn slot(key: &[u8]) -> u16 {
    let open = key.iter().position(|byte| *byte == b'{').map(|at| at + 1);
    let tag = open.and_then(|open| {
        let length = key.get(open..)?.iter().position(|byte| *byte == b'}').filter(|length| *length > 0)?;
        key.get(open..open + length)
    });
    let crc = tag.unwrap_or(key).iter().fold(0_u16, |crc, byte| {
        (0..8).fold(
            crc ^ (u16::from(*byte) << 8),
            |crc, _| {
                if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 }
            },
        )
    });
    crc % SLOTS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_those_of_the_specification() {
        // `CLUSTER KEYSLOT` of Redis 7.0.
        for (key, expected) in [("123456789", 12_739), ("foo", 12_182), ("{foo}.bar", 12_182), ("a{}b", slot(b"a{}b"))]
        {
            assert_eq!(slot(key.as_bytes()), expected, "{key}");
        }
    }

    #[test]
    fn a_range_of_slots_is_read() {
        let bulk = |text: &str| Value::BulkString(text.into());
        let node = Value::Array(vec![bulk("?"), Value::Int(7001), bulk("abc")]);
        let range = Value::Array(vec![Value::Int(0), Value::Int(5460), node]);
        let primary = Primary { host: "h".into(), port: 7001, id: "abc".into() };
        assert_eq!(range_of(&range, "h"), Some((0, 5460, primary)));
        assert_eq!(range_of(&Value::Nil, "h"), None);
    }
}
