//! A Docker daemon that is none: a socket that answers with recorded replies, tells events when asked to, and can hang.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::broadcast;
use tokio::task::JoinHandle;

/// When the first event happens, in seconds: after what was recorded.
const FIRST: usize = 1_795_241_400;

#[derive(Default)]
struct State {
    /// Bodies by path, without the query.
    bodies: BTreeMap<String, String>,
    /// Paths that are never answered.
    hanging: BTreeSet<String>,
    /// Paths that are answered later, with what is known now.
    held: BTreeSet<String>,
    /// Streams of events that began before so many were cut, end.
    cuts: usize,
    /// Every request's path, in order.
    asked: Vec<String>,
    /// Every event, in order.
    told: Vec<String>,
    /// How many events there were when somebody last asked about the daemon, and so for its time.
    since: usize,
}

/// The daemon's stand-in, gone with its socket when it goes out of scope.
pub(crate) struct DockerStub {
    folder: TempDir,
    state: Arc<Mutex<State>>,
    events: broadcast::Sender<()>,
    server: JoinHandle<()>,
}

impl DockerStub {
    /// Answers nothing but 404 until it is told more.
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join("docker.sock")).unwrap();
        let state = Arc::new(Mutex::new(State::default()));
        let (events, _) = broadcast::channel(1000);
        let (shared, sender) = (Arc::clone(&state), events.clone());
        let server = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (state, news) = (Arc::clone(&shared), sender.subscribe());
                // It ends when the client leaves, which it does.
                drop(tokio::spawn(serve(stream, state, news)));
            }
        });
        let stub = Self { folder, state, events, server };
        stub.answer("/_ping", "OK");
        stub.answer("/info", "{}");
        stub.answer("/containers/json", "[]");
        stub
    }

    /// Answers with the replies that were recorded in a folder: `info.json`, `containers-all.json`,
    /// `inspect-NAME.json` and `stats-NAME.json`.
    pub(crate) fn recorded(folder: &Path) -> Self {
        let stub = Self::start();
        let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
        stub.answer("/info", &read("info.json"));
        let list = read("containers-all.json");
        stub.answer("/containers/json", &list);
        for container in serde_json::from_str::<Vec<serde_json::Value>>(&list).unwrap() {
            let id = container["Id"].as_str().unwrap();
            let name = container["Names"][0].as_str().unwrap().trim_start_matches('/');
            stub.answer(&format!("/containers/{id}/json"), &read(&format!("inspect-{name}.json")));
            if let Ok(stats) = std::fs::read_to_string(folder.join(format!("stats-{name}.json"))) {
                stub.answer(&format!("/containers/{id}/stats"), &stats);
            }
        }
        stub
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join("docker.sock")
    }

    /// What a path is answered with.
    pub(crate) fn answer(&self, path: &str, body: &str) {
        self.state.lock().unwrap().bodies.insert(path.to_owned(), body.to_owned());
    }

    /// Requests whose path begins so are never answered.
    pub(crate) fn hang(&self, path: &str) {
        self.state.lock().unwrap().hanging.insert(path.to_owned());
    }

    /// All requests are answered again; those that hang go on hanging.
    pub(crate) fn heal(&self) {
        self.state.lock().unwrap().hanging.clear();
    }

    /// Requests for this path are answered when it is released, with what was known when they came.
    pub(crate) fn hold(&self, path: &str) {
        self.state.lock().unwrap().held.insert(path.to_owned());
    }

    /// Answers those that were held.
    pub(crate) fn release(&self) {
        self.state.lock().unwrap().held.clear();
        drop(self.events.send(()));
    }

    /// Ends all streams of events: what is told from now on is told to those who ask anew.
    pub(crate) fn cut(&self) {
        self.state.lock().unwrap().cuts += 1;
        drop(self.events.send(()));
    }

    /// Tells all who listen of an event, a second after the last one.
    pub(crate) fn tell(&self, action: &str, id: &str, attributes: &serde_json::Value) {
        let mut state = self.state.lock().unwrap();
        let time = FIRST + state.told.len();
        let event = serde_json::json!({
            "Type": "container", "Action": action, "scope": "local", "time": time, "timeNano": time * 1_000_000_000,
            "Actor": {"ID": id, "Attributes": attributes}
        });
        state.told.push(event.to_string());
        drop(state);
        // Whoever begins to listen later is told too, as by `since`.
        drop(self.events.send(()));
    }

    /// The requests so far, pings left out.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.state.lock().unwrap().asked.iter().filter(|path| *path != "/_ping").cloned().collect()
    }
}

impl Drop for DockerStub {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn serve(stream: UnixStream, state: Arc<Mutex<State>>, mut news: broadcast::Receiver<()>) {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
        return;
    }
    let target = line.split(' ').nth(1).unwrap().to_owned();
    let path = target.split('?').next().unwrap().to_owned();
    while line != "\r\n" {
        line.clear();
        if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
            return;
        }
    }
    let (hangs, held, body) = {
        let mut state = state.lock().unwrap();
        state.asked.push(path.clone());
        if path == "/info" {
            state.since = state.told.len();
        }
        let hangs = state.hanging.iter().any(|start| path.starts_with(start.as_str()));
        (hangs, state.held.contains(&path), state.bodies.get(&path).cloned())
    };
    while held && state.lock().unwrap().held.contains(&path) {
        drop(news.recv().await);
    }
    if hangs {
        // Until the client gives up and closes.
        drop(stream.read_line(&mut line).await);
        return;
    }
    if path == "/events" {
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
        let mut open = stream.write_all(head.as_bytes()).await.is_ok();
        let (mut next, cuts) = {
            let state = state.lock().unwrap();
            let since = target.split(['?', '&']).find_map(|pair| pair.strip_prefix("since=")?.parse::<usize>().ok());
            (since.map_or(state.since, |since| since.saturating_sub(FIRST)), state.cuts)
        };
        while open {
            let event = {
                let state = state.lock().unwrap();
                if state.cuts > cuts {
                    return;
                }
                state.told.get(next).cloned()
            };
            if let Some(event) = event {
                next += 1;
                let chunk = format!("{:x}\r\n{event}\n\r\n", event.len() + 1);
                open = stream.write_all(chunk.as_bytes()).await.is_ok();
            } else {
                open = news.recv().await.is_ok();
            }
        }
        return;
    }
    let (status, body) = match body {
        Some(body) => ("200 OK", body),
        None => ("404 Not Found", r#"{"message":"No such container"}"#.to_owned()),
    };
    let head = format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n", body.len());
    // A client that left does not mind.
    drop(stream.write_all(head.as_bytes()).await);
    drop(stream.write_all(body.as_bytes()).await);
}
