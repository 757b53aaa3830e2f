//! `xfrm`: errors of IPsec (Documentation/networking/xfrm_proc.rst).

use std::path::PathBuf;

use async_trait::async_trait;

use super::files::counter;
use super::{Listed, Part, Run, Site};
use crate::collect::CollectError;
use crate::metrics::Desc;

const fn total(name: &'static str, help: &'static str) -> Desc {
    Desc::counter(name, help, &[])
}

#[rustfmt::skip]
static ROWS: [(&str, Desc); 28] = [
    ("XfrmInError", total("node_xfrm_in_error_packets_total", "All errors not matched by other")),
    ("XfrmInBufferError", total("node_xfrm_in_buffer_error_packets_total", "No buffer is left")),
    ("XfrmInHdrError", total("node_xfrm_in_hdr_error_packets_total", "Header error")),
    ("XfrmInNoStates", total("node_xfrm_in_no_states_packets_total", "No state is found i.e. Either inbound SPI, address, or IPsec protocol at SA is wrong")),
    ("XfrmInStateProtoError", total("node_xfrm_in_state_proto_error_packets_total", "Transformation protocol specific error e.g. SA key is wrong")),
    ("XfrmInStateModeError", total("node_xfrm_in_state_mode_error_packets_total", "Transformation mode specific error")),
    ("XfrmInStateSeqError", total("node_xfrm_in_state_seq_error_packets_total", "Sequence error i.e. Sequence number is out of window")),
    ("XfrmInStateExpired", total("node_xfrm_in_state_expired_packets_total", "State is expired")),
    ("XfrmInStateMismatch", total("node_xfrm_in_state_mismatch_packets_total", "State has mismatch option e.g. UDP encapsulation type is mismatch")),
    ("XfrmInStateInvalid", total("node_xfrm_in_state_invalid_packets_total", "State is invalid")),
    ("XfrmInTmplMismatch", total("node_xfrm_in_tmpl_mismatch_packets_total", "No matching template for states e.g. Inbound SAs are correct but SP rule is wrong")),
    ("XfrmInNoPols", total("node_xfrm_in_no_pols_packets_total", "No policy is found for states e.g. Inbound SAs are correct but no SP is found")),
    ("XfrmInPolBlock", total("node_xfrm_in_pol_block_packets_total", "Policy discards")),
    ("XfrmInPolError", total("node_xfrm_in_pol_error_packets_total", "Policy error")),
    ("XfrmOutError", total("node_xfrm_out_error_packets_total", "All errors which is not matched others")),
    ("XfrmOutBundleGenError", total("node_xfrm_out_bundle_gen_error_packets_total", "Bundle generation error")),
    ("XfrmOutBundleCheckError", total("node_xfrm_out_bundle_check_error_packets_total", "Bundle check error")),
    ("XfrmOutNoStates", total("node_xfrm_out_no_states_packets_total", "No state is found")),
    ("XfrmOutStateProtoError", total("node_xfrm_out_state_proto_error_packets_total", "Transformation protocol specific error")),
    ("XfrmOutStateModeError", total("node_xfrm_out_state_mode_error_packets_total", "Transformation mode specific error")),
    ("XfrmOutStateSeqError", total("node_xfrm_out_state_seq_error_packets_total", "Sequence error i.e. Sequence number overflow")),
    ("XfrmOutStateExpired", total("node_xfrm_out_state_expired_packets_total", "State is expired")),
    ("XfrmOutPolBlock", total("node_xfrm_out_pol_block_packets_total", "Policy discards")),
    ("XfrmOutPolDead", total("node_xfrm_out_pol_dead_packets_total", "Policy is dead")),
    ("XfrmOutPolError", total("node_xfrm_out_pol_error_packets_total", "Policy error")),
    ("XfrmFwdHdrError", total("node_xfrm_fwd_hdr_error_packets_total", "Forward routing of a packet is not allowed")),
    ("XfrmOutStateInvalid", total("node_xfrm_out_state_invalid_packets_total", "State is invalid, perhaps expired")),
    ("XfrmAcquireError", total("node_xfrm_acquire_error_packets_total", "State has not been fully acquired before use")),
];

pub(super) struct Ipsec {
    /// That of the first process is the host's, also where we run in a container; else our own.
    tables: [PathBuf; 2],
}

impl Listed for Ipsec {
    fn descs() -> Vec<&'static Desc> {
        ROWS.iter().map(|(_, desc)| desc).collect()
    }

    fn new(site: &Site<'_>) -> Self {
        Self { tables: [site.roots.procfs.join("1/net/xfrm_stat"), site.roots.procfs.join("net/xfrm_stat")] }
    }
}

#[async_trait]
impl Part for Ipsec {
    async fn collect(&self, run: &mut Run) -> Result<(), CollectError> {
        for line in run.files.text_of_either(&self.tables)?.lines() {
            let mut words = line.split_ascii_whitespace();
            let (Some(name), Some(value)) = (words.next(), words.next().and_then(counter)) else { continue };
            if let Some((_, desc)) = ROWS.iter().find(|(known, _)| *known == name) {
                run.batch.push(desc, &[], value);
            }
        }
        Ok(())
    }
}
