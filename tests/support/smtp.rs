//! Mail servers: a real one (aiosmtpd), and one that answers as a script says.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use super::certificates::Certificates;
use super::deliveries::SOON;
use super::eventually;
use super::process::Running;

/// Python with what tests/requirements.txt lists.
fn python() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let cache = std::env::var_os("TIDEWATCH_TEST_CACHE").map_or_else(|| root.join(".cache"), PathBuf::from);
    let python = cache.join("python/bin/python3");
    assert!(python.is_file(), "{} is missing: tests/run installs it", python.display());
    python
}

/// A mail as a server took it.
#[derive(Clone, Debug)]
pub(crate) struct Taken {
    pub(crate) raw: String,
    pub(crate) envelope: Value,
}

impl Taken {
    /// The head's lines, folded ones joined.
    pub(crate) fn headers(&self) -> Vec<String> {
        let head = self.raw.split("\r\n\r\n").next().unwrap();
        head.replace("\r\n ", " ").split("\r\n").map(str::to_owned).collect()
    }

    /// The values of a header.
    pub(crate) fn header(&self, name: &str) -> Vec<String> {
        let start = format!("{name}: ");
        self.headers().iter().filter_map(|line| line.strip_prefix(&start)).map(str::to_owned).collect()
    }
}

/// The real one.
pub(crate) struct MailServer {
    pub(crate) port: u16,
    folder: PathBuf,
    _process: Running,
}

impl MailServer {
    /// Modes: `starttls`, `implicit`, `plain`.
    pub(crate) async fn start(folder: &Path, mode: &str, certificates: &Certificates) -> Self {
        let mails = folder.join("mails");
        std::fs::create_dir(&mails).unwrap();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/smtp_server.py");
        let mut command = Command::new(python());
        command.arg(script).arg(&mails).arg(mode).arg(&certificates.certificate).arg(&certificates.key);
        let process = Running::start(folder, "smtp", &mut command);
        let port = eventually("the mail server's port", SOON, async || {
            process.output().lines().find_map(|line| line.parse().ok())
        });
        Self { port: port.await, folder: mails, _process: process }
    }

    /// The mails so far, in order.
    pub(crate) fn mails(&self) -> Vec<Taken> {
        let mail = |number: usize| {
            let raw = std::fs::read(self.folder.join(format!("{number}.eml"))).ok()?;
            let envelope = std::fs::read(self.folder.join(format!("{number}.json"))).unwrap();
            Some(Taken { raw: String::from_utf8(raw).unwrap(), envelope: serde_json::from_slice(&envelope).unwrap() })
        };
        (1..).map_while(mail).collect()
    }
}

/// What the scripted one says to a command, by the beginning of the line; `drop` closes the connection, `hang` says nothing. The message's
/// end is the line `.`.
pub(crate) type Script = BTreeMap<&'static str, &'static str>;

/// The scripted one: no encryption, for the loopback interface.
pub(crate) struct ScriptedMail {
    pub(crate) address: SocketAddr,
    heard: Arc<Mutex<Vec<String>>>,
}

impl ScriptedMail {
    pub(crate) async fn start(script: Script) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let lines = Arc::clone(&heard);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(talk(stream, script.clone(), Arc::clone(&lines)));
            }
        });
        Self { address, heard }
    }

    /// Every line it was sent.
    pub(crate) fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }
}

async fn talk(stream: TcpStream, script: Script, heard: Arc<Mutex<Vec<String>>>) {
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(read).lines();
    let mut in_message = false;
    let greeting = script.get("connect").unwrap_or(&"220 stub");
    if *greeting == "drop" || write.write_all(format!("{greeting}\r\n").as_bytes()).await.is_err() {
        return;
    }
    while let Ok(Some(line)) = lines.next_line().await {
        heard.lock().unwrap().push(line.clone());
        if in_message && line != "." {
            continue;
        }
        let scripted = script.iter().find(|(start, _)| line.starts_with(**start)).map(|(_, answer)| *answer);
        let usual = match line.split([' ', ':']).next().unwrap_or_default() {
            "EHLO" => "250-stub\r\n250 8BITMIME",
            "DATA" => "354 go on",
            "QUIT" => "221 bye",
            _ => "250 ok",
        };
        let answer = scripted.unwrap_or(usual);
        match answer {
            "drop" => return,
            "hang" => continue,
            _ => {}
        }
        in_message = line == "DATA" && answer.starts_with('3');
        if write.write_all(format!("{answer}\r\n").as_bytes()).await.is_err() {
            return;
        }
    }
}
