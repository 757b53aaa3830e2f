//! What people read: golden files over all channels, blessed on purpose with `TIDEWATCH_BLESS=1`, and hostile text.

use std::path::Path;

use serde_json::Value;
use tidewatch::alert::{Incident, Kind, Severity};
use tidewatch::config::Document;
use tidewatch::notify::console::Console;
use tidewatch::notify::discord::Discord;
use tidewatch::notify::email::Email;
use tidewatch::notify::file::File;
use tidewatch::notify::pagerduty::PagerDuty;
use tidewatch::notify::render::Renderer;
use tidewatch::notify::slack::Slack;
use tidewatch::notify::{Declare, Deps, Notifier};
use tidewatch::store::Delivery;

use crate::support::deliveries::{at, delivery, deps, episode, incident, notice, opened};
use crate::support::http_stub::{HttpStub, Reply};

/// Builds a notifier from its section.
fn built<N: Declare>(section: &str, deps: &Deps) -> N {
    let (config, problems) = Document::new("test.toml", section).parse::<N::Config>();
    assert!(problems.0.is_empty(), "{problems}");
    N::build(&config, deps).unwrap()
}

/// A message in every channel's form.
async fn forms(deps: &Deps, delivery: &Delivery) -> Vec<(&'static str, String)> {
    let pretty = |value: Value| format!("{}\n", serde_json::to_string_pretty(&value).unwrap());
    let console: Console = built("", deps);
    let slack: Slack = built("webhook_url = 'https://slack.test/x'\nmentions = ['<!here>']", deps);
    let email: Email = built("url = 'smtp://mail.test'\nfrom = 'tw@ops.test'\nto = ['a@ops.test']", deps);
    let letter = email.letter(delivery);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lines");
    let file: File = built(&format!("path = '{}'", path.display()), deps);
    file.send(delivery).await.unwrap();
    let line = std::fs::read_to_string(&path).unwrap();
    let stub = HttpStub::start(|_| Reply::status(200, "{}")).await;
    let discord: Discord = built(&format!("webhook_url = '{}'", stub.url("/api/webhooks/1/x")), deps);
    discord.send(delivery).await.unwrap();
    let pagerduty: PagerDuty = built(&format!("routing_key = 'key'\napi_url = '{}'", stub.url("")), deps);
    pagerduty.send(delivery).await.unwrap();
    let bodies: Vec<Value> = stub.asked().iter().map(|asked| serde_json::from_slice(&asked.body).unwrap()).collect();
    vec![
        ("discord.json", pretty(bodies[0].clone())),
        ("pagerduty.json", pretty(bodies[1].clone())),
        ("console.txt", console.block(delivery)),
        ("slack.json", pretty(serde_json::to_value(slack.payload(delivery)).unwrap())),
        ("mail.txt", format!("Subject: {}\n\n{}\n", letter.subject, letter.text)),
        ("mail.html", format!("{}\n", letter.html)),
        ("webhook.json", pretty(serde_json::from_str(&line).unwrap())),
    ]
}

async fn golden(case: &str, now: &str, delivery: Delivery) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/messages");
    for (form, text) in forms(&deps(now), &delivery).await {
        let file = folder.join(format!("{case}.{form}"));
        if std::env::var_os("TIDEWATCH_BLESS").is_some() {
            std::fs::write(&file, &text).unwrap();
        }
        let expected = std::fs::read_to_string(&file).unwrap_or_default();
        assert_eq!(text, expected, "{}: if this is meant, run the tests with TIDEWATCH_BLESS=1", file.display());
    }
}

fn three() -> Incident {
    incident(vec![
        episode(1, "steward", "02:11", None),
        episode(2, "alpha", "02:13", None),
        episode(3, "beta", "02:12", Some("02:31")),
    ])
}

#[tokio::test]
async fn firing() {
    golden("firing", "02:49", opened()).await;
}

#[tokio::test]
async fn more_members() {
    golden("more_members", "02:49", delivery(Kind::Changed, 2, three(), at("02:49"))).await;
}

#[tokio::test]
async fn risen() {
    golden("risen", "02:49", delivery(Kind::Risen, 2, opened().incident.unwrap(), at("02:49"))).await;
}

#[tokio::test]
async fn resolved() {
    let over = incident(vec![episode(1, "steward", "02:11", Some("02:40"))]);
    golden("resolved", "02:40", delivery(Kind::Resolved, 2, over, at("02:40"))).await;
}

#[tokio::test]
async fn delayed_and_perhaps_a_second_copy() {
    let over = incident(vec![episode(1, "steward", "02:11", Some("02:40"))]);
    let late = Delivery { maybe_duplicate: true, ..delivery(Kind::Resolved, 2, over, at("02:11")) };
    golden("delayed", "03:09", late).await;
}

#[tokio::test]
async fn a_notice() {
    golden("notice", "02:49", notice()).await;
}

/// A storm: 2 000 alerts in one incident.
#[tokio::test]
async fn many_members_are_cut_and_counted() {
    let members = (1..=100).map(|id| episode(id, &format!("agent-{id}"), "02:11", None)).collect();
    let storm = Incident { open: 2_000, total: 2_000, ..incident(members) };
    golden("storm", "02:49", delivery(Kind::Opened, 1, storm, at("02:49"))).await;
}

const PAYLOADS: &[&str] = &[
    "<!channel>",
    "<!here|x> <@U0123> <#C012|x> <!subteam^S01>",
    "<https://evil.test|click>",
    "https://evil.test/autolink",
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "javascript:alert(1)",
    "x\r\nBcc: victim@evil.test\r\n\r\nbody",
    "nul\0 esc\u{1b}[31m csi\u{9b}31m del\u{7f}",
    "\u{202e}detrever\u{2066}\u{feff}",
    "`code` ```block```",
    "{{ 7191 * 7193 }} {% for a in b %}",
    "&lt;!channel&gt;",
    "",
];

/// An incident with the same text in every field that comes from outside.
fn hostile(text: &str) -> Delivery {
    let mut member = episode(1, text, "02:11", None);
    let names: Vec<String> = member.annotations.keys().cloned().collect();
    for name in names {
        member.annotations.insert(name, text.to_owned());
    }
    for name in ["alertname", "cause", "instance", "severity"] {
        member.labels.insert(name.into(), text.to_owned());
    }
    member.labels.insert(text.to_owned(), text.to_owned());
    member.generator_url = text.into();
    let other = episode(2, text, "02:12", None);
    let mut all = incident(vec![member, other]);
    all.cause = text.into();
    all.source = text.into();
    delivery(Kind::Opened, 1, all, at("02:49"))
}

/// What stands between `<` and `>` in Slack's markup.
fn tokens(text: &str) -> Vec<&str> {
    text.split('<').skip(1).map(|rest| rest.split('>').next().unwrap()).collect()
}

#[tokio::test]
async fn r17_mrkdwn_and_html() {
    let long = "A<&`>".repeat(50_000);
    for payload in PAYLOADS.iter().copied().chain([long.as_str()]) {
        let what: String = payload.chars().take(40).collect();
        for (form, text) in forms(&deps("02:49"), &hostile(payload)).await {
            let bad = |c: char| (c.is_control() && c != '\n') || ('\u{202a}'..='\u{202e}').contains(&c);
            assert!(!text.contains(bad), "{form}: control characters from {what:?}");
            assert!(!text.contains("51724863"), "{form}: {what:?} was run as a template");
            match form {
                "slack.json" => {
                    let message: Value = serde_json::from_str(&text).unwrap();
                    let mut shown = vec![message["text"].as_str().unwrap().to_owned()];
                    for block in message["blocks"].as_array().unwrap() {
                        let parts = block["elements"].as_array().cloned().unwrap_or(vec![block["text"].clone()]);
                        shown.extend(parts.iter().map(|part| part["text"].as_str().unwrap().to_owned()));
                        assert!(parts.iter().all(|part| part["verbatim"] == true), "{block}");
                    }
                    assert_eq!(message["parse"], "none");
                    let total: usize = shown.iter().map(|text| text.chars().count()).sum();
                    assert!(total <= 8_000 && shown.iter().all(|text| text.chars().count() <= 3_000), "{total}");
                    assert!(shown.iter().all(|text| !text.contains('`')), "{what:?}");
                    for token in shown.iter().flat_map(|text| tokens(text)) {
                        let ours = token.starts_with("!date^17")
                            || token.starts_with("https://ops.example/tidewatch/i/123|")
                            || token.starts_with("https://wiki.example/")
                            || token == "!here"
                            // A runbook's address may be any web address, and is shown as what it is.
                            || token == "https://evil.test/autolink|https://evil.test/autolink";
                        assert!(ours, "{what:?} became <{token}>");
                    }
                }
                "discord.json" => {
                    let message: Value = serde_json::from_str(&text).unwrap();
                    assert_eq!(message["allowed_mentions"]["parse"].as_array().unwrap().len(), 0);
                    let embed = &message["embeds"][0];
                    let words = |value: &Value| value.as_str().unwrap().to_owned();
                    let shown = [words(&message["content"]), words(&embed["title"]), words(&embed["description"])];
                    for (text, most) in shown.iter().zip([2_000, 256, 4_096]) {
                        assert!(text.chars().count() <= most, "{what:?}: {}", text.chars().count());
                        let ours = text.replace("**Runbook:** <https://evil.test/autolink>", "");
                        let mut bare = ours.replace("**Next:**", "").replace("**Runbook:** <https://wiki.example/", "");
                        bare = bare.replace("\\\\", "");
                        let markup = bare.char_indices().find(|(at, c)| {
                            let marks = matches!(c, '<' | '[' | '`' | '*') || bare[*at..].starts_with("://");
                            marks && !bare[..*at].ends_with('\\')
                        });
                        assert_eq!(markup, None, "{what:?} became {text}");
                    }
                }
                "pagerduty.json" => {
                    let event: Value = serde_json::from_str(&text).unwrap();
                    assert!(event["payload"]["summary"].as_str().unwrap().chars().count() <= 1_024);
                    assert!(text.len() < 512 << 10, "PagerDuty takes 512 KB");
                    assert!(event["dedup_key"].as_str().unwrap().len() <= 255);
                }
                "mail.html" => {
                    for forbidden in ["<script", "<img", "onerror=alert(1)>", "href=\"javascript", "<!channel"] {
                        assert!(!text.contains(forbidden), "{what:?} became {forbidden}");
                    }
                    for link in text.split("href=\"").skip(1).map(|rest| rest.split('"').next().unwrap()) {
                        let link = link.replace("&#x2f;", "/");
                        let ours =
                            link == "https://ops.example/tidewatch/i/123" || link == "https://evil.test/autolink";
                        assert!(ours, "{what:?} became a link to {link}");
                    }
                }
                "mail.txt" => {
                    let subject = text.lines().next().unwrap();
                    assert!(subject.starts_with("Subject: [CRITICAL] ") && subject.ends_with("(#123)"), "{subject}");
                    assert!(subject.chars().count() <= 210);
                }
                _ => {}
            }
        }
    }
}

#[test]
fn the_head_stays_within_300_characters() {
    let mut deps = deps("02:49");
    let text = "Wide words ".repeat(100);
    for kind in [Kind::Opened, Kind::Changed, Kind::Risen, Kind::Reopened] {
        let mut worst = hostile(&text);
        worst.kind = kind;
        worst.incident.as_mut().unwrap().total = 123_456;
        let message = Renderer::new(&deps).message(&worst);
        let head = message.head();
        assert!(head.chars().count() <= 300, "{}: {head}", head.chars().count());
        assert!(!message.value.is_empty() && message.next.is_some());
    }
    deps.external_url = None;
    assert_eq!(Renderer::new(&deps).message(&opened()).link, None, "no address, no link");
}

#[test]
fn links_keep_the_prefix_and_nothing_else() {
    for (base, link) in [
        ("https://ops.example", "https://ops.example/i/7"),
        ("https://ops.example/a/b/", "https://ops.example/a/b/i/7"),
        ("https://me:secret@ops.example:8443/p?x=1#y", "https://ops.example:8443/p/i/7"),
    ] {
        let mut deps = deps("02:49");
        deps.external_url = Some(base.parse().unwrap());
        assert_eq!(Renderer::new(&deps).link(7).as_deref(), Some(link));
    }
}

#[test]
fn times_are_told_in_the_configured_zone() {
    let mut deps = deps("02:49");
    deps.zone = jiff::tz::TimeZone::get("Europe/Berlin").unwrap();
    assert_eq!(Renderer::new(&deps).message(&opened()).when, "since 03:11, 38 min");
}

#[test]
fn an_unknown_severity_is_not_made_harmless() {
    let mut delivery = opened();
    delivery.incident.as_mut().unwrap().severity = Severity::None;
    assert_eq!(Renderer::new(&deps("02:49")).message(&delivery).state, "ALERT");
}

/// The warning beside its critical twin is no second agent; another disk of the same host is another thing.
#[test]
fn two_alerts_about_one_thing_are_no_one_more() {
    let place = |id, agent: &str, disk: &str| {
        let mut episode = episode(id, agent, "02:11", None);
        episode.labels.insert("mountpoint".into(), disk.into());
        episode
    };
    for (members, expected) in [
        (vec![place(1, "steward", "/"), place(2, "steward", "/")], "AgentOffline steward /"),
        (vec![place(1, "steward", "/"), place(2, "steward", "/data")], "AgentOffline steward / and 1 more"),
        (
            vec![place(1, "steward", "/"), place(2, "steward", "/"), place(3, "alpha", "/")],
            "AgentOffline steward / and 1 more",
        ),
    ] {
        let delivery = delivery(Kind::Risen, 2, incident(members), at("02:49"));
        assert_eq!(Renderer::new(&deps("02:49")).message(&delivery).title, expected);
    }
}
