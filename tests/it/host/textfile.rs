//! Files that other programs leave: what is sound is told, what is not costs itself only.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, SystemTime};

use tidewatch::clock::Clock;
use tidewatch::collect::host::{Host, HostConfig, TextfileConfig};
use tidewatch::collect::{Collector, Declare, Output};
use tidewatch::metrics::expose::{self, Format};

use super::{deps, only, run};

async fn told(patterns: &[&str]) -> Vec<String> {
    let directory = patterns.iter().map(|pattern| (*pattern).to_owned()).collect();
    let config =
        HostConfig { parts: only(&["textfile"]), textfile: TextfileConfig { directory }, ..HostConfig::default() };
    let (text, _) = run(&Host::build(&config, &deps(Clock::system()))).await;
    let own = |line: &&str| !line.contains("node_scrape_collector_");
    text.lines().filter(own).map(str::to_owned).collect()
}

fn write(folder: &Path, file: &str, text: &str) {
    let path = folder.join(file);
    std::fs::write(&path, text).unwrap();
    let changed = SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_900);
    std::fs::File::options().write(true).open(path).unwrap().set_modified(changed).unwrap();
}

#[tokio::test]
async fn sound_files_are_told_as_they_stand() {
    let folder = tempfile::tempdir().unwrap();
    write(
        folder.path(),
        "a.prom",
        "# TYPE jobs_total counter\njobs_total{job=\"a\\\\b \\\"c\\\"\\nd\"} 3\nplain 1.5\n\
         # HELP h Some.\n# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 2\nh_sum 5\nh_count 2\n",
    );
    write(
        folder.path(),
        "b.prom",
        "# TYPE jobs_total counter\njobs_total{job=\"e\",more=\"1\"} 4\n\
         # TYPE s summary\ns{quantile=\"0.5\"} NaN\ns_sum 0\ns_count 0\n",
    );
    write(folder.path(), "c.prom.tmp", "not read\n");
    let name = folder.path().display().to_string();
    let expected = [
        "# HELP node_textfile_mtime_seconds Unixtime mtime of textfiles successfully read.".to_owned(),
        "# TYPE node_textfile_mtime_seconds gauge".into(),
        format!("node_textfile_mtime_seconds{{file=\"{name}/a.prom\"}} 1700000000"),
        format!("node_textfile_mtime_seconds{{file=\"{name}/b.prom\"}} 1700000000"),
        "# HELP node_textfile_scrape_error 1 if there was an error opening or reading a file, 0 otherwise".into(),
        "# TYPE node_textfile_scrape_error gauge".into(),
        "node_textfile_scrape_error 0".into(),
        format!("# HELP jobs_total Metric read from {name}/a.prom, {name}/b.prom"),
        "# TYPE jobs_total counter".into(),
        r#"jobs_total{job="a\\b \"c\"\nd"} 3"#.into(),
        r#"jobs_total{job="e",more="1"} 4"#.into(),
        format!("# HELP plain Metric read from {name}/a.prom"),
        "# TYPE plain untyped".into(),
        "plain 1.5".into(),
        "# HELP h Some.".into(),
        "# TYPE h histogram".into(),
        r#"h_bucket{le="1"} 1"#.into(),
        r#"h_bucket{le="+Inf"} 2"#.into(),
        "h_sum 5".into(),
        "h_count 2".into(),
        format!("# HELP s Metric read from {name}/b.prom"),
        "# TYPE s summary".into(),
        r#"s{quantile="0.5"} NaN"#.into(),
        "s_sum 0".into(),
        "s_count 0".into(),
    ];
    assert_eq!(told(&[&name]).await, expected);
}

#[tokio::test]
async fn a_bad_file_costs_its_own_series_only() {
    for bad in [
        "good 1\nbad{\n",
        "other 1 1395066363000\n",
        "other{a=\"1\"} 1\nother{a=\"1\"} 2\n",
        "other 1",
        "# TYPE good counter\ngood{a=\"1\"} 1\nother 1\n",
        "# HELP good Another help.\ngood{a=\"1\"} 1\nother 1\n",
        "good 2\nother 1\n",
        "# TYPE other histogram\nother_bucket{le=\"1\"} 3\nother_count 2\n",
    ] {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), "1.prom", "# HELP good Help.\ngood 1\n");
        write(folder.path(), "2.prom", bad);
        write(folder.path(), "3.prom", "last 1\n");
        let lines = told(&[folder.path().to_str().unwrap()]).await;
        let samples: Vec<&str> =
            lines.iter().map(String::as_str).filter(|line| !line.starts_with('#') && !line.contains("mtime")).collect();
        assert_eq!(samples, ["node_textfile_scrape_error 1", "good 1", "last 1"], "{bad:?}");
        let times = lines.iter().filter(|line| line.starts_with("node_textfile_mtime_seconds{"));
        assert_eq!(times.count(), 2, "{bad:?}");
    }
}

#[tokio::test]
async fn folders_are_found_by_patterns_and_what_is_no_file_is_refused() {
    let root = tempfile::tempdir().unwrap();
    for job in ["a", "b"] {
        std::fs::create_dir_all(root.path().join(job).join("prom")).unwrap();
        write(root.path(), &format!("{job}/prom/x.prom"), &format!("{job} 1\n"));
    }
    let pattern = format!("{}/*/prom", root.path().display());
    let lines = told(&[&pattern]).await;
    assert!(["a 1", "b 1", "node_textfile_scrape_error 0"].iter().all(|line| lines.contains(&(*line).to_owned())));
    std::fs::create_dir(root.path().join("a/prom/folder.prom")).unwrap();
    let lines = told(&[&pattern]).await;
    assert!(["a 1", "b 1", "node_textfile_scrape_error 1"].iter().all(|line| lines.contains(&(*line).to_owned())));
    let lines = told(&[&format!("{}/none", root.path().display())]).await;
    assert!(lines.contains(&"node_textfile_scrape_error 1".to_owned()));
    assert!(told(&[]).await.contains(&"node_textfile_scrape_error 0".to_owned()));
}

#[tokio::test]
async fn a_pipe_is_refused_without_waiting_for_its_writer() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "good.prom", "good 1\n");
    rustix::fs::mkfifoat(rustix::fs::CWD, folder.path().join("pipe.prom"), rustix::fs::Mode::RUSR).unwrap();
    let lines = told(&[folder.path().to_str().unwrap()]).await;
    assert!(["good 1", "node_textfile_scrape_error 1"].iter().all(|line| lines.contains(&(*line).to_owned())));
}

#[tokio::test]
async fn a_file_takes_no_name_of_ours() {
    let folder = tempfile::tempdir().unwrap();
    write(
        folder.path(),
        "x.prom",
        "# TYPE node_uname_info counter\nnode_uname_info{a=\"b\"} 7\n# TYPE node_vmstat_pgfault untyped\n\
         node_vmstat_pgfault -1\n# TYPE node_textfile_scrape_error counter\nnode_textfile_scrape_error 7\n\
         # TYPE node_scrape_collector_success gauge\nnode_scrape_collector_success{collector=\"vmstat\"} 7\nmine 1\n",
    );
    let textfile = TextfileConfig { directory: vec![folder.path().display().to_string()] };
    // Ours that have such names run after the files are read; the last part finds nothing and fails.
    let procfs = tempfile::tempdir().unwrap();
    std::fs::write(procfs.path().join("vmstat"), "pgfault 5\n").unwrap();
    let parts = only(&["textfile", "uname", "vmstat", "zfs"]);
    let host = Host::build(
        &HostConfig { parts, textfile, procfs: procfs.path().into(), ..HostConfig::default() },
        &deps(Clock::system()),
    );
    let mut output = Output::default();
    host.collect(&mut output).await.unwrap();
    let batches: Vec<_> = output.parts().map(|(_, batch)| batch).collect();
    let mut text = Vec::new();
    let dropped = expose::write(&batches, Format::Text, &mut text);
    let text = String::from_utf8(text).unwrap();
    let families: BTreeSet<_> = dropped.iter().map(|dropped| dropped.family.as_str()).collect();
    let ours =
        ["node_scrape_collector_success", "node_textfile_scrape_error", "node_uname_info", "node_vmstat_pgfault"];
    assert_eq!(Vec::from_iter(families), ours);
    assert!(text.contains("node_scrape_collector_success{collector=\"zfs\"} 0\n"), "{text}");
    assert!(text.lines().any(|line| line == "mine 1"), "what is the file's own stays: {text}");
    assert!(text.contains("# TYPE node_uname_info gauge\nnode_uname_info{domainname="), "{text}");
    assert!(
        text.contains("\nnode_textfile_scrape_error 0\n") && !text.contains(" 7\n") && !text.contains(" -1\n"),
        "{text}"
    );
}
