//! `qdisc`: the queues of packets that wait to be sent (tc(8)).

use async_trait::async_trait;

use super::filter::Filter;
use super::netlink::{Answer, Attributes, dump, links, number, text, wide};
use super::{HostConfig, Listed, Part, Run, Site};
use crate::collect::CollectError;
use crate::config::Problems;
use crate::metrics::Desc;

/// `RTM_GETQDISC` with its `struct tcmsg`, and what that says of a device's own queue, which has no other above it.
const GET: u16 = 38;
const HEADER: usize = 20;
const ROOT: u32 = u32::MAX;

/// The attributes `TCA_KIND` and `TCA_STATS2`, and those within the latter (linux/gen_stats.h).
const KIND: u16 = 1;
const STATISTICS: u16 = 7;
const BASIC: u16 = 1;
const QUEUE: u16 = 3;
const PACKETS: u16 = 8;

const LABELS: &[&str] = &["device", "kind"];

static BYTES: Desc = Desc::counter("node_qdisc_bytes_total", "Number of bytes sent.", LABELS);
static SENT: Desc = Desc::counter("node_qdisc_packets_total", "Number of packets sent.", LABELS);

/// The numbers of the queue, in their order there.
static NUMBERS: [Desc; 5] = [
    Desc::gauge("node_qdisc_current_queue_length", "Number of packets currently in queue to be sent.", LABELS),
    Desc::gauge("node_qdisc_backlog", "Number of bytes currently in queue to be sent.", LABELS),
    Desc::counter("node_qdisc_drops_total", "Number of packets dropped.", LABELS),
    Desc::counter("node_qdisc_requeues_total", "Number of packets dequeued, not transmitted, and requeued.", LABELS),
    Desc::counter("node_qdisc_overlimits_total", "Number of overlimit packets.", LABELS),
];

pub(super) struct Queues {
    devices: Filter,
}

/// A device's queue.
#[derive(Debug, Default, PartialEq, Eq)]
struct Queue {
    device: u32,
    kind: String,
    bytes: u64,
    packets: u64,
    numbers: [u32; 5],
}

impl Listed for Queues {
    fn descs() -> Vec<&'static Desc> {
        NUMBERS.iter().chain([&BYTES, &SENT]).collect()
    }

    fn check(config: &HostConfig, problems: &mut Problems) {
        config.qdisc.check("qdisc", problems);
    }

    fn new(site: &Site<'_>) -> Self {
        Self { devices: site.config.qdisc.filter("") }
    }
}

#[async_trait]
impl Part for Queues {
    async fn collect(&self, run: &mut Run) -> Result<(), CollectError> {
        let links = links()?;
        for queue in queues(&dump(GET, HEADER)?) {
            let Some(device) = links.get(&queue.device).filter(|device| self.devices.takes(device)) else { continue };
            let labels = [device.as_str(), queue.kind.as_str()];
            run.batch.push(&BYTES, &labels, queue.bytes as f64);
            run.batch.push(&SENT, &labels, queue.packets as f64);
            for (desc, number) in NUMBERS.iter().zip(queue.numbers) {
                run.batch.push(desc, &labels, f64::from(number));
            }
        }
        Ok(())
    }
}

fn queues(answer: &Answer) -> Vec<Queue> {
    answer.messages().filter_map(|(_, payload)| queue(payload)).collect()
}

fn queue(payload: &[u8]) -> Option<Queue> {
    let (header, attributes) = payload.split_at_checked(HEADER)?;
    let (device, parent) = (number(header.get(4..)?)?, number(header.get(12..)?)?);
    let mut queue = Queue { device, ..Queue::default() };
    for (kind, value) in Attributes(attributes) {
        match kind {
            KIND => queue.kind = text(value),
            STATISTICS => queue.count(value),
            _ => {}
        }
    }
    (parent == ROOT).then_some(queue)
}

impl Queue {
    fn count(&mut self, statistics: &[u8]) {
        for (kind, value) in Attributes(statistics) {
            match kind {
                BASIC => {
                    self.bytes = wide(value).unwrap_or_default();
                    // The kernel counted packets to 32 bits once: the wide count, where it is, comes later.
                    self.packets = value.get(8..).and_then(number).unwrap_or_default().into();
                }
                PACKETS => self.packets = wide(value).unwrap_or(self.packets),
                QUEUE => {
                    for (number, bytes) in self.numbers.iter_mut().zip(value.chunks_exact(4)) {
                        *number = super::netlink::number(bytes).unwrap_or_default();
                    }
                }
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::netlink::recorded::{answer, attribute};
    use super::*;

    fn message(parent: u32, attributes: &[Vec<u8>]) -> (u16, Vec<u8>) {
        let words = [0, 2, 0x8001_0000, parent, 2];
        let mut bytes: Vec<u8> = words.into_iter().flat_map(u32::to_ne_bytes).collect();
        bytes.extend(attributes.concat());
        (36, bytes)
    }

    #[test]
    fn a_device_s_own_queue_is_taken_and_those_below_it_are_not() {
        let basic: Vec<u8> = [5016_u64.to_ne_bytes(), [24, 0, 0, 0, 0, 0, 0, 0]].concat();
        let numbers: Vec<u8> = [1_u32, 2, 3, 4, 5].into_iter().flat_map(u32::to_ne_bytes).collect();
        let statistics =
            [attribute(BASIC, &basic), attribute(PACKETS, &(1_u64 << 33).to_ne_bytes()), attribute(QUEUE, &numbers)];
        let attributes = [attribute(KIND, b"fq_codel\0"), attribute(STATISTICS | 0x8000, &statistics.concat())];
        let told = answer(&[message(ROOT, &attributes), message(0x8001_0001, &attributes), (36, vec![0; 3])]);
        let expected =
            Queue { device: 2, kind: "fq_codel".into(), bytes: 5016, packets: 1 << 33, numbers: [1, 2, 3, 4, 5] };
        assert_eq!(queues(&told), [expected]);
    }
}
