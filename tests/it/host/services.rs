//! The optional parts about services and mounts that the test's machine has none of.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UdpSocket, UnixListener};

use super::parts::read;
use super::{Series, series};
use crate::support::http_stub::{HttpStub, Reply};

fn tree(files: &[(&str, &[u8])]) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for (file, bytes) in files {
        let path = root.path().join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
    root
}

async fn told(root: &Path, part: &str, options: &str) -> Series {
    let all = series(&read(root, &[part], options).await);
    all.into_iter().filter(|(name, _)| !name.starts_with("node_scrape_collector_duration_seconds")).collect()
}

fn expected(part: &str, success: bool, samples: &[(&str, &str)]) -> Series {
    let mut all: Series = samples.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    all.insert(format!("node_scrape_collector_success{{collector=\"{part}\"}}"), u8::from(success).to_string());
    all
}

#[tokio::test]
async fn services_of_runit() {
    let status = |want: u8, state: u8| {
        let mut bytes = Vec::from(((1_u64 << 62) + 10 + 1_700_000_000).to_be_bytes());
        bytes.extend([0, 0, 0, 0, 1, 0, 0, 0, 0, want, 0, state]);
        bytes
    };
    let root = tree(&[
        ("etc/service/web/supervise/status", &status(b'u', 1)),
        ("etc/service/job/supervise/status", &status(b'd', 0)),
        ("etc/service/job/down", b""),
        ("etc/service/never/run", b""),
    ]);
    let samples = [
        (r#"node_service_state{service="web",supervisor="runit"}"#, "1"),
        (r#"node_service_desired_state{service="web",supervisor="runit"}"#, "1"),
        (r#"node_service_normal_state{service="web",supervisor="runit"}"#, "1"),
        (r#"node_service_state_last_change_timestamp_seconds{service="web",supervisor="runit"}"#, "1700000000"),
        (r#"node_service_state{service="job",supervisor="runit"}"#, "0"),
        (r#"node_service_desired_state{service="job",supervisor="runit"}"#, "0"),
        (r#"node_service_normal_state{service="job",supervisor="runit"}"#, "0"),
        (r#"node_service_state_last_change_timestamp_seconds{service="job",supervisor="runit"}"#, "1700000000"),
    ];
    assert_eq!(told(root.path(), "runit", "").await, expected("runit", true, &samples));
    let elsewhere = "runit.servicedir = '/none'";
    assert_eq!(told(root.path(), "runit", elsewhere).await, expected("runit", false, &[]));
}

const PROGRAMS: &str = "<?xml version='1.0'?>\n<methodResponse>\n<params>\n<param>\n<value><array><data>\n\
    <value><struct>\n<member>\n<name>name</name>\n<value><string>web</string></value>\n</member>\n\
    <member>\n<name>group</name>\n<value><string>site</string></value>\n</member>\n\
    <member>\n<name>start</name>\n<value><int>1700000000</int></value>\n</member>\n\
    <member>\n<name>state</name>\n<value><int>20</int></value>\n</member>\n\
    <member>\n<name>exitstatus</name>\n<value><int>0</int></value>\n</member>\n</struct></value>\n\
    <value><struct>\n<member>\n<name>name</name>\n<value><string>job</string></value>\n</member>\n\
    <member>\n<name>group</name>\n<value><string>job</string></value>\n</member>\n\
    <member>\n<name>state</name>\n<value><int>100</int></value>\n</member>\n\
    <member>\n<name>exitstatus</name>\n<value><int>3</int></value>\n</member>\n</struct></value>\n\
    </data></array></value>\n</param>\n</params>\n</methodResponse>\n";

const OF_PROGRAMS: [(&str, &str); 7] = [
    (r#"node_supervisord_up{name="web",group="site"}"#, "1"),
    (r#"node_supervisord_state{name="web",group="site"}"#, "20"),
    (r#"node_supervisord_exit_status{name="web",group="site"}"#, "0"),
    (r#"node_supervisord_start_time_seconds{name="web",group="site"}"#, "1700000000"),
    (r#"node_supervisord_up{name="job",group="job"}"#, "0"),
    (r#"node_supervisord_state{name="job",group="job"}"#, "100"),
    (r#"node_supervisord_exit_status{name="job",group="job"}"#, "3"),
];

#[tokio::test]
async fn programs_of_supervisord_by_http() {
    let stub = HttpStub::start(|asked| {
        let known = asked.headers.get("authorization").is_some_and(|both| both == "Basic bWU6cEB3");
        let asks = asked.path == "/RPC2" && asked.body.windows(17).any(|part| part == b"getAllProcessInfo");
        if known && asks { Reply::status(200, PROGRAMS) } else { Reply::status(401, "") }
    })
    .await;
    let root = tree(&[]);
    let url = |user: &str| format!("supervisord.url = 'http://{user}{}/RPC2'", stub.address);
    let all = expected("supervisord", true, &OF_PROGRAMS);
    assert_eq!(told(root.path(), "supervisord", &url("me:p%40w@")).await, all);
    assert_eq!(told(root.path(), "supervisord", &url("")).await, expected("supervisord", false, &[]));
}

#[tokio::test]
async fn programs_of_supervisord_by_its_socket() {
    let root = tree(&[("run/none", b"")]);
    let listener = UnixListener::bind(root.path().join("run/supervisor.sock")).unwrap();
    let server = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut question = vec![0; 4096];
        let read = stream.read(&mut question).await.unwrap();
        assert!(question[..read].starts_with(b"POST /RPC2 HTTP/1.1\r\n"));
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", PROGRAMS.len());
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(PROGRAMS.as_bytes()).await.unwrap();
    };
    let options = "supervisord.url = 'unix:///run/supervisor.sock'";
    let (found, ()) = tokio::join!(told(root.path(), "supervisord", options), server);
    assert_eq!(found, expected("supervisord", true, &OF_PROGRAMS));
}

/// Seconds since 1900 as a server of the time writes them.
fn stamp(seconds: f64) -> [u8; 8] {
    let since = seconds + 2_208_988_800.0;
    (((since.trunc() as u64) << 32) | (since.fract() * 4_294_967_296.0) as u64).to_be_bytes()
}

#[tokio::test]
async fn a_server_of_the_time_is_asked_and_judged() {
    let root = tree(&[]);
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let options = format!("ntp = {{ server_port = {} }}", socket.local_addr().unwrap().port());
    for (ahead, sane) in [(0.0, "1"), (10.0, "0")] {
        let server = async {
            let mut question = [0; 64];
            let (length, from) = socket.recv_from(&mut question).await.unwrap();
            assert_eq!((length, question[0]), (48, 4 << 3 | 3));
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64() + ahead;
            let mut answer = [0; 48];
            answer[..2].copy_from_slice(&[4 << 3 | 4, 2]);
            answer[16..24].copy_from_slice(&stamp(now - 100.0));
            // What does not repeat the question's time is not its answer.
            socket.send_to(&answer, from).await.unwrap();
            answer[24..32].copy_from_slice(&question[40..48]);
            answer[32..40].copy_from_slice(&stamp(now));
            answer[40..].copy_from_slice(&stamp(now));
            socket.send_to(&answer, from).await.unwrap();
        };
        let options = options.replace(" }", ", local_offset_tolerance = '5s' }");
        let (found, ()) = tokio::join!(told(root.path(), "ntp", &options), server);
        assert_eq!((found["node_ntp_stratum"].as_str(), found["node_ntp_sanity"].as_str()), ("2", sane));
        let offset: f64 = found["node_ntp_offset_seconds"].parse().unwrap();
        assert!((offset - ahead).abs() < 4.0, "{offset}");
    }
    drop(socket);
    assert_eq!(told(root.path(), "ntp", &options).await, expected("ntp", false, &[]), "nobody listens");
}

#[tokio::test]
async fn mounts_of_nfs() {
    let statistics = "device rootfs mounted on / with fstype rootfs\n\
        device server:/data mounted on /mnt/data with fstype nfs4 statvers=1.1\n\
        \topts:\trw,vers=4.2,proto=tcp\n\tage:\t13968\n\tcaps:\tcaps=0xfff7,wtmult=512\n\
        \tevents:\t52 226 0 0 1 13 398 0 0 331 0 47 0 0 77 0 0 77 0 5 4 3 2 1 0 6 7\n\
        \tbytes:\t1207640230 2 3 4 1210214218 6 295483 8\n\tRPC iostats version: 1.1  p/v: 100003/4 (nfs)\n\
        \txprt:\ttcp 832 9 1 0 11 6428 6427 5 12154 12 24 26 5726\n\tper-op statistics\n\
        \t        NULL: 0 0 0 0 0 0 0 0\n\t        READ: 1298 1299 0 207680 1210292152 6 79386 79407 2\n\
        device server:/data mounted on /mnt/again with fstype nfs4 statvers=1.1\n\tage:\t5\n\
        \txprt:\ttcp 832 9 1 0 11 6428 6427 5 12154 12 24 26 5726\n";
    let mounts = "1 0 0:1 / / rw - rootfs rootfs rw\n\
        36 1 0:40 / /mnt/data rw - nfs4 server:/data rw,vers=4.2,clientaddr=10.0.0.2,addr=10.0.0.1\n\
        37 1 0:40 / /mnt/again rw - nfs4 server:/data rw,vers=4.2,addr=10.0.0.1\n";
    let root = tree(&[("proc/self/mountstats", statistics.as_bytes()), ("proc/self/mountinfo", mounts.as_bytes())]);
    let found = told(root.path(), "mountstats", "").await;
    let of = |name: &str, more: &str| {
        let series = format!(
            "node_mountstats_nfs_{name}{{export=\"server:/data\",protocol=\"tcp\",mountaddr=\"10.0.0.1\"{more}}}"
        );
        found.get(&series).map_or_else(|| panic!("no {series} in {found:#?}"), String::as_str)
    };
    for (name, value) in [
        ("age_seconds_total", "13968"),
        ("read_bytes_total", "1207640230"),
        ("write_pages_total", "8"),
        ("event_inode_revalidate_total", "52"),
        ("event_vfs_file_release_total", "77"),
        ("event_truncation_total", "5"),
        ("event_pnfs_write_total", "7"),
    ] {
        assert_eq!(of(name, ""), value, "{name}");
    }
    for (name, value) in [
        ("bind_total", "9"),
        ("connect_total", "1"),
        ("idle_time_seconds", "11"),
        ("sends_total", "6428"),
        ("bad_transaction_ids_total", "5"),
        ("backlog_queue_total", "12"),
        ("maximum_rpc_slots", "24"),
        ("pending_queue_total", "5726"),
    ] {
        assert_eq!(of(&format!("transport_{name}"), ",transport=\"0\""), value, "{name}");
    }
    for (name, value) in [
        ("requests_total", "1298"),
        ("received_bytes_total", "1210292152"),
        ("queue_time_seconds_total", "0.006"),
        ("request_time_seconds_total", "79.407"),
        ("errors_total", "2"),
    ] {
        assert_eq!(of(&format!("operations_{name}"), ",operation=\"READ\""), value, "{name}");
    }
    for point in ["data", "again"] {
        assert_eq!(of("mountpoint_info", &format!(",mountpoint=\"/mnt/{point}\"")), "1");
    }
    assert_eq!(
        found.keys().filter(|name| name.contains("_age_seconds")).count(),
        1,
        "an export has one set of counters"
    );
}

#[tokio::test]
async fn what_kind_of_processors_there_are() {
    let one = "processor\t: 0\nvendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel\t\t: 167\nmodel name\t: Xeon \"E\"\n\
        stepping\t: 1\nmicrocode\t: 0x1\ncpu MHz\t\t: 2700.002\ncache size\t: 512 KB\nphysical id\t: 0\ncore id\t\t: 1\n\
        flags\t\t: fpu aes avx avx2\nbugs\t\t: spectre_v1 mds\n\n";
    let stat = "cpu  1 2 3 4\ncpu0 1 2 3 4\nintr 5 1\nsoftirq 30 1 2 3 4 5 6 7 8 9 10\n";
    let root = tree(&[
        ("proc/stat", stat.as_bytes()),
        ("proc/cpuinfo", one.as_bytes()),
        ("sys/devices/system/cpu/online", b"0\n"),
    ]);
    let plain = told(root.path(), "cpu", "").await;
    assert!(!plain.keys().any(|name| name.contains("info") || name.contains("hertz")));
    let options = "cpu = { guest = false, info_flags_include = '^avx', info_bugs_include = 'spectre' }";
    let found = told(root.path(), "cpu", options).await;
    let asked = |name: &&String| !name.starts_with("node_cpu_seconds_total") && !name.starts_with("node_scrape_");
    let names: Vec<&String> = found.keys().filter(asked).collect();
    assert_eq!(
        names,
        [
            r#"node_cpu_bug_info{bug="spectre_v1"}"#,
            r#"node_cpu_flag_info{flag="avx"}"#,
            r#"node_cpu_flag_info{flag="avx2"}"#,
            r#"node_cpu_frequency_hertz{package="0",core="1",cpu="0"}"#,
            r#"node_cpu_info{package="0",core="1",cpu="0",vendor="GenuineIntel",family="6",model="167",model_name="Xeon \"E\"",microcode="0x1",stepping="1",cachesize="512 KB"}"#,
        ]
    );
    assert_eq!(found[names[3]], "2700002000");
    let soft = told(root.path(), "stat", "stat.softirq = true").await;
    let vectors = [("hi", "1"), ("net_rx", "4"), ("block_iopoll", "6"), ("rcu", "10")];
    for (vector, count) in vectors {
        assert_eq!(soft[&format!("node_softirqs_total{{vector=\"{vector}\"}}")], count);
    }
    assert_eq!(soft.keys().filter(|name| name.starts_with("node_softirqs_total")).count(), 10);
}
