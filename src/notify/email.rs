//! E-mail over SMTP: encrypted or refused, text and HTML, one thread an incident. The only place that knows lettre.
//!
//! The dialogue is led step by step, not by lettre's transport, because what follows from a failure depends on the
//! step: before the end of the message nothing was sent, after it nobody knows, and each recipient has an answer of
//! their own.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use anyhow::Context;
use async_trait::async_trait;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart};
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, Certificate, TlsParameters};
use lettre::transport::smtp::commands::{Data, Ehlo, Mail, Rcpt};
use lettre::transport::smtp::extension::ClientId;
use serde::Deserialize;

use crate::config::{Environment, Problem, Problems, Secret, Span};
use crate::store::Delivery;

use super::render::Renderer;
use super::templates::Templates;
use super::{Anchor, Declare, Deps, Limits, Notifier, Retry, SendError, credential};
use crate::alert::text;

use letter::Letter;
use progress::{Answers, Progress};
use server::{Encryption, Server};

mod cram;
pub mod letter;
mod progress;
mod server;

/// `[notify.email.NAME]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EmailConfig {
    /// The server: `smtp://host` (587, STARTTLS required) or `smtps://host` (465); a user and password may be in it.
    pub url: Option<Secret>,
    /// The same, in a file of its own.
    pub url_file: Option<PathBuf>,
    /// The user, where the URL has none.
    pub username: String,
    /// The user's password.
    pub password: Option<Secret>,
    /// The same, in a file of its own.
    pub password_file: Option<PathBuf>,
    /// The sender: `tidewatch <alerts@example.com>`.
    pub from: String,
    /// The recipients.
    pub to: Vec<String>,
    /// Whether the connection must be encrypted.
    pub tls: Tls,
    /// Certificates to trust beside the system's, in PEM form.
    pub ca_file: Option<PathBuf>,
    /// How long the whole dialogue may take.
    pub timeout: Span,
}

impl Default for EmailConfig {
    fn default() -> Self {
        Self {
            url: None,
            url_file: None,
            username: String::new(),
            password: None,
            password_file: None,
            from: String::new(),
            to: Vec::new(),
            tls: Tls::Required,
            ca_file: None,
            timeout: Span::seconds(30),
        }
    }
}

/// Whether a connection must be encrypted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tls {
    /// It must.
    #[default]
    Required,
    /// It is not, and need not be: the server is on this machine.
    None,
    /// It is not, although others can read messages and password on the way.
    PlaintextOverTheNetwork,
}

/// Sends mail through one server.
pub struct Email {
    renderer: Renderer,
    templates: Templates,
    zone: Option<String>,
    server: Server,
    tls: Option<TlsParameters>,
    from: Mailbox,
    to: Vec<Mailbox>,
    timeout: Duration,
    progress: Progress,
}

/// A server that does not say goodbye is left after this.
const GOODBYE: Duration = Duration::from_secs(1);

impl Email {
    /// What a delivery says now.
    pub fn letter(&self, delivery: &Delivery) -> Letter {
        let message = self.renderer.message(delivery);
        Letter::of(delivery, &message, &self.templates, self.zone.as_deref(), self.from.email.domain())
    }

    fn formatted(&self, letter: &Letter) -> Result<Vec<u8>, SendError> {
        let invalid = |what: String| SendError { retry: Retry::Never, reason: "invalid", what };
        let header = |name: &'static str, value: String| HeaderValue::new(HeaderName::new_from_ascii_str(name), value);
        let mut mail = lettre::Message::builder()
            .from(self.from.clone())
            .subject(&letter.subject)
            .message_id(Some(letter.message_id.clone()))
            .date(SystemTime::from(self.renderer.now()))
            .raw_header(header("Auto-Submitted", "auto-generated".into()))
            .raw_header(header("X-Auto-Response-Suppress", "All".into()))
            .raw_header(header("List-Id", format!("<tidewatch.{}>", self.from.email.domain())));
        for to in &self.to {
            mail = mail.to(to.clone());
        }
        if let Some(root) = &letter.root {
            mail = mail.in_reply_to(root.message_id.clone()).references(root.message_id.clone());
        }
        let body = MultiPart::alternative_plain_html(letter.text.clone(), letter.html.clone());
        Ok(mail.multipart(body).map_err(|error| invalid(error.to_string()))?.formatted())
    }

    /// The dialogue with the server but for the goodbye. `at_end` says that the message's end may have been sent.
    async fn dialogue(
        &self,
        mail: &[u8],
        to: &[&Mailbox],
        at_end: &AtomicBool,
    ) -> Result<(Answers, AsyncSmtpConnection), SendError> {
        let mut connection = self.connect().await?;
        let from = Mail::new(Some(self.from.email.clone()), Vec::new());
        connection.command(from).await.map_err(|error| failed("MAIL FROM", &error))?;
        let mut answers = Answers::new();
        for mailbox in to {
            let answer = connection.command(Rcpt::new(mailbox.email.clone(), Vec::new())).await;
            let answer = match answer {
                Err(error) if error.status().is_none() => return Err(failed("RCPT TO", &error)),
                answer => answer.map(drop).map_err(|error| failed("RCPT TO", &error)),
            };
            answers.push((mailbox.email.to_string(), answer));
        }
        if answers.iter().any(|(_, answer)| answer.is_ok()) {
            connection.command(Data).await.map_err(|error| failed("DATA", &error))?;
            at_end.store(true, Ordering::Relaxed);
            connection.message(mail).await.map_err(|error| match error.status() {
                Some(_) => failed("the message", &error),
                None => lost(&error.to_string()),
            })?;
            at_end.store(false, Ordering::Relaxed);
        }
        Ok((answers, connection))
    }

    /// An encrypted and authenticated connection, or whatever the configuration allows.
    async fn connect(&self) -> Result<AsyncSmtpConnection, SendError> {
        let hello = ClientId::default();
        let address = (self.server.host.as_str(), self.server.port);
        let wrapped = self.tls.clone().filter(|_| self.server.encryption == Encryption::Implicit);
        let mut connection = AsyncSmtpConnection::connect_tokio1(address, Some(self.timeout), &hello, wrapped, None)
            .await
            .map_err(|error| failed("connecting", &error))?;
        if let (Encryption::StartTls, Some(tls)) = (self.server.encryption, &self.tls) {
            connection.starttls(tls.clone(), &hello).await.map_err(|error| failed("STARTTLS", &error))?;
        }
        if let Some((user, password)) = &self.server.login {
            let known = connection.server_info().get_auth_mechanism(&MECHANISMS).is_some();
            let answered = if known {
                let credentials = Credentials::new(user.clone(), password.expose().to_owned());
                connection.auth(&MECHANISMS, &credentials).await.map(drop)
            } else {
                by_challenge(&mut connection, &hello, user, password).await?
            };
            answered.map_err(|error| match error.status() {
                // The server's words could repeat what it was given.
                Some(code) => SendError { what: format!("AUTH: answered {code}"), ..failed("AUTH", &error) },
                None => failed("AUTH", &error),
            })?;
        }
        Ok(connection)
    }
}

/// What lettre speaks; beside it there is CRAM-MD5.
const MECHANISMS: [Mechanism; 2] = [Mechanism::Plain, Mechanism::Login];

/// Logs in by CRAM-MD5. The inner error is the server's answer to it.
async fn by_challenge(
    connection: &mut AsyncSmtpConnection,
    hello: &ClientId,
    user: &str,
    password: &Secret,
) -> Result<Result<(), lettre::transport::smtp::Error>, SendError> {
    // lettre keeps of the server's words only what it knows itself.
    let offer = connection.command(Ehlo::new(hello.clone())).await.map_err(|error| failed("EHLO", &error))?;
    let unusable = |what: &str| SendError { retry: Retry::Never, reason: "unauthorized", what: what.into() };
    if !offer.message().any(cram::is_offered) {
        return Err(unusable("AUTH: the server offers none of PLAIN, LOGIN and CRAM-MD5"));
    }
    let challenge = match connection.command("AUTH CRAM-MD5\r\n").await {
        Ok(challenge) => challenge,
        Err(error) => return Ok(Err(error)),
    };
    let answer = cram::answer(user, password.expose(), challenge.first_word().unwrap_or_default());
    let answer = answer.ok_or_else(|| unusable("AUTH: the server's challenge is none"))?;
    Ok(connection.command(format!("{answer}\r\n")).await.map(drop))
}

/// Nobody knows whether the message was taken.
fn lost(what: &str) -> SendError {
    // The server's words may be in it.
    let what = text::line(&format!("no answer to the message: {what}"), 300);
    SendError { retry: Retry::Ambiguous, reason: "no_answer", what }
}

/// A step before the message's end failed: by the server's code, or by the connection.
fn failed(step: &str, error: &lettre::transport::smtp::Error) -> SendError {
    let (retry, reason) = match error.status() {
        Some(_) if error.is_permanent() && step == "AUTH" => (Retry::Never, "unauthorized"),
        Some(_) if error.is_permanent() => (Retry::Never, "refused"),
        Some(_) => (Retry::Later, "deferred"),
        None if error.is_tls() || step == "STARTTLS" => (Retry::Later, "tls"),
        None => (Retry::Later, "unreachable"),
    };
    SendError { retry, reason, what: text::line(&format!("{step}: {error}"), 300) }
}

#[async_trait]
impl Notifier for Email {
    async fn send(&self, delivery: &Delivery) -> Result<Option<Anchor>, SendError> {
        let letter = self.letter(delivery);
        let mail = self.formatted(&letter)?;
        let done = self.progress.of(delivery);
        let to: Vec<&Mailbox> = self.to.iter().filter(|to| !done.contains(to.email.as_ref())).collect();
        let at_end = AtomicBool::new(false);
        let (answers, mut connection) =
            match tokio::time::timeout(self.timeout, self.dialogue(&mail, &to, &at_end)).await {
                Ok(done) => done?,
                Err(_) if at_end.load(Ordering::Relaxed) => return Err(lost("too late")),
                Err(_) => {
                    let what = format!("not done within {:?}", self.timeout);
                    return Err(SendError { retry: Retry::Later, reason: "timeout", what });
                }
            };
        let outcome = self.progress.concluded(delivery, answers);
        // What became of the message is known: how the goodbye ends changes nothing.
        drop(tokio::time::timeout(GOODBYE, connection.quit()).await);
        outcome?;
        // A notice begins no thread.
        let first = letter.root.is_none() && delivery.incident.is_some();
        Ok(first.then(|| serde_json::to_string(&letter.as_root()).ok()).flatten())
    }
}

impl Declare for Email {
    type Config = EmailConfig;

    fn from_environment(environment: &Environment, problems: &mut Problems) -> Option<EmailConfig> {
        let sendgrid = || {
            let key = environment.get("SENDGRID_API_KEY")?;
            Some(EmailConfig {
                url: Some(Secret::new("smtp://smtp.sendgrid.net:587")),
                username: "apikey".into(),
                password: Some(Secret::new(key)),
                ..EmailConfig::default()
            })
        };
        let given = |url: &str| EmailConfig { url: Some(Secret::new(url)), ..EmailConfig::default() };
        let (name, mut config) = match environment.get("SMTP_URL") {
            Some(url) => ("SMTP_URL", given(url)),
            None => ("SENDGRID_API_KEY", sendgrid()?),
        };
        let to = environment.get("ALERT_EMAIL").unwrap_or_default();
        config.to = to.split(',').map(|to| to.trim().to_owned()).filter(|to| !to.is_empty()).collect();
        let from = environment.get("ALERT_EMAIL_FROM").map(str::to_owned);
        config.from = from.or_else(|| config.to.first().cloned()).unwrap_or_default();
        let mut found = Problems::default();
        Self::check(&config, &mut found);
        if !found.fatal() {
            return Some(config);
        }
        for problem in found.0 {
            let (name, hint) = match problem.key.as_str() {
                "to" | "to.0" => ("ALERT_EMAIL", "set ALERT_EMAIL to who gets the mail"),
                "from" => ("ALERT_EMAIL_FROM", "set ALERT_EMAIL_FROM to the sender's address"),
                _ => (name, "e-mail stays off until this is set right"),
            };
            problems.push(Problem::warning(name, problem.message).hint(hint));
        }
        None
    }

    fn check(config: &EmailConfig, problems: &mut Problems) {
        credential::check("url", config.url.as_ref(), config.url_file.as_deref(), problems);
        credential::check("password", config.password.as_ref(), config.password_file.as_deref(), problems);
        let has_password = config.password.is_some() || config.password_file.is_some();
        if config.username.is_empty() == has_password {
            problems.push(Problem::error("username", "and a password are given together or not at all"));
        }
        match config.url.as_ref().map(|url| Server::parse(url.expose())) {
            None if config.url_file.is_none() => {
                problems.push(Problem::error("url", "is missing").hint("url = \"smtp://mail.example.com\""));
            }
            None => {}
            Some(Err(why)) => problems.push(Problem::error("url", why)),
            Some(Ok(server)) => {
                if let Err(why) = protection(&server, config.tls) {
                    let hint = "encrypt, or say tls = \"plaintext-over-the-network\"";
                    problems.push(Problem::error("tls", why).hint(hint));
                }
            }
        }
        if config.to.is_empty() {
            problems.push(Problem::error("to", "is missing").hint("to = [\"ops@example.com\"]"));
        }
        for (index, to) in config.to.iter().enumerate() {
            if to.parse::<Mailbox>().is_err() {
                problems.push(Problem::error(format!("to.{index}"), "is no mail address"));
            }
        }
        if config.from.parse::<Mailbox>().is_err() {
            problems.push(Problem::error("from", "is no mail address").hint("from = \"alerts@example.com\""));
        }
    }

    fn limits(config: &EmailConfig) -> Limits {
        // What a mail provider takes of one sender without a second look.
        let per_minute = Some(60);
        Limits { timeout: config.timeout.0 + Duration::from_secs(5), per_minute, ..Limits::default() }
    }

    fn build(config: &EmailConfig, deps: &Deps) -> anyhow::Result<Self> {
        let url = credential::read(config.url.as_ref(), config.url_file.as_deref())?.context("`url` is missing")?;
        let mut server = Server::parse(url.expose()).map_err(|why| anyhow::anyhow!("the URL {why}"))?;
        server.encryption = protection(&server, config.tls).map_err(anyhow::Error::msg)?;
        if let Some(password) = credential::read(config.password.as_ref(), config.password_file.as_deref())? {
            server.login = Some((config.username.clone(), password));
        }
        let mailbox = |text: &String| text.parse::<Mailbox>().with_context(|| format!("`{text}` is no mail address"));
        let tls = match server.encryption {
            Encryption::None => None,
            Encryption::Implicit | Encryption::StartTls => {
                let mut tls = TlsParameters::builder(server.host.clone());
                if let Some(file) = &config.ca_file {
                    let pem = std::fs::read(file).with_context(|| file.display().to_string())?;
                    tls = tls.add_root_certificate(Certificate::from_pem(&pem)?);
                }
                Some(tls.build()?)
            }
        };
        Ok(Self {
            renderer: Renderer::new(deps),
            templates: Templates::new()?,
            zone: deps.zone.iana_name().map(str::to_owned),
            server,
            tls,
            from: mailbox(&config.from)?,
            to: config.to.iter().map(mailbox).collect::<anyhow::Result<_>>()?,
            timeout: config.timeout.0,
            progress: Progress::default(),
        })
    }
}

/// How the connection is protected, where URL and section agree; plain text beyond this machine must be said in words.
fn protection(server: &Server, tls: Tls) -> Result<Encryption, String> {
    let plain = server.encryption == Encryption::None || tls != Tls::Required;
    if plain && tls != Tls::PlaintextOverTheNetwork && !server.is_loopback() {
        return Err("messages and password would cross the network in plain text".into());
    }
    Ok(if plain { Encryption::None } else { server.encryption })
}
