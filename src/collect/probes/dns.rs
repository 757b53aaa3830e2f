//! Probing a name server.

use std::net::SocketAddr;
use std::str::FromStr;

use hickory_proto::op::{Message, MessageType, OpCode, Query};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UdpSocket;
use tokio::time::Instant;

use super::Around;
use super::found::{self, Found};
use super::module::{Dns, Records, Transport};
use super::pattern::Pattern;
use super::resolve::{self, words};
use super::secure::Speaks;
use super::wire::Stream;

/// The names of the codes that a server answers, by their numbers (RFC 1035, RFC 2136).
const CODES: [&str; 11] = [
    "NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED", "YXDOMAIN", "YXRRSET", "NXRRSET", "NOTAUTH",
    "NOTZONE",
];

pub(super) async fn probe(
    around: &Around<'_>,
    options: &Dns,
    target: &str,
    found: &mut Found,
    dns: &mut found::Dns,
) -> Result<(), String> {
    let query = query(options)?;
    let asks_for_zone = options.query_type == "SOA";
    dns.serial = asks_for_zone.then_some(0);
    let (host, port) = resolve::split(target).ok_or("the target is no host, with a port or without")?;
    let port = port.unwrap_or(if options.dns_over_tls { 853 } else { 53 });
    let ip = resolve::address(host, options.preferred_ip_protocol, options.ip_protocol_fallback, found).await?;
    let server = SocketAddr::new(ip, port);

    let bytes = query.to_vec().map_err(|error| format!("the question cannot be written: {error}"))?;
    let answer = if options.transport_protocol == Transport::Udp && !options.dns_over_tls {
        over_udp(server, &query, &bytes, options, found, dns).await?
    } else {
        over_stream(around, host, server, &bytes, options, found, dns).await?
    };
    if answer.metadata.id != query.metadata.id {
        return Err("the answer is to another question".into());
    }
    dns.succeeded = true;
    dns.answers = answer.answers.len();
    dns.authorities = answer.authorities.len();
    dns.additionals = answer.additionals.len() + usize::from(answer.edns.is_some());
    if asks_for_zone {
        let serial = |record: &Record| match &record.data {
            RData::SOA(zone) => Some(zone.serial),
            _ => None,
        };
        dns.serial = answer.answers.iter().find_map(serial).or(dns.serial);
    }
    found.transcript.say(|| format!("answered with {} records", dns.answers));
    judge(&answer, options)
}

fn query(options: &Dns) -> Result<Message, String> {
    let mut name = Name::from_ascii(&options.query_name).map_err(|_| "`query_name` is no name")?;
    name.set_fqdn(true);
    let kind = RecordType::from_str(&options.query_type).map_err(|_| "`query_type` is none that is known here")?;
    let class = DNSClass::from_str(&options.query_class).map_err(|_| "`query_class` is none")?;
    let mut question = Query::query(name, kind);
    question.set_query_class(class);
    let mut query = Message::new(fastrand::u16(..), MessageType::Query, OpCode::Query);
    query.metadata.recursion_desired = options.recursion_desired;
    query.add_query(question);
    Ok(query)
}

async fn over_udp(
    server: SocketAddr,
    query: &Message,
    bytes: &[u8],
    options: &Dns,
    found: &mut Found,
    dns: &mut found::Dns,
) -> Result<Message, String> {
    let broken = |error: std::io::Error| format!("asking: {}", words(&error));
    let begun = Instant::now();
    let any: std::net::IpAddr =
        if server.is_ipv4() { std::net::Ipv4Addr::UNSPECIFIED.into() } else { std::net::Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((options.source_ip_address.unwrap_or(any), 0)).await.map_err(broken)?;
    socket.connect(server).await.map_err(broken)?;
    dns.connect = begun.elapsed().as_secs_f64();
    found.stage = "waiting for the answer";
    let begun = Instant::now();
    socket.send(bytes).await.map_err(broken)?;
    let mut buffer = vec![0; 64 << 10];
    loop {
        let length = socket.recv(&mut buffer).await.map_err(broken)?;
        dns.request = begun.elapsed().as_secs_f64();
        let datagram = buffer.get(..length).unwrap_or_default();
        // Somebody else's datagram, forged or late, is not the answer.
        if datagram.get(..2) == Some(&query.metadata.id.to_be_bytes()[..]) {
            return Message::from_vec(datagram).map_err(|_| "the answer is no DNS message".to_owned());
        }
    }
}

async fn over_stream(
    around: &Around<'_>,
    host: &str,
    server: SocketAddr,
    bytes: &[u8],
    options: &Dns,
    found: &mut Found,
    dns: &mut found::Dns,
) -> Result<Message, String> {
    let broken = |error: std::io::Error| format!("asking: {}", words(&error));
    let begun = Instant::now();
    let stream = resolve::connect(server, options.source_ip_address, found).await?;
    let mut stream: Box<dyn Stream> = Box::new(stream);
    if options.dns_over_tls {
        stream = Box::new(around.tls.secure(stream, host, &options.tls_config, Speaks::Unsaid, found).await?);
    }
    dns.connect = begun.elapsed().as_secs_f64();
    found.stage = "waiting for the answer";
    let begun = Instant::now();
    let length = u16::try_from(bytes.len()).map_err(|_| "the question is too long")?;
    let framed = [&length.to_be_bytes(), bytes].concat();
    stream.write_all(&framed).await.map_err(broken)?;
    stream.flush().await.map_err(broken)?;
    let length = stream.read_u16().await.map_err(broken)?;
    let mut answer = vec![0; length.into()];
    stream.read_exact(&mut answer).await.map_err(broken)?;
    dns.request = begun.elapsed().as_secs_f64();
    Message::from_vec(&answer).map_err(|_| "the answer is no DNS message".to_owned())
}

fn judge(answer: &Message, options: &Dns) -> Result<(), String> {
    let code = CODES.get(usize::from(u16::from(answer.metadata.response_code))).copied().unwrap_or("another code");
    if !options.valid_rcodes.iter().any(|valid| valid == code) {
        return Err(format!("the server answered {code}"));
    }
    for (section, records, wanted) in [
        ("answer", &answer.answers, &options.validate_answer_rrs),
        ("authority", &answer.authorities, &options.validate_authority_rrs),
        ("additional", &answer.additionals, &options.validate_additional_rrs),
    ] {
        let written: Vec<String> = records.iter().map(write).collect();
        check(&written, wanted).map_err(|fault| format!("a record of the section {section} {fault}"))?;
    }
    Ok(())
}

/// `fail_if_all_match_regexp` is what its name says. The original fails where not all match.
fn check(records: &[String], wanted: &Records) -> Result<(), String> {
    let (each, one) = (&wanted.fail_if_not_matches_regexp, &wanted.fail_if_none_matches_regexp);
    if let Some(pattern) = each.first().or(one.first()).filter(|_| records.is_empty()) {
        return Err(format!("that matches {pattern:?} is not there: there is none"));
    }
    let any = |pattern: &&Pattern| records.iter().any(|record| pattern.is_match(record));
    let all = |pattern: &&Pattern| records.iter().all(|record| pattern.is_match(record));
    if let Some(pattern) = wanted.fail_if_matches_regexp.iter().find(any) {
        return Err(format!("matches {pattern:?}"));
    }
    if let Some(pattern) = wanted.fail_if_all_match_regexp.iter().filter(|_| !records.is_empty()).find(all) {
        return Err(format!("and every other matches {pattern:?}"));
    }
    if let Some(pattern) = each.iter().find(|pattern| !all(pattern)) {
        return Err(format!("does not match {pattern:?}"));
    }
    if !one.is_empty() && !one.iter().any(|pattern| any(&pattern)) {
        return Err(format!("that matches one of {one:?} is not there"));
    }
    Ok(())
}

/// A record as zone files and the original's expressions have it.
fn write(record: &Record) -> String {
    let data = match &record.data {
        RData::TXT(text) => {
            let quoted = |part: &[u8]| format!("{:?}", String::from_utf8_lossy(part));
            text.txt_data.iter().map(|part| quoted(part)).collect::<Vec<_>>().join(" ")
        }
        other => other.to_string(),
    };
    format!("{}\t{}\t{}\t{}\t{data}", record.name, record.ttl, record.dns_class, record.record_type())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(wanted: &str) -> Records {
        serde_json::from_str(wanted).unwrap()
    }

    #[test]
    fn records_are_checked_in_the_four_ways_of_the_original() {
        let both = ["a.\t5\tIN\tA\t192.0.2.1".to_owned(), "a.\t5\tIN\tA\t192.0.2.2".to_owned()];
        for (wanted, passes) in [
            (r#"{"fail_if_matches_regexp": ["192.0.2.2"]}"#, false),
            (r#"{"fail_if_matches_regexp": ["192.0.2.3"]}"#, true),
            (r#"{"fail_if_all_match_regexp": ["192.0.2"]}"#, false),
            (r#"{"fail_if_all_match_regexp": ["192.0.2.1"]}"#, true),
            (r#"{"fail_if_not_matches_regexp": ["192.0.2.1"]}"#, false),
            (r#"{"fail_if_not_matches_regexp": ["^a\\.\\t.*\\tA\\t"]}"#, true),
            (r#"{"fail_if_none_matches_regexp": ["192.0.2.1", "192.0.2.2"]}"#, true),
            (r#"{"fail_if_none_matches_regexp": ["192.0.2.1", "192.0.2.3"]}"#, true),
            (r#"{"fail_if_none_matches_regexp": ["192.0.2.3", "192.0.2.4"]}"#, false),
        ] {
            assert_eq!(check(&both, &records(wanted)).is_ok(), passes, "{wanted}");
        }
        for (wanted, passes) in [
            (r#"{"fail_if_none_matches_regexp": ["."]}"#, false),
            (r#"{"fail_if_not_matches_regexp": ["."]}"#, false),
            (r#"{"fail_if_matches_regexp": ["."]}"#, true),
            (r#"{"fail_if_all_match_regexp": ["."]}"#, true),
        ] {
            assert_eq!(check(&[], &records(wanted)).is_ok(), passes, "{wanted} of no records");
        }
    }
}
