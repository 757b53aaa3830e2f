//! The prober `icmp`, on the loopback interface. It needs the right to send echo requests: root has it.

use crate::support::probing::Prober;

#[tokio::test]
async fn an_echo_comes_back_with_its_hop_limit() {
    let section = "[probes]\nallow = ['127.0.0.1', '::1']\n[probes.modules.big]\nprober = 'icmp'\n[probes.modules.big.icmp]\n\
        payload_size = 1200\ndont_fragment = true\nttl = 7\npreferred_ip_protocol = 'ip4'\n";
    let prober = Prober::new(section);
    for module in ["icmp", "big"] {
        let probed = prober.probe("127.0.0.1", module).await;
        assert!(probed.success(), "{module}: {}", prober.transcript("127.0.0.1", module).await);
        assert_eq!(probed.value("probe_icmp_reply_hop_limit"), 64.0, "{module}");
        let rtt = probed.value("probe_icmp_duration_seconds{phase=\"rtt\"}");
        assert!(rtt > 0.0 && rtt < probed.value("probe_duration_seconds"), "{rtt}");
    }
    if std::path::Path::new("/proc/net/if_inet6").exists() {
        let probed = prober.probe("::1", "icmp").await;
        assert!(probed.success(), "{}", prober.transcript("::1", "icmp").await);
        assert_eq!(probed.value("probe_ip_protocol"), 6.0);
    }
}

#[tokio::test]
async fn nobody_answers_for_a_reserved_address() {
    let section = "[probes]\nallow = ['240.0.0.1']\n[probes.modules.quick]\nprober = 'icmp'\ntimeout = '200ms'\n";
    let probed = Prober::new(section).probe("240.0.0.1", "quick").await;
    assert!(!probed.success());
    assert!(probed.get("probe_icmp_reply_hop_limit").is_none());
}
