//! `fibrechannel`: host adapters of Fibre Channel (`/sys/class/fc_host`).

use std::path::PathBuf;

use async_trait::async_trait;

use super::attribute;
use super::{Listed, Part, Run, Site};
use crate::collect::CollectError;
use crate::metrics::Desc;

const fn total(name: &'static str, help: &'static str) -> Desc {
    Desc::counter(name, help, &["fc_host"])
}

#[rustfmt::skip]
static COUNTERS: [(&str, Desc); 14] = [
    ("statistics/dumped_frames", total("node_fibrechannel_dumped_frames_total", "Number of dumped frames")),
    ("statistics/error_frames", total("node_fibrechannel_error_frames_total", "Number of errors in frames")),
    ("statistics/invalid_crc_count", total("node_fibrechannel_invalid_crc_total", "Invalid Cyclic Redundancy Check count")),
    ("statistics/rx_frames", total("node_fibrechannel_rx_frames_total", "Number of frames received")),
    ("statistics/rx_words", total("node_fibrechannel_rx_words_total", "Number of words received by host port")),
    ("statistics/tx_frames", total("node_fibrechannel_tx_frames_total", "Number of frames transmitted by host port")),
    ("statistics/tx_words", total("node_fibrechannel_tx_words_total", "Number of words transmitted by host port")),
    ("statistics/seconds_since_last_reset", total("node_fibrechannel_seconds_since_last_reset_total", "Number of seconds since last host port reset")),
    ("statistics/invalid_tx_word_count", total("node_fibrechannel_invalid_tx_words_total", "Number of invalid words transmitted by host port")),
    ("statistics/link_failure_count", total("node_fibrechannel_link_failure_total", "Number of times the host port link has failed")),
    ("statistics/loss_of_sync_count", total("node_fibrechannel_loss_of_sync_total", "Number of failures on either bit or transmission word boundaries")),
    ("statistics/loss_of_signal_count", total("node_fibrechannel_loss_of_signal_total", "Number of times signal has been lost")),
    ("statistics/nos_count", total("node_fibrechannel_nos_total", "Number Not_Operational Primitive Sequence received by host port")),
    ("statistics/fcp_packet_aborts", total("node_fibrechannel_fcp_packet_aborts_total", "Number of aborted packets")),
];

static INFO: Desc = Desc::gauge(
    "node_fibrechannel_info",
    "Non-numeric data from /sys/class/fc_host/<host>, value is always 1.",
    &[
        "fc_host",
        "speed",
        "port_state",
        "port_type",
        "port_id",
        "port_name",
        "fabric_name",
        "symbolic_name",
        "supported_classes",
        "supported_speeds",
        "dev_loss_tmo",
    ],
);

pub(super) struct FibreChannel {
    class: PathBuf,
}

impl Listed for FibreChannel {
    fn descs() -> Vec<&'static Desc> {
        COUNTERS.iter().map(|(_, desc)| desc).chain([&INFO]).collect()
    }

    fn new(site: &Site<'_>) -> Self {
        Self { class: site.roots.sysfs.join("class/fc_host") }
    }
}

#[async_trait]
impl Part for FibreChannel {
    async fn collect(&self, run: &mut Run) -> Result<(), CollectError> {
        for host in run.folders.names(&self.class)? {
            let folder = self.class.join(&host);
            let text = |file: &str| attribute::text(&folder.join(file)).unwrap_or_default();
            let words = ["speed", "port_state", "port_type"].map(text);
            let numbers = ["port_id", "port_name", "fabric_name"].map(|file| without_prefix(&text(file)).to_owned());
            let more = ["symbolic_name", "supported_classes", "supported_speeds", "dev_loss_tmo"].map(text);
            let mut labels = vec![host.as_str()];
            labels.extend(words.iter().chain(&numbers).chain(&more).map(String::as_str));
            run.batch.push(&INFO, &labels, 1.0);
            for (file, desc) in &COUNTERS {
                let value = attribute::text(&folder.join(file)).and_then(|text| hexadecimal(&text));
                if let Some(value) = value {
                    run.batch.push(desc, &[&host], value as f64);
                }
            }
        }
        Ok(())
    }
}

/// A name of a port without its `0x`.
fn without_prefix(text: &str) -> &str {
    text.strip_prefix("0x").unwrap_or(text)
}

/// A counter as the kernel writes it there: hexadecimal. All bits set is what an adapter says of one that it lacks.
fn hexadecimal(text: &str) -> Option<u64> {
    let value = match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok()?,
        None => text.parse().ok()?,
    };
    (value != u64::MAX).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_that_the_adapter_lacks_gives_no_sample() {
        assert_eq!(hexadecimal("0x1f"), Some(31));
        assert_eq!(hexadecimal("12"), Some(12));
        assert_eq!(hexadecimal("0xffffffffffffffff"), None);
        assert_eq!(hexadecimal("x"), None);
    }
}
