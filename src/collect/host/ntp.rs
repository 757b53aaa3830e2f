//! `ntp`: what a server of the time says, asked once a run (RFC 5905, as SNTP).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use serde::Deserialize;
use tokio::net::UdpSocket;
use tokio::time::{Instant, timeout};

use super::{HostConfig, Listed, Part, Run, Site};
use crate::clock::Clock;
use crate::collect::CollectError;
use crate::config::{Problem, Problems, Span};
use crate::metrics::Desc;

/// Which server is asked, and what is taken for sane.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NtpConfig {
    /// The server's address.
    pub server: IpAddr,
    /// Its port.
    pub server_port: u16,
    /// The version that is spoken: 2, 3 or 4.
    pub protocol_version: u8,
    /// Certifies that an address that is not this machine's is no public server: a scrape every few seconds is abuse.
    pub server_is_local: bool,
    /// How many routers a question passes.
    pub ip_ttl: u32,
    /// How far the time's source may be away.
    pub max_distance: Span,
    /// By how much the clock may differ from the server's.
    pub local_offset_tolerance: Span,
}

impl Default for NtpConfig {
    fn default() -> Self {
        Self {
            server: Ipv4Addr::LOCALHOST.into(),
            server_port: 123,
            protocol_version: 4,
            server_is_local: false,
            ip_ttl: 1,
            max_distance: Span(Duration::from_micros(3_466_080)),
            local_offset_tolerance: Span(Duration::from_millis(1)),
        }
    }
}

static STRATUM: Desc = Desc::gauge("node_ntp_stratum", "NTPD stratum.", &[]);
static LEAP: Desc = Desc::gauge("node_ntp_leap", "NTPD leap second indicator, 2 bits.", &[]);
static RTT: Desc = Desc::gauge("node_ntp_rtt_seconds", "RTT to NTPD.", &[]);
static OFFSET: Desc = Desc::gauge("node_ntp_offset_seconds", "ClockOffset between NTP and local clock.", &[]);
static REFERENCE: Desc =
    Desc::gauge("node_ntp_reference_timestamp_seconds", "NTPD ReferenceTime, UNIX timestamp.", &[]);
static DELAY: Desc = Desc::gauge("node_ntp_root_delay_seconds", "NTPD RootDelay.", &[]);
static DISPERSION: Desc = Desc::gauge("node_ntp_root_dispersion_seconds", "NTPD RootDispersion.", &[]);
static SANITY: Desc =
    Desc::gauge("node_ntp_sanity", "NTPD sanity according to RFC5905 heuristics and configured limits.", &[]);

/// As long as ntpdate waits.
const PATIENCE: Duration = Duration::from_secs(1);
/// A packet without extensions.
const PACKET: usize = 48;
/// From 1900 to 1970.
const EPOCH: f64 = 2_208_988_800.0;
/// An era of 32 bits.
const ERA: f64 = 4_294_967_296.0;
const DAY: f64 = 86_400.0;
/// The indicator of a clock that is not set.
const NOT_SET: u8 = 3;
/// From here on a stratum says that there is no time.
const UNSYNCHRONISED: u8 = 16;
/// A source that was not heard for longer is none (RFC 5905: the longest poll interval), and one farther away neither.
const LONGEST_POLL: f64 = 131_072.0;
const MOST_DISPERSION: f64 = 16.0;

pub(super) struct Ntp {
    config: NtpConfig,
    clock: Clock,
    /// The midnight at which a second is added or left out: the server forgets it then, and may smear it for a day.
    leap: Mutex<Option<f64>>,
}

/// What a server answered, in seconds; times since 1970.
#[derive(Debug, PartialEq)]
struct Answer {
    leap: u8,
    stratum: u8,
    delay: f64,
    dispersion: f64,
    reference: f64,
    received: f64,
    sent: f64,
}

impl Listed for Ntp {
    fn descs() -> Vec<&'static Desc> {
        vec![&STRATUM, &LEAP, &RTT, &OFFSET, &REFERENCE, &DELAY, &DISPERSION, &SANITY]
    }

    fn check(config: &HostConfig, problems: &mut Problems) {
        let ntp = &config.ntp;
        if !ntp.server.is_loopback() && !ntp.server_is_local {
            problems.push(
                Problem::error("ntp.server", "not this machine's: to ask a public server in each scrape is abuse")
                    .hint("if it is your own, say so by `ntp.server_is_local = true`"),
            );
        }
        if !(2..=4).contains(&ntp.protocol_version) {
            problems.push(Problem::error("ntp.protocol_version", "there are the versions 2, 3 and 4"));
        }
    }

    fn new(site: &Site<'_>) -> Self {
        Self { config: site.config.ntp.clone(), clock: site.deps.clock.clone(), leap: Mutex::default() }
    }
}

#[async_trait]
impl Part for Ntp {
    async fn collect(&self, run: &mut Run) -> Result<(), CollectError> {
        let what = || format!("NTP server {}", self.config.server);
        let begun = Instant::now();
        let sent = self.now();
        let packet = timeout(PATIENCE, self.ask(sent)).await;
        let packet = packet.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()));
        let packet = packet.map_err(|source| CollectError::Io { what: what(), source })?;
        let trip = begun.elapsed().as_secs_f64();
        let answer = Answer::parse(&packet)
            .ok_or_else(|| CollectError::Malformed { what: what(), why: "no answer of a server".to_owned() })?;
        let rtt = (trip - (answer.sent - answer.received)).max(0.0);
        let offset = f64::midpoint(answer.received - sent, answer.sent - (sent + trip));
        for (desc, value) in [
            (&STRATUM, f64::from(answer.stratum)),
            (&LEAP, f64::from(answer.leap)),
            (&RTT, rtt),
            (&OFFSET, offset),
            (&REFERENCE, answer.reference.max(0.0)),
            (&DELAY, answer.delay),
            (&DISPERSION, answer.dispersion),
            (&SANITY, f64::from(self.is_sane(&answer, rtt, offset))),
        ] {
            run.batch.push(desc, &[], value);
        }
        Ok(())
    }
}

impl Ntp {
    fn now(&self) -> f64 {
        self.clock.now().as_nanosecond() as f64 / 1e9
    }

    /// Sends a question and waits for its answer, which repeats the time that the question told.
    async fn ask(&self, now: f64) -> std::io::Result<[u8; PACKET]> {
        let any: IpAddr =
            if self.config.server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let socket = UdpSocket::bind((any, 0)).await?;
        if self.config.server.is_ipv4() {
            socket.set_ttl(self.config.ip_ttl)?;
        }
        socket.connect((self.config.server, self.config.server_port)).await?;
        let mut question = [0; PACKET];
        question[0] = self.config.protocol_version << 3 | 3;
        let told = to_ntp(now);
        question[40..].copy_from_slice(&told);
        socket.send(&question).await?;
        let mut answer = [0; PACKET];
        loop {
            let length = socket.recv(&mut answer).await?;
            if length == PACKET && answer[24..32] == told {
                return Ok(answer);
            }
        }
    }

    /// Whether the server has a time and the clock is near it.
    fn is_sane(&self, answer: &Answer, rtt: f64, offset: f64) -> bool {
        let mut leap = self.leap.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(answer.leap, 1 | 2) {
            *leap = Some((answer.sent / DAY).floor() * DAY + DAY);
        }
        let smears = leap.is_some_and(|midnight| (midnight - DAY..midnight + DAY).contains(&answer.sent));
        let tolerance = self.config.local_offset_tolerance.0.as_secs_f64() + f64::from(smears);
        answer.has_time()
            && f64::midpoint(answer.delay, rtt) + answer.dispersion <= self.config.max_distance.0.as_secs_f64()
            && offset.abs() < tolerance
    }
}

impl Answer {
    fn parse(packet: &[u8; PACKET]) -> Option<Self> {
        let [first, stratum, ..] = *packet;
        // The mode of a server, and not its word for "too often".
        if first & 7 != 4 {
            return None;
        }
        let number = |at: usize| packet.get(at..at + 4)?.first_chunk().copied().map(u32::from_be_bytes);
        let short = |at| number(at).map(|number| f64::from(number) / 65_536.0);
        let time = |at| {
            let seconds = f64::from(number(at)?) + f64::from(number(at + 4)?) / ERA - EPOCH;
            // Times before 1968 are of the next era, which begins in 2036; 0 is none.
            Some(if seconds < -EPOCH / 32.0 && seconds > -EPOCH { seconds + ERA } else { seconds })
        };
        Some(Self {
            leap: first >> 6,
            stratum,
            delay: short(4)?,
            dispersion: short(8)?,
            reference: time(16)?,
            received: time(32)?,
            sent: time(40)?,
        })
    }

    /// Whether the server itself is synchronised, as RFC 5905 has it.
    fn has_time(&self) -> bool {
        (1..UNSYNCHRONISED).contains(&self.stratum)
            && self.leap != NOT_SET
            && self.delay / 2.0 + self.dispersion <= MOST_DISPERSION
            && (0.0..=LONGEST_POLL).contains(&(self.sent - self.reference))
    }
}

/// Seconds and their fraction since 1900, modulo an era.
fn to_ntp(now: f64) -> [u8; 8] {
    let seconds = (now + EPOCH).rem_euclid(ERA);
    ((seconds.trunc() as u64) << 32 | (seconds.fract() * ERA) as u64).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(leap: u8, stratum: u8) -> [u8; PACKET] {
        let mut packet = [0; PACKET];
        packet[0] = leap << 6 | 4 << 3 | 4;
        packet[1] = stratum;
        packet[4..8].copy_from_slice(&65_536_u32.to_be_bytes());
        packet[8..12].copy_from_slice(&32_768_u32.to_be_bytes());
        for (at, time) in [(16, 1_700_000_000.0), (32, 1_700_000_010.25), (40, 1_700_000_010.5)] {
            packet[at..at + 8].copy_from_slice(&to_ntp(time));
        }
        packet
    }

    #[test]
    fn an_answer_is_read_and_judged() {
        let answer = Answer::parse(&packet(0, 2)).unwrap();
        let expected = Answer {
            leap: 0,
            stratum: 2,
            delay: 1.0,
            dispersion: 0.5,
            reference: 1_700_000_000.0,
            received: 1_700_000_010.25,
            sent: 1_700_000_010.5,
        };
        assert_eq!(answer, expected);
        assert!(answer.has_time());
        for (leap, stratum) in [(NOT_SET, 2), (0, 0), (0, UNSYNCHRONISED)] {
            assert!(!Answer::parse(&packet(leap, stratum)).unwrap().has_time(), "{leap} {stratum}");
        }
        assert!(!Answer { reference: answer.sent - 2.0 * LONGEST_POLL, ..answer }.has_time(), "long not heard");
    }

    #[test]
    fn what_is_no_answer_of_a_server_is_refused() {
        let mut question = packet(0, 2);
        question[0] = 4 << 3 | 3;
        assert_eq!(Answer::parse(&question), None);
    }

    #[test]
    fn times_go_on_in_the_next_era() {
        let late = 2_300_000_000.0;
        let mut next = packet(0, 2);
        next[16..24].copy_from_slice(&to_ntp(late));
        assert!((Answer::parse(&next).unwrap().reference - late).abs() < 1e-3);
    }
}
