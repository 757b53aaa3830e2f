//! A whole HTTP side in this process, on a real listener, and a client that speaks HTTP by hand.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::tz::TimeZone;
use tempfile::TempDir;
use tidewatch::agents::{Registry, Settings};
use tidewatch::clock::Clock;
use tidewatch::http::access::Access;
use tidewatch::http::control::ControlSocket;
use tidewatch::http::limit::Work;
use tidewatch::http::server::{Limits, Server};
use tidewatch::http::webhook::Gate;
use tidewatch::http::{Api, Front, Listener, Patience, router};
use tidewatch::metrics::Batch;
use tidewatch::metrics::expose::{self, Format};
use tidewatch::net::serve::{Acceptor, Meters, Options};
use tidewatch::store::heartbeats::Journal;
use tidewatch::task::Tasks;
use tidewatch::telemetry::Telemetry;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::fakes::{FakeControl, FakeScraper, FakeStore};

/// What a test may set.
pub(crate) struct Setup {
    pub(crate) access: Access,
    pub(crate) limits: Limits,
    pub(crate) work: Work,
    pub(crate) listener: Listener,
    pub(crate) tls: Option<Options>,
    pub(crate) store: bool,
    pub(crate) now: &'static str,
    /// What is settled about agents.
    pub(crate) agents: Settings,
    /// The data folder; by default one of its own.
    pub(crate) folder: Option<PathBuf>,
}

impl Default for Setup {
    /// Limits so long that no test meets one by accident.
    fn default() -> Self {
        let long = Duration::from_mins(1);
        let patience = Patience { handshake: long, first_byte: long, head: long, idle: long, write: long, rate: 1 };
        Self {
            access: Access::default(),
            limits: Limits { patience, drain: long, ..Limits::default() },
            work: Work { body: long, grace: long, ..Work::default() },
            listener: Listener::default(),
            tls: None,
            store: true,
            now: "2026-11-21T02:49:00Z",
            agents: Settings::default(),
            folder: None,
        }
    }
}

pub(crate) struct Site {
    pub(crate) address: SocketAddr,
    pub(crate) tasks: Tasks,
    pub(crate) telemetry: Telemetry,
    pub(crate) scraper: Arc<FakeScraper>,
    pub(crate) control: Arc<FakeControl>,
    pub(crate) store: Arc<FakeStore>,
    pub(crate) front: Arc<Front>,
    pub(crate) api: Arc<Api>,
    server: Server,
    _folder: TempDir,
}

impl Site {
    pub(crate) async fn start(setup: Setup) -> Self {
        let telemetry = Telemetry::new();
        let tasks = Tasks::new(&telemetry);
        let (scraper, control, store) = <(Arc<FakeScraper>, Arc<FakeControl>, Arc<FakeStore>)>::default();
        let folder = tempfile::tempdir().unwrap();
        let data = setup.folder.as_deref().unwrap_or(folder.path());
        let clock = Clock::manual(setup.now.parse().unwrap());
        let agents = Arc::new(Mutex::new(Registry::new(setup.agents)));
        let journal = Journal::open(data, Arc::clone(&agents), &clock, &tasks, &telemetry).unwrap();
        let api = Arc::new(Api {
            clock,
            tasks: tasks.clone(),
            telemetry: telemetry.clone(),
            agents,
            journal,
            store: setup.store.then(|| Arc::clone(&store) as _),
            gate: Gate::new(&telemetry),
            scraper: Arc::clone(&scraper) as _,
            control: Arc::clone(&control) as _,
        });
        let front = Arc::new(Front::new(setup.access, setup.work, TimeZone::UTC, &tasks, &telemetry));
        let server = Server::new(setup.limits, tasks.clone(), &telemetry);
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let routes = router(Arc::clone(&api), &front, setup.listener);
        let running = server.clone();
        let meters = Meters::new(&telemetry);
        let tls = setup.tls.map(|tls| Arc::new(Acceptor::open(tls, "test".into(), meters).unwrap()));
        drop(tasks.spawn("listener", async move { running.run(socket, tls, routes).await }));
        Self { address, tasks, telemetry, scraper, control, store, front, api, server, _folder: folder }
    }

    /// Serves the control socket in `folder` too.
    pub(crate) async fn control(&self, folder: &Path) {
        let socket = ControlSocket::bind(folder).await.unwrap();
        let routes = router(Arc::clone(&self.api), &self.front, Listener::default());
        let running = self.server.clone();
        drop(self.tasks.spawn("control socket", async move { running.run(socket, None, routes).await }));
    }

    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// One request on a connection of its own; `more` are further header lines.
    pub(crate) async fn ask(&self, method: &str, target: &str, more: &[&str], body: &str) -> Reply {
        let mut stream = self.connect().await;
        let host =
            if more.iter().any(|line| line.to_lowercase().starts_with("host:")) { "" } else { "Host: localhost\r\n" };
        let lines = more.iter().map(|line| [line, "\r\n"].concat()).collect::<String>();
        let head = format!("{method} {target} HTTP/1.1\r\n{host}{lines}Content-Length: {}\r\n\r\n{body}", body.len());
        stream.write_all(head.as_bytes()).await.unwrap();
        Reply::read(&mut stream, method == "HEAD").await.expect("an answer")
    }

    pub(crate) async fn get(&self, target: &str) -> Reply {
        self.ask("GET", target, &[], "").await
    }

    /// The program's own samples, as they are exposed.
    pub(crate) fn text(&self) -> String {
        let (mut batch, mut text) = (Batch::new(), Vec::new());
        self.telemetry.collect(&mut batch);
        expose::write(&[&batch], Format::Text, &mut text);
        String::from_utf8(text).unwrap()
    }

    /// One of the program's own samples, as it is written: `tidewatch_x_total{path="api"}`.
    pub(crate) fn sample(&self, series: &str) -> f64 {
        let text = self.text();
        let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {series} in:\n{text}")).parse().unwrap()
    }
}

#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    /// The next answer on a connection; `None` when it is closed instead.
    pub(crate) async fn read(stream: &mut (impl AsyncRead + Unpin), no_body: bool) -> Option<Self> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            match stream.read_u8().await {
                Ok(byte) => head.push(byte),
                Err(_) => return None,
            }
        }
        let head = String::from_utf8(head).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let mut reply = Self { status, head, body: Vec::new() };
        let length = reply.header("content-length").map_or(0, |length| length.parse().unwrap());
        if !no_body {
            reply.body.resize(length, 0);
            stream.read_exact(&mut reply.body).await.ok()?;
        }
        Some(reply)
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers(name).first().copied()
    }

    pub(crate) fn headers(&self, name: &str) -> Vec<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.filter(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value).collect()
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }
}
