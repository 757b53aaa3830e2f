//! The main job, on the real programs: an agent falls silent, Prometheus sees it by the shipped rules, Alertmanager
//! posts it by the shipped configuration, and Slack and a mailbox hold one story each, from late to resolved.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use crate::support::certificates::Certificates;
use crate::support::docker::said;
use crate::support::monitoring::{alertmanager_on, ask, encoded, get, prometheus_on};
use crate::support::process::Running;
use crate::support::slack_stub::{Shown, SlackStub};
use crate::support::smtp::{MailServer, Taken};
use crate::support::{eventually, free_port};

const TIDEWATCH: &str = env!("CARGO_BIN_EXE_tidewatch");
/// Where people reach it, behind a proxy that adds a path.
const EXTERNAL: &str = "https://ops.example/tidewatch";
/// The page of the first incident, for people.
const LINK: &str = "https://ops.example/tidewatch/i/1";
/// What takes some seconds may take so long on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);

/// One box with everything on it, as the README has it.
struct Site {
    port: u16,
    prometheus: u16,
    token: String,
    slack: SlackStub,
    mail: MailServer,
    tidewatch: Running,
    _programs: [Running; 2],
    _folder: TempDir,
}

impl Site {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let [port, prometheus, alertmanager] = [free_port(), free_port(), free_port()];
        let address = |port: u16| format!("127.0.0.1:{port}");
        let monitoring = folder.path().join("monitoring");
        let mut export = Command::new(TIDEWATCH);
        export.args(["assets", "export"]).arg(&monitoring).args(["--external-url", EXTERNAL]);
        export.args(["--scrape-interval", "1s", "--group-wait", "1s", "--group-interval", "2s"]);
        export.args(["--tidewatch", &address(port), "--prometheus", &address(prometheus)]);
        said(export.args(["--alertmanager", &address(alertmanager)]));
        let token = std::fs::read_to_string(monitoring.join("tidewatch.token")).unwrap().trim().to_owned();

        let slack = SlackStub::start().await;
        let certificates = Certificates::make(folder.path());
        let mail = MailServer::start(folder.path(), "starttls", &certificates).await;
        let config = configuration(folder.path(), port, &slack, &mail, &certificates);
        let mut tidewatch = Command::new(TIDEWATCH);
        let tidewatch = Running::start(folder.path(), "tidewatch", tidewatch.arg("--config").arg(config));
        eventually("tidewatch is ready", PATIENCE, async || get(port, "/-/ready")).await;
        let alertmanager = alertmanager_on(&monitoring, alertmanager).await;
        // It learns only after some seconds where Alertmanager is; what it sends before is lost until it sends it again.
        let prometheus_program = prometheus_on(&monitoring, prometheus, &["--rules.alert.resend-delay=2s"]).await;
        let programs = [alertmanager, prometheus_program];
        Self { port, prometheus, token, slack, mail, tidewatch, _programs: programs, _folder: folder }
    }

    /// Everything is seen to work: Prometheus has the agent, and its alerts arrive.
    async fn settled(&self) {
        eventually("Prometheus sees the agent", PATIENCE, async || {
            let query = encoded("openclaw_agent_heartbeat_age_seconds{agent_id=\"steward\"} < 2");
            let answer = get(self.prometheus, &format!("/api/v1/query?query={query}"))?;
            let answer: Value = serde_json::from_str(&answer).unwrap();
            answer["data"]["result"].get(0).cloned()
        })
        .await;
        eventually("the Watchdog arrives", PATIENCE, async || self.metric(WATCHDOG)).await;
    }

    /// The value of a series, by the beginning of its line.
    fn metric(&self, series: &str) -> Option<f64> {
        let text = get(self.port, "/metrics")?;
        text.lines().find_map(|line| line.strip_prefix(series)?.rsplit(' ').next()?.parse().ok())
    }

    /// Everything that tidewatch printed, from its start to its end by SIGTERM.
    async fn ended(&mut self) -> String {
        let pid = Pid::from_raw(self.tidewatch.pid().cast_signed()).unwrap();
        kill_process(pid, Signal::TERM).unwrap();
        let limit = Duration::from_secs(20);
        let status = eventually("the end", limit, async || self.tidewatch.ended()).await;
        assert!(status.success(), "{}", self.tidewatch.output());
        self.tidewatch.output()
    }

    fn page(&self, path: &str) -> (u16, String) {
        ask(self.port, "GET", path, Some(&self.token), "").unwrap()
    }

    /// What Slack and the mailbox have got once there are `calls` of the one and `mails` of the other.
    async fn told(&self, what: &str, calls: usize, mails: usize) -> (Vec<Shown>, Vec<Taken>) {
        eventually(what, PATIENCE, async || {
            let got = (self.slack.http.asked().len() >= calls).then(|| self.mail.mails())?;
            (got.len() >= mails).then(|| (self.slack.shown(), got))
        })
        .await
    }
}

const WATCHDOG: &str = "tidewatch_watchdog_age_seconds{source=\"default\"}";

fn configuration(folder: &Path, port: u16, slack: &SlackStub, mail: &MailServer, tls: &Certificates) -> PathBuf {
    let file = folder.join("tidewatch.toml");
    let text = format!(
        "listen = '127.0.0.1:{port}'
data_dir = '{folder}/data'
external_url = '{EXTERNAL}/'
timezone = 'Europe/Berlin'

[access]
token_file = '{folder}/monitoring/tidewatch.token'

[collectors.agents]
expected = [{{ id = 'steward', late = '2s', timeout = '5s' }}]

[notify.slack.ops]
{bot}
[notify.email.on-call]
url = 'smtp://tidewatch:canary-password@localhost:{smtp}'
from = 'tidewatch <alerts@ops.example>'
to = ['on-call@ops.example']
ca_file = '{ca}'
",
        folder = folder.display(),
        bot = slack.bot(),
        smtp = mail.port,
        ca = tls.authority.display(),
    );
    std::fs::write(&file, text).unwrap();
    file
}

/// The agent `steward` at work: a heartbeat every 300 ms, on a thread of its own, until this is dropped.
struct Steward {
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Steward {
    fn at_work(site: &Site) -> Self {
        let (port, token, ended) = (site.port, site.token.clone(), Arc::new(AtomicBool::new(false)));
        let over = Arc::clone(&ended);
        let beat = move || {
            while !over.load(Ordering::Relaxed) {
                let path = "/api/v1/agents/steward/heartbeat";
                let (status, answer) = ask(port, "POST", path, Some(&token), "{\"status\":\"online\"}").unwrap();
                assert_eq!(status, 202, "{answer}");
                std::thread::sleep(Duration::from_millis(300));
            }
        };
        Self { ended, thread: Some(std::thread::spawn(beat)) }
    }
}

impl Drop for Steward {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        let beats = self.thread.take().unwrap().join();
        assert!(beats.is_ok() || std::thread::panicking(), "every heartbeat was accepted");
    }
}

/// The text of a message in Slack, its blocks one below the other.
fn read(message: &Shown) -> String {
    let blocks = message.blocks.as_array().unwrap().iter();
    let texts = blocks.flat_map(|block| [&block["text"], &block["elements"][0]]).filter_map(|it| it["text"].as_str());
    texts.collect::<Vec<_>>().join("\n")
}

/// The plain text of a mail.
fn plain(mail: &Taken) -> String {
    let text = mail.raw.split("text/plain").nth(1).unwrap();
    let (_, text) = text.split_once("\r\n\r\n").unwrap();
    text.split("\r\n--").next().unwrap().replace("=\r\n", "").replace("\r\n", "\n")
}

/// The seconds in "was last heard 5.6s ago".
fn heard(text: &str) -> f64 {
    let (_, rest) = text.split_once("Agent steward was last heard ").unwrap_or_else(|| panic!("no value in {text}"));
    rest.split_once("s ago").unwrap().0.parse().unwrap()
}

#[track_caller]
fn says(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "`{part}` is missing in:\n{text}");
    }
}

/// Late, offline, back: one incident, one message in Slack with its thread, one thread of mails.
#[tokio::test]
async fn a_silent_agent_is_one_story_from_late_to_resolved() {
    let mut site = Site::start().await;
    let steward = Steward::at_work(&site);
    site.settled().await;
    assert!(site.slack.http.asked().is_empty(), "a Watchdog and an agent at work are no news");

    drop(steward);
    let (shown, mails) = site.told("it is late", 1, 1).await;
    let late = ["AgentHeartbeatLate steward", "Its heartbeat is overdue"];
    assert!((2.0..5.0).contains(&heard(&shown[0].text)), "{}", shown[0].text);
    says(&read(&shown[0]), &[&late[..], &["🟠 *WARNING", "since <!date^", LINK]].concat());
    says(&plain(&mails[0]), &[&late[..], &["WARNING: AgentHeartbeatLate", "since ", LINK]].concat());
    assert!(heard(&plain(&mails[0])) >= 2.0);

    let (shown, mails) = site.told("it is offline", 3, 2).await;
    let offline =
        ["AgentOffline steward", "severity rose to critical", "beyond its timeout", "See whether its process runs"];
    says(&read(&shown[1]), &[&offline[..], &["🔴 *CRITICAL", "since <!date^", LINK]].concat());
    says(&plain(&mails[1]), &[&offline[..], &["CRITICAL: AgentOffline steward\n", LINK]].concat());
    assert!(heard(&shown[1].text) >= 5.0 && heard(&plain(&mails[1])) >= 5.0);
    says(&site.page("/i/1").1, &[">firing</span>, critical, since ", "2 of 2 alerts fire", "AgentOffline", "steward"]);

    let steward = Steward::at_work(&site);
    let (shown, mails) = site.told("it is back", 4, 3).await;
    says(
        &read(&shown[0]),
        &["🟢 *RESOLVED  AgentOffline steward*", "after ", " s, <!date^", "Was: Agent steward", LINK],
    );
    assert!(!read(&shown[0]).contains("See whether"), "what to do is for what goes on");
    says(&plain(&mails[2]), &["RESOLVED: AgentOffline steward\nafter ", " s, ", "Was: Agent steward", LINK]);

    eventually("both alerts are over, and nothing waits to be sent", PATIENCE, async || {
        let waiting = ["ops", "on-call", "console"].map(|it| format!("tidewatch_outbox_pending{{channel=\"{it}\"}}"));
        let over = site.metric("tidewatch_ingest_alerts_total{result=\"closed\"}")? >= 2.0;
        (over && waiting.iter().all(|series| site.metric(series) == Some(0.0))).then_some(())
    })
    .await;
    one_message(&site.slack);
    one_thread(&site.mail.mails());
    says(&site.page("/i/1").1, &[">resolved</span>, critical, from ", "0 of 2 alerts fire", "AgentOffline"]);
    assert_eq!(site.page("/i/2").0, 404, "one cause is one incident");
    for (series, expected) in [
        ("tidewatch_ingest_alerts_total{result=\"opened\"}", 2.0),
        ("tidewatch_ingest_alerts_total{result=\"closed\"}", 2.0),
        ("tidewatch_ingest_alerts_total{result=\"quarantined\"}", 0.0),
        ("tidewatch_ingest_requests_total{code=\"503\",source=\"default\"}", 0.0),
        ("tidewatch_auth_failures_total{reason=\"wrong\"}", 0.0),
        ("tidewatch_dlq{channel=\"ops\"}", 0.0),
        ("tidewatch_dlq{channel=\"on-call\"}", 0.0),
    ] {
        assert_eq!(site.metric(series), Some(expected), "{series}");
    }
    // The late one, the offline one, and the end of each: none was refused, the Watchdog came beside them.
    assert!(site.metric("tidewatch_ingest_requests_total{code=\"200\",source=\"default\"}") >= Some(4.0));
    assert!(site.metric(WATCHDOG).is_some_and(|age| (0.0..90.0).contains(&age)));
    drop(steward);
    let log = site.ended().await;
    assert!(!log.contains("ERROR") && !log.contains("canary") && !log.contains(&site.token), "{log}");
}

/// The first message, edited to what is; the rise in its thread, shown in the channel, because an edit calls nobody.
fn one_message(slack: &SlackStub) {
    let shown = slack.shown();
    let calls: Vec<String> = slack.http.asked().into_iter().map(|asked| asked.path).collect();
    let [root, rise] = &shown[..] else { panic!("{shown:#?}") };
    assert_eq!(calls.join(" "), "/api/chat.postMessage /api/chat.update /api/chat.postMessage /api/chat.update");
    assert_eq!((&root.thread_ts, root.edits), (&None, 2));
    assert_eq!((rise.thread_ts.as_ref(), rise.broadcast, rise.edits), (Some(&root.ts), true, 0));
    assert!(root.text.starts_with("RESOLVED AgentOffline steward, after "), "{}", root.text);
    assert!(rise.text.starts_with("CRITICAL AgentOffline steward, since "), "{}", rise.text);
}

/// Three mails over an encrypted connection, the later ones answers to the first.
fn one_thread(mails: &[Taken]) {
    let [first, rise, end] = mails else { panic!("{mails:#?}") };
    for mail in mails {
        assert_eq!(mail.envelope["to"], serde_json::json!(["on-call@ops.example"]));
        assert_eq!((&mail.envelope["tls"], &mail.envelope["authenticated"]), (&true.into(), &true.into()));
    }
    for (mail, state) in mails.iter().zip(["WARNING", "CRITICAL", "RESOLVED"]) {
        assert_eq!(mail.header("Subject"), [format!("[{state}] AgentHeartbeatLate steward (#1)")]);
    }
    let root = first.header("Message-ID");
    assert!(first.header("In-Reply-To").is_empty() && first.header("References").is_empty());
    for later in [rise, end] {
        assert_eq!((later.header("In-Reply-To"), later.header("References")), (root.clone(), root.clone()));
        assert_ne!(later.header("Message-ID"), root);
    }
    assert_ne!(rise.header("Message-ID"), end.header("Message-ID"));
}
