//! Peers that hang, break off or say too much: the probe fails within its time, and its families are there.

use std::time::{Duration, Instant};

use crate::support::http_stub::{HttpStub, Reply};
use crate::support::peers::{endless, hangs, listen, says};
use crate::support::probing::Prober;

const HTTP: &[&str] = &[
    "probe_dns_lookup_time_seconds",
    "probe_failed_due_to_regex",
    "probe_http_content_length",
    "probe_http_duration_seconds{phase=\"transfer\"}",
    "probe_http_redirects",
    "probe_http_ssl",
    "probe_http_status_code",
    "probe_http_uncompressed_body_length",
    "probe_http_version",
    "probe_ip_addr_hash",
    "probe_ip_protocol",
];

#[tokio::test]
async fn no_answer_of_http_costs_more_than_its_time() {
    let many: &'static [u8] = Box::leak(
        [b"HTTP/1.1 200 OK\r\n".as_slice(), "x-a: b\r\n".repeat(100_000).as_bytes()].concat().into_boxed_slice(),
    );
    let long: &'static [u8] =
        Box::leak([b"HTTP/1.1 200 OK\r\nx: ".as_slice(), &vec![b'a'; 4 << 20]].concat().into_boxed_slice());
    let drops = HttpStub::start(|_| Reply::Drop).await.address;
    let peers = [
        ("hangs", hangs().await),
        ("drops", drops),
        ("closes", listen(|stream| async move { drop(stream) }).await),
        ("no HTTP", says(b"SSH-2.0-x\r\n").await),
        ("half a head", says(b"HTTP/1.1 200 OK\r\nContent-Le").await),
        ("half a body", says(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf").await),
        ("many fields", says(many).await),
        ("a long field", says(long).await),
        ("an endless head", endless(b"HTTP/1.1 200 OK\r\nx: ").await),
        ("an endless body", endless(b"HTTP/1.1 200 OK\r\n\r\n").await),
        ("bad chunks", says(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n").await),
        ("a bad place", says(b"HTTP/1.1 302 Found\r\nLocation: http://[bad\r\nContent-Length: 0\r\n\r\n").await),
    ];
    let prober = Prober::new(
        "[probes]\nallow = ['127.0.0.1:*/*']\nmodules = { quick = { prober = 'http', timeout = '700ms' } }\n",
    );
    for (what, peer) in peers {
        let begun = Instant::now();
        let probed = prober.probe(&peer.to_string(), "quick").await;
        assert!(!probed.success(), "{what}: {}", probed.text);
        assert!(begun.elapsed() < Duration::from_secs(5), "{what}: {:?}", begun.elapsed());
        for family in HTTP {
            assert!(probed.get(family).is_some(), "{what}: no {family} in {}", probed.text);
        }
    }
}

#[tokio::test]
async fn a_peer_that_talks_for_ever_is_not_listened_to() {
    let chatter = endless(b"").await;
    let section = "[probes]\nallow = ['127.0.0.1:*']\n[probes.modules.b]\nprober = 'tcp'\ntimeout = '5s'\n[probes.modules.b.tcp]\n\
        query_response = [{ expect = '^never' }]\n[probes.modules.g]\nprober = 'grpc'\ntimeout = '5s'\n";
    let prober = Prober::new(section);
    for module in ["b", "g"] {
        assert!(!prober.probe(&chatter.to_string(), module).await.success(), "{module}");
    }
    let transcript = prober.transcript(&chatter.to_string(), "b").await;
    assert!(transcript.contains("says more than a probe reads"), "{transcript}");
}
