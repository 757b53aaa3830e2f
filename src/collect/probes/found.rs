//! What a probe found so far, and its samples. A probe that is cut off leaves what it had: every family of its kind is
//! there all the same.

use std::net::IpAddr;

use super::certificate::Leaf;
use super::families as f;
use crate::metrics::{Batch, Desc};

/// The findings of one probe.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// What it is at, for the words of a time-out.
    pub(super) stage: &'static str,
    pub(super) address: Address,
    pub(super) kind: Kind,
    pub(super) tls: Option<Tls>,
    /// Labels of `probe_expect_info`, a series each.
    pub(super) expected: Vec<Vec<(String, String)>>,
    pub(super) transcript: Transcript,
}

/// What the name became.
#[derive(Clone, Debug, Default)]
pub(super) struct Address {
    pub(super) lookup: f64,
    pub(super) ip: Option<IpAddr>,
}

/// What belongs to one prober.
#[derive(Debug, Default)]
pub(super) enum Kind {
    #[default]
    None,
    Http(Box<Http>),
    Tcp(Tcp),
    Icmp(Icmp),
    Dns(Dns),
    Grpc(Grpc),
}

#[derive(Debug, Default)]
pub(super) struct Http {
    pub(super) resolve: f64,
    pub(super) connect: f64,
    pub(super) tls: f64,
    pub(super) processing: f64,
    pub(super) transfer: f64,
    pub(super) content_length: f64,
    pub(super) body_length: f64,
    pub(super) redirects: u32,
    pub(super) ssl: bool,
    pub(super) status: u16,
    pub(super) version: f64,
    pub(super) failed_regex: bool,
    /// Where the module asserts something of JSON.
    pub(super) failed_json: Option<bool>,
    /// Where the module has an expression that is not done here.
    pub(super) failed_cel: bool,
    pub(super) modified: Option<f64>,
}

#[derive(Debug, Default)]
pub(super) struct Tcp {
    pub(super) failed_regex: bool,
    pub(super) failed_bytes: bool,
}

#[derive(Debug, Default)]
pub(super) struct Icmp {
    pub(super) setup: f64,
    pub(super) rtt: f64,
    pub(super) hops: Option<u8>,
}

#[derive(Debug, Default)]
pub(super) struct Dns {
    pub(super) connect: f64,
    pub(super) request: f64,
    pub(super) answers: usize,
    pub(super) authorities: usize,
    pub(super) additionals: usize,
    pub(super) succeeded: bool,
    /// Where a zone's record was asked for.
    pub(super) serial: Option<u32>,
}

#[derive(Debug, Default)]
pub(super) struct Grpc {
    pub(super) check: Option<f64>,
    pub(super) ssl: bool,
    pub(super) status: u32,
    pub(super) serving: Option<&'static str>,
}

/// The states that a health service tells, by their numbers.
pub(super) const SERVING: [&str; 4] = ["UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"];

/// What a handshake told.
#[derive(Debug)]
pub(super) struct Tls {
    pub(super) version: &'static str,
    pub(super) cipher: String,
    pub(super) earliest_expiry: f64,
    pub(super) chain_expiry: f64,
    pub(super) leaf: Leaf,
}

/// What `?debug=true` shows. Kept only where it is asked for, and never with a header's value, a body or a key.
#[derive(Debug, Default)]
pub(super) struct Transcript(Option<Vec<String>>);

/// A conversation of more steps is cut.
const LINES: usize = 200;

impl Transcript {
    pub(super) fn kept() -> Self {
        Self(Some(Vec::new()))
    }

    pub(super) fn say(&mut self, line: impl FnOnce() -> String) {
        if let Some(lines) = self.0.as_mut().filter(|lines| lines.len() < LINES) {
            lines.push(line());
        }
    }

    pub(super) fn lines(&self) -> &[String] {
        self.0.as_deref().unwrap_or_default()
    }
}

impl Found {
    /// Writes its samples.
    pub(super) fn write(&self, batch: &mut Batch) {
        let hash = self.address.ip.map_or(0, hash);
        let protocol = self.address.ip.map_or(0.0, |ip| if ip.is_ipv4() { 4.0 } else { 6.0 });
        batch.push(&f::LOOKUP, &[], self.address.lookup);
        batch.push(&f::IP_PROTOCOL, &[], protocol);
        batch.push(&f::IP_HASH, &[], f64::from(hash));
        match &self.kind {
            Kind::None => {}
            Kind::Http(http) => http.write(batch),
            Kind::Tcp(tcp) => {
                batch.push(&f::FAILED_REGEX, &[], tcp.failed_regex.into());
                batch.push(&f::FAILED_BYTES, &[], tcp.failed_bytes.into());
            }
            Kind::Icmp(icmp) => {
                let phases = [("resolve", self.address.lookup), ("setup", icmp.setup), ("rtt", icmp.rtt)];
                write_phases(batch, &f::ICMP_DURATION, &phases);
                icmp.hops.inspect(|hops| batch.push(&f::ICMP_HOPS, &[], (*hops).into()));
            }
            Kind::Dns(dns) => dns.write(self.address.lookup, batch),
            Kind::Grpc(grpc) => grpc.write(self.address.lookup, batch),
        }
        for labels in &self.expected {
            let labels: Vec<(&str, &str)> = labels.iter().map(|(name, value)| (&**name, &**value)).collect();
            batch.push_labelled(&f::EXPECT, &labels, 1.0);
        }
        match &self.tls {
            Some(tls) => tls.write(batch, matches!(self.kind, Kind::Http(_))),
            // The original has the family for every probe of gRPC.
            None if matches!(self.kind, Kind::Grpc(_)) => batch.push(&f::TLS_EXPIRY, &[], 0.0),
            None => {}
        }
    }
}

fn write_phases(batch: &mut Batch, desc: &Desc, phases: &[(&str, f64)]) {
    for (phase, seconds) in phases {
        batch.push(desc, &[phase], *seconds);
    }
}

impl Http {
    /// Notes which assertions the module has: their families are there from the start.
    pub(super) fn expects(&mut self, options: &super::module::Http) {
        self.failed_cel = options.fail_if_body_json_matches_cel.0 || options.fail_if_body_json_not_matches_cel.0;
        self.failed_json = (!options.fail_if_body_json_not_matches.is_empty()).then_some(false);
    }

    fn write(&self, batch: &mut Batch) {
        let phases = [
            ("resolve", self.resolve),
            ("connect", self.connect),
            ("tls", self.tls),
            ("processing", self.processing),
            ("transfer", self.transfer),
        ];
        write_phases(batch, &f::HTTP_DURATION, &phases);
        let values: [(&Desc, f64); 8] = [
            (&f::HTTP_LENGTH, self.content_length),
            (&f::HTTP_BODY, self.body_length),
            (&f::HTTP_REDIRECTS, self.redirects.into()),
            (&f::HTTP_SSL, self.ssl.into()),
            (&f::HTTP_STATUS, self.status.into()),
            (&f::HTTP_VERSION, self.version),
            (&f::FAILED_REGEX, self.failed_regex.into()),
            (&f::FAILED_CEL, 1.0),
        ];
        for (desc, value) in values.iter().take(if self.failed_cel { 8 } else { 7 }) {
            batch.push(desc, &[], *value);
        }
        self.failed_json.inspect(|failed| batch.push(&f::FAILED_JSON, &[], (*failed).into()));
        self.modified.inspect(|at| batch.push(&f::HTTP_MODIFIED, &[], *at));
    }
}

impl Dns {
    fn write(&self, lookup: f64, batch: &mut Batch) {
        let phases = [("resolve", lookup), ("connect", self.connect), ("request", self.request)];
        write_phases(batch, &f::DNS_DURATION, &phases);
        batch.push(&f::DNS_ANSWER, &[], self.answers as f64);
        batch.push(&f::DNS_AUTHORITY, &[], self.authorities as f64);
        batch.push(&f::DNS_ADDITIONAL, &[], self.additionals as f64);
        batch.push(&f::DNS_SUCCEEDED, &[], self.succeeded.into());
        self.serial.inspect(|serial| batch.push(&f::DNS_SERIAL, &[], (*serial).into()));
    }
}

impl Grpc {
    fn write(&self, lookup: f64, batch: &mut Batch) {
        write_phases(batch, &f::GRPC_DURATION, &[("resolve", lookup)]);
        if let Some(check) = self.check {
            write_phases(batch, &f::GRPC_DURATION, &[("check", check)]);
            for state in SERVING {
                batch.push(&f::GRPC_HEALTH, &[state], f64::from(self.serving == Some(state)));
            }
        }
        batch.push(&f::GRPC_SSL, &[], self.ssl.into());
        batch.push(&f::GRPC_STATUS, &[], self.status.into());
    }
}

impl Tls {
    /// The original tells the cipher of HTTP only.
    fn write(&self, batch: &mut Batch, with_cipher: bool) {
        batch.push(&f::TLS_EXPIRY, &[], self.earliest_expiry);
        batch.push(&f::TLS_CHAIN_EXPIRY, &[], self.chain_expiry);
        let Leaf { fingerprint, subject, issuer, names, serial } = &self.leaf;
        batch.push(&f::TLS_CHAIN, &[fingerprint, subject, issuer, names, serial], 1.0);
        batch.push(&f::TLS_VERSION, &[self.version], 1.0);
        if with_cipher {
            batch.push(&f::TLS_CIPHER, &[&self.cipher], 1.0);
        }
    }
}

/// FNV-1a of the address' bytes, as the original has it.
fn hash(ip: IpAddr) -> u32 {
    let step = |hash: u32, byte: &u8| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193);
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.octets().iter().fold(0x811c_9dc5, step),
        IpAddr::V6(ip) => ip.octets().iter().fold(0x811c_9dc5, step),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_the_hash_that_the_original_gives_it() {
        assert_eq!(hash([127, 0, 0, 1].into()), 3_668_918_509);
    }

    #[test]
    fn a_transcript_is_bounded_and_kept_only_when_asked_for() {
        let mut off = Transcript::default();
        off.say(|| unreachable!("nobody asked"));
        let mut on = Transcript::kept();
        (0..1_000).for_each(|line| on.say(|| line.to_string()));
        assert_eq!((off.lines().len(), on.lines().len()), (0, LINES));
    }
}
