//! E-mail: against a real server, and against one that fails at each step.

use std::collections::BTreeMap;
use std::path::Path;

use tidewatch::alert::{Kind, Severity};
use tidewatch::notify::Retry;
use tidewatch::store::Delivery;

use super::{channel, next, no_secret};
use crate::support::certificates::Certificates;
use crate::support::deliveries::{deps, notice, opened};
use crate::support::smtp::{MailServer, ScriptedMail};

fn mail(url: &str, more: &str) -> String {
    format!(
        "[email.ops]\nurl = '{url}'\nfrom = 'tidewatch <tw@ops.test>'\nto = ['a@ops.test', 'b@ops.test']\ntimeout = '20s'\n{more}"
    )
}

async fn through(mode: &str, folder: &Path) -> (MailServer, String) {
    let certificates = Certificates::make(folder);
    let server = MailServer::start(folder, mode, &certificates).await;
    let scheme = if mode == "implicit" { "smtps" } else { "smtp" };
    let url = format!("{scheme}://localhost:{}", server.port);
    let login = "username = 'tidewatch'\npassword = 'canary-password'\n";
    (server, mail(&url, &format!("{login}ca_file = '{}'\n", certificates.authority.display())))
}

#[tokio::test]
async fn mail_is_encrypted_authenticated_and_one_thread() {
    for mode in ["starttls", "implicit"] {
        let folder = tempfile::tempdir().unwrap();
        let (server, section) = through(mode, folder.path()).await;
        let channel = channel(&section, &deps("02:49"));
        let mut first = opened();
        first.incident.as_mut().unwrap().severity = Severity::Warning;
        let anchor = channel.notifier.send(&first).await.unwrap();
        assert!(anchor.is_some());
        assert_eq!(channel.notifier.send(&next(Kind::Risen, 2, anchor.clone())).await.unwrap(), None);
        channel.notifier.send(&next(Kind::Resolved, 3, anchor)).await.unwrap();
        let mails = server.mails();
        let root = mails[0].header("Message-ID").remove(0);
        assert!(root.starts_with("<inc-123.1.") && root.ends_with("@ops.test>"), "{root}");
        for (number, mail) in mails.iter().enumerate() {
            assert_eq!(mail.envelope["to"], serde_json::json!(["a@ops.test", "b@ops.test"]));
            assert_eq!(mail.envelope["authenticated"], true);
            let state = ["WARNING", "CRITICAL", "RESOLVED"][number];
            let subject = format!("[{state}] AgentOffline steward (#123)");
            assert_eq!(mail.header("Subject"), [subject], "stable beside the state, or threads break");
            let refers = if number == 0 { vec![] } else { vec![root.clone()] };
            assert_eq!((mail.header("In-Reply-To"), mail.header("References")), (refers.clone(), refers));
            assert_eq!(mail.header("Auto-Submitted"), ["auto-generated"]);
            assert_eq!(mail.header("X-Auto-Response-Suppress"), ["All"]);
            assert_eq!(mail.header("List-Id"), ["<tidewatch.ops.test>"]);
            assert_eq!(mail.header("Date"), ["Sat, 21 Nov 2026 02:49:00 +0000"]);
            assert!(mail.raw.find("text/plain").unwrap() < mail.raw.find("text/html").unwrap());
            assert!(mail.raw.lines().all(|line| line.len() <= 998));
        }
        assert_eq!(mails.len(), 3);
    }
}

#[tokio::test]
async fn a_retry_carries_the_same_message_id() {
    let server = ScriptedMail::start(BTreeMap::new()).await;
    let channel = channel(&mail(&format!("smtp://{}?tls=none", server.address), ""), &deps("02:49"));
    let again = Delivery { attempt: 2, maybe_duplicate: true, ..opened() };
    channel.notifier.send(&opened()).await.unwrap();
    channel.notifier.send(&again).await.unwrap();
    let ids: Vec<_> = server.heard().into_iter().filter(|line| line.starts_with("Message-ID:")).collect();
    assert_eq!(ids.len(), 2);
    assert_eq!(ids[0], ids[1]);
}

#[tokio::test]
async fn each_step_of_a_mail_says_what_follows() {
    let cases: [(&'static str, &'static str, Retry); 12] = [
        ("connect", "421 busy", Retry::Later),
        ("connect", "554 go away", Retry::Never),
        ("connect", "drop", Retry::Later),
        ("MAIL", "451 later", Retry::Later),
        ("MAIL", "550 canary-free refusal", Retry::Never),
        ("RCPT", "450 greylisted", Retry::Later),
        ("RCPT", "drop", Retry::Later),
        ("DATA", "452 full", Retry::Later),
        (".", "554 spam", Retry::Never),
        (".", "drop", Retry::Ambiguous),
        ("RCPT", "hang", Retry::Later),
        (".", "hang", Retry::Ambiguous),
    ];
    for (step, answer, retry) in cases {
        let server = ScriptedMail::start(BTreeMap::from([(step, answer)])).await;
        let mut section = mail(&format!("smtp://{}?tls=none", server.address), "");
        if answer == "hang" {
            section = section.replace("20s", "1s");
        }
        let error = channel(&section, &deps("02:49")).notifier.send(&opened()).await.unwrap_err();
        assert_eq!(error.retry, retry, "{step} {answer}: {error}");
    }
}

#[tokio::test]
async fn a_server_that_says_no_goodbye_has_the_mail_all_the_same() {
    let server = ScriptedMail::start(BTreeMap::from([("QUIT", "hang")])).await;
    let section = mail(&format!("smtp://{}?tls=none", server.address), "").replace("20s", "5s");
    assert!(channel(&section, &deps("02:49")).notifier.send(&opened()).await.unwrap().is_some());
    assert_eq!(server.heard().last().unwrap(), "QUIT", "it is said goodbye to");
}

#[tokio::test]
async fn one_recipients_refusal_is_not_the_others() {
    let script = BTreeMap::from([("RCPT TO:<b@ops.test>", "550 no such user")]);
    let server = ScriptedMail::start(script).await;
    let one = channel(&mail(&format!("smtp://{}?tls=none", server.address), ""), &deps("02:49"));
    assert!(one.notifier.send(&opened()).await.unwrap().is_some(), "somebody has it");
    // Who has it does not get it again because another must wait.
    let script = BTreeMap::from([("RCPT TO:<b@ops.test>", "450 greylisted")]);
    let server = ScriptedMail::start(script).await;
    let one = channel(&mail(&format!("smtp://{}?tls=none", server.address), ""), &deps("02:49"));
    let asked = || server.heard().into_iter().filter(|line| line.starts_with("RCPT TO:<a@")).count();
    for _ in 0..2 {
        // After a restart it would go to both again, and must say so.
        assert_eq!(one.notifier.send(&opened()).await.unwrap_err().retry, Retry::Ambiguous);
    }
    assert_eq!(asked(), 1);
    // Each test is a mail of its own, although none of them has a row.
    for sequence in 1..=2 {
        one.notifier.send(&Delivery { id: 0, sequence, ..notice() }).await.unwrap_err();
    }
    assert_eq!(asked(), 3);
}

#[tokio::test]
async fn a_server_that_offers_no_encryption_gets_neither_password_nor_mail() {
    let server = ScriptedMail::start(BTreeMap::from([("EHLO", "250-stub\r\n250 AUTH PLAIN LOGIN")])).await;
    let section = mail(&format!("smtp://{}", server.address), "username = 'u'\npassword = 'canary-password'\n");
    let error = channel(&section, &deps("02:49")).notifier.send(&opened()).await.unwrap_err();
    assert_eq!((error.retry, error.reason), (Retry::Later, "tls"), "{error}");
    assert!(server.heard().iter().all(|line| line.starts_with("EHLO") || line == "QUIT"), "{:?}", server.heard());
}

#[tokio::test]
async fn a_wrong_password_or_authority_is_told_without_the_password() {
    let folder = tempfile::tempdir().unwrap();
    let (server, section) = through("starttls", folder.path()).await;
    let wrong = section.replace("canary-password", "canary-wrong");
    let error = channel(&wrong, &deps("02:49")).notifier.send(&opened()).await.unwrap_err();
    assert_eq!((error.retry, error.reason), (Retry::Never, "unauthorized"), "{error}");
    no_secret(&error);
    let untrusted = section.replace("ca_file", "# ca_file");
    let error = channel(&untrusted, &deps("02:49")).notifier.send(&opened()).await.unwrap_err();
    assert_eq!((error.retry, error.reason), (Retry::Later, "tls"), "{error}");
    assert!(server.mails().is_empty());
}

/// The user's name and a digest over the challenge: never the password.
#[tokio::test]
async fn a_server_that_knows_only_cram_md5_is_logged_in_to() {
    let challenge = "334 PDE4OTYuNjk3MTcwOTUyQHBvc3RvZmZpY2UucmVzdG9uLm1jaS5uZXQ+";
    let answer = "dGltIGI5MTNhNjAyYzdlZGE3YTQ5NWI0ZTZlNzMzNGQzODkw";
    let ehlo = "250-stub\r\n250 AUTH CRAM-MD5";
    let login = "username = 'tim'\npassword = 'tanstaaftanstaaf'\n";
    let script = [("EHLO", ehlo), ("AUTH CRAM-MD5", challenge), (answer, "235 welcome")];
    let server = ScriptedMail::start(BTreeMap::from(script)).await;
    let one = channel(&mail(&format!("smtp://{}?tls=none", server.address), login), &deps("02:49"));
    one.notifier.send(&opened()).await.unwrap();
    let heard = server.heard();
    assert!(heard.iter().any(|line| line == answer), "{heard:?}");
    assert!(heard.iter().all(|line| !line.contains("tanstaaf")));

    let script = [("EHLO", ehlo), ("AUTH CRAM-MD5", challenge), (answer, "535 no")];
    let server = ScriptedMail::start(BTreeMap::from(script)).await;
    let one = channel(&mail(&format!("smtp://{}?tls=none", server.address), login), &deps("02:49"));
    let error = one.notifier.send(&opened()).await.unwrap_err();
    assert_eq!((error.retry, error.reason), (Retry::Never, "unauthorized"), "{error}");
    let server = ScriptedMail::start(BTreeMap::from([("EHLO", "250-stub\r\n250 AUTH GSSAPI")])).await;
    let one = channel(&mail(&format!("smtp://{}?tls=none", server.address), login), &deps("02:49"));
    let error = one.notifier.send(&opened()).await.unwrap_err();
    assert!(error.what.contains("none of PLAIN, LOGIN and CRAM-MD5"), "{error}");
}

#[tokio::test]
async fn a_server_that_repeats_the_password_does_not_bring_it_into_the_log() {
    let ehlo = "250-stub\r\n250 AUTH PLAIN LOGIN";
    for (answer, retry) in [("535 no: canary-password", Retry::Never), ("454 busy: canary-password", Retry::Later)] {
        let server = ScriptedMail::start(BTreeMap::from([("EHLO", ehlo), ("AUTH", answer)])).await;
        let login = "username = 'u'\npassword = 'canary-password'\n";
        let section = mail(&format!("smtp://{}?tls=none", server.address), login);
        let error = channel(&section, &deps("02:49")).notifier.send(&opened()).await.unwrap_err();
        assert_eq!(error.retry, retry, "{error}");
        no_secret(&error);
    }
}

/// CR and LF in whatever becomes a header: the server sees our headers and no others.
#[tokio::test]
async fn r18_header_injection() {
    let folder = tempfile::tempdir().unwrap();
    let (server, section) = through("starttls", folder.path()).await;
    let channel = channel(&section, &deps("02:49"));
    let mut hostile = opened();
    let text = "x\r\nBcc: victim@evil.test\r\nX-Evil: 1\r\n\r\n<script>\0\u{202e}";
    let incident = hostile.incident.as_mut().unwrap();
    incident.cause = text.into();
    incident.source = text.into();
    let member = &mut incident.members[0];
    for value in member.labels.values_mut().chain(member.annotations.values_mut()) {
        *value = text.into();
    }
    let anchor = r#"{"message_id":"<a@b>\r\nBcc: victim@evil.test","subject":"x\r\nBcc: victim@evil.test"}"#;
    channel.notifier.send(&hostile).await.unwrap();
    channel.notifier.send(&Delivery { anchor: Some(anchor.into()), ..hostile }).await.unwrap();
    let told = notice();
    channel.notifier.send(&Delivery { notice: Some(text.into()), ..told }).await.unwrap();
    let mails = server.mails();
    assert_eq!(mails.len(), 3);
    let ours = [
        "From",
        "To",
        "Subject",
        "Message-ID",
        "Date",
        "Auto-Submitted",
        "X-Auto-Response-Suppress",
        "List-Id",
        "In-Reply-To",
        "References",
        "MIME-Version",
        "Content-Type",
        "Content-Transfer-Encoding",
    ];
    for mail in mails {
        for line in mail.headers() {
            let name = line.split(':').next().unwrap();
            assert!(ours.contains(&name), "{line:?}");
            assert!(!line.contains(['\0', '\r', '\n']) && line.is_ascii(), "{line:?}");
        }
        assert_eq!(mail.envelope["to"], serde_json::json!(["a@ops.test", "b@ops.test"]));
    }
}
