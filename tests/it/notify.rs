//! The conformance kit: every notifier against every answer, and against text and secrets that must not come through.

use std::time::Duration;

use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use http::Request;
use serde_json::Value;
use tidewatch::alert::Kind;
use tidewatch::config::{Document, Environment, Problems};
use tidewatch::net::client::Client;
use tidewatch::notify::{self, Channel, Config, Deps, Retry, SendError};
use tidewatch::store::Delivery;

use crate::support::certificates::Certificates;
use crate::support::deliveries::{at, delivery, deps, episode, incident, opened};
use crate::support::http_stub::{HttpStub, Reply};
use crate::support::program::{Program, tidewatch};

mod discord;
mod email;
mod pagerduty;
mod slack;

/// The channel of a configuration that has one beside the console, which is always there.
fn channel(toml: &str, deps: &Deps) -> Channel {
    let (config, problems) = Document::new("test.toml", toml).parse::<Config>();
    assert!(problems.0.is_empty(), "{problems}");
    let mut problems = Problems::default();
    config.check(&mut problems);
    assert!(!problems.fatal(), "{problems}");
    let channels = notify::build(&config, &Environment::default(), deps).unwrap();
    channels.into_iter().find(|channel| channel.name == "ops").unwrap()
}

/// The delivery after a first one, with its anchor.
fn next(kind: Kind, sequence: i64, anchor: Option<String>) -> Delivery {
    let ended = (kind == Kind::Resolved).then_some("02:40");
    let members = vec![episode(1, "steward", "02:11", ended)];
    Delivery { anchor, ..delivery(kind, sequence, incident(members), at("02:49")) }
}

/// Long enough for a busy machine.
const TIMEOUT: &str = "20s";

fn webhook(url: &str) -> String {
    format!(
        "[webhook.ops]\nurl = '{url}/canary-path?key=canary-key'\nbearer_token = 'canary-bearer'\nhmac_secret = 'canary-hmac'\ntimeout = '{TIMEOUT}'\n"
    )
}

/// Each HTTP notifier, and its section for a server.
fn http_notifiers(url: &str) -> Vec<(&'static str, String)> {
    vec![
        ("webhook", webhook(url)),
        (
            "discord",
            format!("[discord.ops]\nwebhook_url = '{url}/api/webhooks/1/canary-token'\ntimeout = '{TIMEOUT}'\n"),
        ),
        (
            "pagerduty",
            format!("[pagerduty.ops]\nrouting_key = 'canary-key'\napi_url = '{url}'\ntimeout = '{TIMEOUT}'\n"),
        ),
        ("slack webhook", format!("[slack.ops]\nwebhook_url = '{url}/services/canary-hook'\ntimeout = '{TIMEOUT}'\n")),
        (
            "slack bot",
            format!(
                "[slack.ops]\nbot_token = 'xoxb-canary-bot'\nchannel = 'C0OPS'\napi_url = '{url}/api'\ntimeout = '{TIMEOUT}'\n"
            ),
        ),
    ]
}

fn no_secret(error: &SendError) {
    let text = format!("{error} {error:?}");
    assert!(!text.contains("canary"), "{text}");
}

#[tokio::test]
async fn every_http_status_is_success_retry_or_neither() {
    let deps = deps("02:49");
    for status in 200..600 {
        // The body repeats what a careless server would: our own credentials.
        let stub = HttpStub::start(move |asked| {
            let good = status == 200 && asked.path.contains("api");
            let plain = if asked.path.contains("services") { "ok" } else { "canary-echo" };
            let body = if good { r#"{"ok":true,"channel":"C0OPS","ts":"1.2"}"# } else { plain };
            Reply::status(status, body)
        })
        .await;
        for (name, section) in http_notifiers(&stub.url("")) {
            let outcome = channel(&section, &deps).notifier.send(&opened()).await;
            match (status, outcome.map_err(|error| (error.retry, error))) {
                // A bot's answer is JSON; without it nobody knows.
                (201..=299, Err((Retry::Ambiguous, error))) if name == "slack bot" => no_secret(&error),
                (200..=299, Ok(_)) => {}
                (429, Err((Retry::After(pause), error))) => {
                    assert_eq!(pause, Duration::from_secs(10), "{name}");
                    no_secret(&error);
                }
                // Its key makes a second copy harmless.
                (502 | 504, Err((Retry::Later, error))) if name == "pagerduty" => no_secret(&error),
                (502 | 504, Err((Retry::Ambiguous, error)))
                | (408 | 500 | 501 | 503 | 505..=599, Err((Retry::Later, error)))
                | (300..=407 | 409..=499, Err((Retry::Never, error))) => {
                    no_secret(&error);
                }
                (status, other) => panic!("{name}: {status} became {other:?}"),
            }
        }
    }
}

#[tokio::test]
async fn what_another_side_asks_for_is_waited_for() {
    for status in [429, 503] {
        let stub = HttpStub::start(move |_| Reply::status(status, "").with("retry-after", "30")).await;
        for (name, section) in http_notifiers(&stub.url("")) {
            let error = channel(&section, &deps("02:49")).notifier.send(&opened()).await.unwrap_err();
            assert_eq!(error.retry, Retry::After(Duration::from_secs(30)), "{name}: {status}");
        }
    }
}

#[tokio::test]
async fn a_lost_answer_is_ambiguous_and_an_unreachable_server_is_not() {
    let silent = HttpStub::start(|_| Reply::Hang).await;
    let cutting = HttpStub::start(|_| Reply::Drop).await;
    let closed = format!("http://127.0.0.1:{}", crate::support::free_port());
    for (url, retry) in
        [(silent.url(""), Retry::Ambiguous), (cutting.url(""), Retry::Ambiguous), (closed, Retry::Later)]
    {
        for (name, section) in http_notifiers(&url) {
            let error =
                channel(&section.replace(TIMEOUT, "1s"), &deps("02:49")).notifier.send(&opened()).await.unwrap_err();
            let harmless = name == "pagerduty" && retry == Retry::Ambiguous;
            let expected = if harmless { Retry::Later } else { retry };
            assert_eq!(error.retry, expected, "{name} at {url}: {error}");
            no_secret(&error);
        }
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let trap = HttpStub::start(|_| Reply::status(200, "ok")).await;
    let there = trap.url("/trap");
    let stub = HttpStub::start(move |_| Reply::status(307, "").with("location", &there)).await;
    for (_, section) in http_notifiers(&stub.url("")) {
        let error = channel(&section, &deps("02:49")).notifier.send(&opened()).await.unwrap_err();
        assert_eq!(error.retry, Retry::Never);
    }
    assert!(trap.asked().is_empty());
}

#[tokio::test]
async fn a_webhook_is_signed_and_names_its_message() {
    let stub = HttpStub::start(|_| Reply::status(204, "")).await;
    let channel = channel(&webhook(&stub.url("")), &deps("02:49"));
    channel.notifier.send(&opened()).await.unwrap();
    let asked = stub.asked().remove(0);
    let header = |name: &str| asked.headers[name].to_str().unwrap();
    assert_eq!(header("authorization"), "Bearer canary-bearer");
    assert_eq!(header("x-tidewatch-id"), "123.1");
    assert_eq!(header("user-agent"), concat!("tidewatch/", env!("CARGO_PKG_VERSION")));
    assert_eq!((asked.method.as_str(), asked.path.as_str()), ("POST", "/canary-path?key=canary-key"));
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(b"canary-hmac").unwrap();
    mac.update(format!("v1:{}:", header("x-tidewatch-timestamp")).as_bytes());
    mac.update(&asked.body);
    let hex = format!("{:x}", Bytes::copy_from_slice(&mac.finalize().into_bytes()));
    assert_eq!(header("x-tidewatch-signature"), format!("v1={hex}"));
    let body: Value = serde_json::from_slice(&asked.body).unwrap();
    assert_eq!((&body["version"], &body["id"]), (&1.into(), &"123.1".into()));
}

#[tokio::test]
async fn files_rotate_by_size_and_keep_so_many() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("alerts.jsonl");
    let toml = format!("[file.ops]\npath = '{}'\nmax_size = '4KiB'\nkeep = 3\n", path.display());
    let channel = channel(&toml, &deps("02:49"));
    for sequence in 1..=40 {
        channel.notifier.send(&next(Kind::Changed, sequence, None)).await.unwrap();
    }
    let mut names: Vec<_> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["alerts.jsonl", "alerts.jsonl.1", "alerts.jsonl.2", "alerts.jsonl.3"]);
    let mut sequences = Vec::new();
    for name in names.iter().rev() {
        let text = std::fs::read_to_string(folder.path().join(name)).unwrap();
        assert!(text.len() <= 4_096);
        sequences.extend(
            text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["sequence"].as_i64().unwrap()),
        );
    }
    let first = sequences[0];
    assert_eq!(sequences, (first..=40).collect::<Vec<_>>(), "in order, none lost but the oldest");
}

#[tokio::test]
async fn a_line_that_a_crash_cut_off_spoils_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("alerts.jsonl");
    std::fs::write(&path, "{\"version\":1,\"id\":").unwrap();
    let channel = channel(&format!("[file.ops]\npath = '{}'\n", path.display()), &deps("02:49"));
    for sequence in 1..=2 {
        channel.notifier.send(&next(Kind::Changed, sequence, None)).await.unwrap();
    }
    let text = std::fs::read_to_string(&path).unwrap();
    let whole = text.lines().filter(|line| serde_json::from_str::<Value>(line).is_ok()).count();
    assert_eq!((text.lines().count(), whole), (3, 2), "{text}");
}

#[tokio::test]
async fn a_file_that_cannot_be_written_is_tried_again() {
    let channel = channel("[file.ops]\npath = '/nonexistent/alerts.jsonl'\n", &deps("02:49"));
    assert_eq!(channel.notifier.send(&opened()).await.unwrap_err().retry, Retry::Later);
}

#[tokio::test]
async fn an_answers_body_is_cut_at_the_bound() {
    let stub = HttpStub::start(|_| Reply::status(200, "x".repeat(1_000))).await;
    let request = Request::get(stub.url("/")).body(Bytes::new()).unwrap();
    let answer = Client::new().unwrap().send(request, Duration::from_secs(10), 100).await.unwrap();
    assert_eq!((answer.status.as_u16(), answer.body.len()), (200, 100));
}

/// On the program: the system's certificates are those that `SSL_CERT_FILE` names.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn https_needs_a_trusted_certificate() {
    let folder = tempfile::tempdir().unwrap();
    let certificates = Certificates::make(folder.path());
    let stub = HttpStub::start_tls(certificates.acceptor(), |_| Reply::status(200, "")).await;
    let host = format!("localhost:{}", stub.address.port());
    let config = folder.path().join("tidewatch.toml");
    std::fs::write(&config, format!("[notify.webhook.ops]\nurl = 'https://{host}/canary'\n")).unwrap();
    for trusted in [false, true] {
        let mut command = tidewatch(&["serve", "--listen", "127.0.0.1:0", "--config", config.to_str().unwrap()]);
        if trusted {
            command.env("SSL_CERT_FILE", &certificates.authority);
        }
        let server = Program::spawn(&folder.path().join("data"), &mut command).await;
        let done = server.command(&["test-notify", "ops"]);
        assert_eq!(done.code, Some(i32::from(!trusted)), "{done:?}");
        assert!(trusted || done.err.contains("TLS") && !done.err.contains("canary"), "{done:?}");
        assert_eq!(stub.asked().len(), usize::from(trusted));
        server.stop().await;
    }
    assert_eq!(stub.asked()[0].headers["host"], host);
}

#[test]
fn a_configuration_is_told_all_its_problems_with_their_places() {
    let toml = "[slack.ops]\nmentions = ['@here']\n[webhook.ops]\nurl = 'ftp://x'\n[email.Mail]\nurl = 'smtp://mail.test?tls=none'\nfrom = 'x'\n[file.log]\npth = 'x'\n";
    let document = Document::new("t.toml", toml);
    let (config, mut problems) = document.parse::<Config>();
    config.check(&mut problems);
    document.locate(&mut problems);
    let at = |line: usize| {
        let found = problems.0.iter().filter(|problem| problem.at.as_ref().is_some_and(|at| at.1 == line));
        found.map(|problem| problem.message.clone()).collect::<Vec<_>>().join("; ")
    };
    for (line, what) in [
        (1, "neither"),
        (2, "no mention"),
        (3, "taken"),
        (4, "not http"),
        (5, "no name"),
        (5, "plain text"),
        (5, "is missing"),
        (7, "no mail address"),
        (8, "missing"),
        (9, "unknown field"),
    ] {
        assert!(at(line).contains(what), "line {line}: {what} not in {:?}\n{problems}", at(line));
    }
}

/// The examples are what people copy.
#[test]
fn the_documented_sections_are_valid() {
    #[derive(Default, serde::Deserialize)]
    struct Root {
        notify: Config,
    }
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/notify.md")).unwrap();
    let toml: Vec<&str> = text.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    let (root, mut problems) = Document::new("docs/notify.md", toml.join("\n")).parse::<Root>();
    root.notify.check(&mut problems);
    assert!(problems.0.is_empty(), "{problems}");
    for kind in notify::KINDS {
        assert!(root.notify.names().iter().any(|(each, _)| each == kind), "{kind} has no example");
    }
}

fn found(pairs: &[(&str, &str)], config: &str) -> (Vec<(String, String)>, String) {
    let (config, _) = Document::new("t.toml", config).parse::<Config>();
    let mut problems = Problems::default();
    // The environment is made of an array of fixed size.
    let environment = match pairs {
        [] => Environment::default(),
        [a] => Environment::from([*a]),
        [a, b] => Environment::from([*a, *b]),
        [a, b, c, ..] => Environment::from([*a, *b, *c]),
    };
    let all = config.with_environment(&environment, &mut problems);
    notify::build(&config, &environment, &deps("02:49")).unwrap();
    (all.names().into_iter().map(|(kind, name)| (kind.to_owned(), name.to_owned())).collect(), problems.to_string())
}

#[test]
fn channels_come_from_the_environment_and_the_console_always() {
    let channel = |kind: &str, name: &str| (kind.to_owned(), name.to_owned());
    let (console, slack, email) = (channel("console", "console"), channel("slack", "slack"), channel("email", "email"));
    assert_eq!(found(&[], ""), (vec![console.clone()], String::new()));
    for pairs in [
        &[("SLACK_WEBHOOK_URL", "https://hooks.slack.com/services/canary")][..],
        &[("SLACK_BOT_TOKEN", "xoxb-canary"), ("SLACK_CHANNEL", "#ops")],
    ] {
        assert_eq!(found(pairs, ""), (vec![console.clone(), slack.clone()], String::new()));
    }
    for pairs in [
        &[
            ("SMTP_URL", "smtps://u:canary@mail.test"),
            ("ALERT_EMAIL", "a@b.test, c@d.test"),
            ("ALERT_EMAIL_FROM", "t@b.test"),
        ][..],
        &[("SENDGRID_API_KEY", "SG.canary"), ("ALERT_EMAIL", "a@b.test"), ("ALERT_EMAIL_FROM", "t@b.test")],
    ] {
        assert_eq!(found(pairs, ""), (vec![console.clone(), email.clone()], String::new()));
    }
    let (names, problems) = found(&[("SMTP_URL", "imap://u:canary@mail.test"), ("ALERT_EMAIL", "a@b.test")], "");
    assert!(
        names == std::slice::from_ref(&console) && problems.contains("SMTP_URL") && !problems.contains("canary"),
        "{problems}"
    );
    let (names, problems) = found(&[("SLACK_BOT_TOKEN", "xoxb-canary")], "");
    assert!(names == [console] && problems.contains("SLACK_CHANNEL") && !problems.contains("canary"), "{problems}");
    // A file says more than a variable.
    let file = "[slack.ops]\nwebhook_url = 'https://hooks.slack.com/services/x'\n[console.mine]\n";
    let (names, _) = found(&[("SLACK_WEBHOOK_URL", "https://hooks.slack.com/services/canary")], file);
    assert_eq!(names, [channel("console", "mine"), channel("slack", "ops")]);
}
