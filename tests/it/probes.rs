//! Probes against real peers: what each prober finds, and what it says of peers that are down, slow or hostile.
#![expect(clippy::float_cmp, reason = "a sample is read as it was written")]

mod dns;
mod files;
mod grpc;
mod hostile;
mod http;
mod icmp;
mod limits;
mod served;
mod tcp;
