//! The prober `dns`, against dnsmasq.

use crate::support::name_server::NameServer;
use crate::support::peers::says;
use crate::support::probing::Prober;

fn prober(dns: &str) -> Prober {
    Prober::new(&format!(
        "[probes]\nallow = ['127.0.0.1:*']\n[probes.modules.d]\nprober = 'dns'\ntimeout = '5s'\n[probes.modules.d.dns]\n{dns}\n"
    ))
}

#[tokio::test]
async fn a_name_server_is_asked_and_its_records_are_judged() {
    let folder = tempfile::tempdir().unwrap();
    let server = NameServer::start(folder.path()).await;
    for (options, success, answers) in [
        ("query_name = 'probe.test'\nquery_type = 'A'", true, 1.0),
        ("query_name = 'probe.test'\nquery_type = 'A'\ntransport_protocol = 'tcp'", true, 1.0),
        ("query_name = 'missing.test'\nquery_type = 'A'", false, 0.0),
        ("query_name = 'missing.test'\nquery_type = 'A'\nvalid_rcodes = ['NXDOMAIN']", true, 0.0),
        ("query_name = 'elsewhere.example'\nquery_type = 'A'", false, 0.0),
        (
            "query_name = 'probe.test'\nquery_type = 'A'\n[probes.modules.d.dns.validate_answer_rrs]\n\
             fail_if_not_matches_regexp = ['^probe\\.test\\.\\t\\d+\\tIN\\tA\\t192\\.0\\.2\\.7$']",
            true,
            1.0,
        ),
        (
            "query_name = 'probe.test'\nquery_type = 'MX'\n[probes.modules.d.dns.validate_answer_rrs]\n\
             fail_if_none_matches_regexp = ['\\tMX\\t10 mail\\.probe\\.test\\.$']",
            true,
            1.0,
        ),
        (
            "query_name = 'probe.test'\nquery_type = 'TXT'\n[probes.modules.d.dns.validate_answer_rrs]\n\
             fail_if_matches_regexp = ['\"a text\"$']",
            false,
            1.0,
        ),
    ] {
        let prober = prober(options);
        let probed = prober.probe(&server.address, "d").await;
        let transcript = prober.transcript(&server.address, "d").await;
        assert_eq!(probed.success(), success, "{options}\n{transcript}");
        assert_eq!(probed.value("probe_dns_answer_rrs"), answers, "{options}");
        assert_eq!(probed.value("probe_dns_query_succeeded"), 1.0, "{options}");
    }
}

#[tokio::test]
async fn what_speaks_no_dns_does_not_succeed() {
    let peer = says(b"\x00\x05hello").await;
    let over_tcp = "query_name = 'probe.test'\nquery_type = 'SOA'\ntransport_protocol = 'tcp'";
    let probed = prober(over_tcp).probe(&peer.to_string(), "d").await;
    assert_eq!((probed.success(), probed.value("probe_dns_query_succeeded")), (false, 0.0));
    assert_eq!(probed.value("probe_dns_serial"), 0.0);
    let silent = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let section = "query_name = 'probe.test'\nquery_type = 'A'";
    let quick = Prober::new(&format!(
        "[probes]\nallow = ['127.0.0.1:*']\n[probes.modules.d]\nprober = 'dns'\ntimeout = '200ms'\n[probes.modules.d.dns]\n{section}\n"
    ));
    let probed = quick.probe(&silent.local_addr().unwrap().to_string(), "d").await;
    assert_eq!((probed.success(), probed.value("probe_dns_duration_seconds{phase=\"request\"}")), (false, 0.0));
}
