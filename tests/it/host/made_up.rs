//! What neither the test's machine nor the saved host has, on trees made for the test.

use std::path::Path;

use tidewatch::clock::Clock;
use tidewatch::collect::Declare;
use tidewatch::collect::host::{Host, HostConfig};

use super::{Series, config, deps, only, run, series};

/// What one part tells about a tree of these files.
async fn told(part: &str, files: &[(&str, &str)]) -> Series {
    let root = tempfile::tempdir().unwrap();
    for (file, text) in files {
        let path = root.path().join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    of(root.path(), part).await
}

async fn of(root: &Path, part: &str) -> Series {
    let host = Host::build(&HostConfig { parts: only(&[part]), ..config(root) }, &deps(Clock::system()));
    let all = series(&run(&host).await.0);
    all.into_iter().filter(|(name, _)| !name.starts_with("node_scrape_collector_duration_seconds")).collect()
}

fn expected(part: &str, success: bool, samples: &[(&str, &str)]) -> Series {
    let mut all: Series = samples.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let success = u8::from(success).to_string();
    all.insert(format!("node_scrape_collector_success{{collector=\"{part}\"}}"), success);
    all
}

#[tokio::test]
async fn frequencies_and_governors_of_processors() {
    let folder = "sys/devices/system/cpu";
    let file = |name: &str| format!("{folder}/cpu10/cpufreq/{name}");
    let (current, least, governor, governors) = (
        file("scaling_cur_freq"),
        file("cpuinfo_min_freq"),
        file("scaling_governor"),
        file("scaling_available_governors"),
    );
    let files = [
        (current.as_str(), "1219917\n"),
        (least.as_str(), "800000\n"),
        (governor.as_str(), "powersave\n"),
        (governors.as_str(), "performance powersave\n"),
        ("sys/devices/system/cpu/cpu1/online", "0\n"),
        ("sys/devices/system/cpu/cpufreq/boost", "1\n"),
    ];
    let samples = [
        (r#"node_cpu_frequency_min_hertz{cpu="10"}"#, "800000000"),
        (r#"node_cpu_scaling_frequency_hertz{cpu="10"}"#, "1219917000"),
        (r#"node_cpu_scaling_governor{cpu="10",governor="performance"}"#, "0"),
        (r#"node_cpu_scaling_governor{cpu="10",governor="powersave"}"#, "1"),
    ];
    assert_eq!(told("cpufreq", &files).await, expected("cpufreq", true, &samples));
}

#[tokio::test]
async fn selinux_is_told_where_it_is_on() {
    let samples =
        [("node_selinux_enabled", "1"), ("node_selinux_config_mode", "1"), ("node_selinux_current_mode", "0")];
    let files = [("sys/fs/selinux/enforce", "0"), ("etc/selinux/config", "# SELINUX=x\nSELINUX=enforcing\n")];
    assert_eq!(told("selinux", &files).await, expected("selinux", true, &samples));
    assert_eq!(told("selinux", &[]).await, expected("selinux", true, &[("node_selinux_enabled", "0")]));
}

#[tokio::test]
async fn hung_tasks_and_waiting_for_interrupts_on_newer_kernels() {
    let hung = [("proc/sys/kernel/hung_task_detect_count", "3\n")];
    assert_eq!(
        told("kernel_hung", &hung).await,
        expected("kernel_hung", true, &[("node_kernel_hung_tasks_total", "3")])
    );
    let full = "full avg10=0.00 avg60=0.00 avg300=0.00 total=2500000\n";
    let both = format!("some avg10=0.00 avg60=0.00 avg300=0.00 total=7000000\n{full}");
    let files = [("proc/pressure/irq", full), ("proc/pressure/cpu", both.as_str())];
    let samples =
        [("node_pressure_cpu_waiting_seconds_total", "7"), ("node_pressure_irq_stalled_seconds_total", "2.5")];
    assert_eq!(told("pressure", &files).await, expected("pressure", true, &samples));
}

#[tokio::test]
async fn what_finds_no_data_fails_as_in_the_original() {
    for part in ["bonding", "conntrack", "dmi", "ipvs", "kernel_hung", "mdadm", "nfs", "nfsd", "pressure", "schedstat"]
    {
        assert_eq!(told(part, &[]).await, expected(part, false, &[]), "{part}");
    }
    for part in ["cpufreq", "xfs"] {
        let files = [("sys/devices/system/cpu/offline", "\n")];
        assert_eq!(told(part, &files).await, expected(part, true, &[]), "{part}");
    }
}

#[tokio::test]
async fn a_disabled_kernel_option_is_no_data() {
    let files = [("proc/pressure/cpu", "")];
    assert_eq!(told("pressure", &files).await, expected("pressure", false, &[]));
}

#[tokio::test]
async fn sockets_and_interfaces_of_other_kernels() {
    let files = [("proc/net/sockstat", "sockets: used 5\nMPTCP: inuse 2 mem 3\nTCP: inuse 1 news 4\n")];
    let found = told("sockstat", &files).await;
    let page = 3 * rustix::param::page_size();
    let samples = [
        ("node_sockstat_MPTCP_inuse", "2"),
        ("node_sockstat_MPTCP_mem", "3"),
        ("node_sockstat_MPTCP_mem_bytes", &page.to_string()),
        ("node_sockstat_TCP_inuse", "1"),
        ("node_sockstat_sockets_used", "5"),
    ];
    assert_eq!(found, expected("sockstat", true, &samples));
    // Before Linux 5.14 the table does not name the processor.
    let old = "00000007 00000001 00000000 00000000 00000000 00000000 00000000 00000000 00000002\n";
    let found = told("softnet", &[("proc/net/softnet_stat", &old.repeat(2))]).await;
    assert_eq!(found[r#"node_softnet_processed_total{cpu="1"}"#], "7");
    assert_eq!(found[r#"node_softnet_cpu_collision_total{cpu="0"}"#], "2");
}

#[tokio::test]
async fn a_device_that_tells_little_has_what_it_tells() {
    let files = [
        ("sys/class/net/wwan0/operstate", "up\n"),
        ("sys/class/net/wwan0/flags", "0x1002\n"),
        ("sys/class/net/wwan0/speed", "-1\n"),
        ("sys/class/net/bonding_masters", "\n"),
    ];
    let samples = [
        (r#"node_network_flags{device="wwan0"}"#, "4098"),
        (
            r#"node_network_info{address="",adminstate="down",broadcast="",device="wwan0",duplex="",ifalias="",operstate="up"}"#,
            "1",
        ),
        (r#"node_network_speed_bytes{device="wwan0"}"#, "-125000"),
        (r#"node_network_up{device="wwan0"}"#, "1"),
    ];
    assert_eq!(told("netclass", &files).await, expected("netclass", true, &samples));
}
