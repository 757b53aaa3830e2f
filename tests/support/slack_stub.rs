//! Slack as far as tidewatch uses it: `chat.postMessage`, `chat.update` and incoming webhooks, with their limits,
//! their threads and their errors. What a test asserts on is what people would see in the channel.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::http_stub::{Asked, HttpStub, Reply};

/// A message in the channel, as it stands now.
#[derive(Clone, Debug)]
pub(crate) struct Shown {
    pub(crate) ts: String,
    pub(crate) thread_ts: Option<String>,
    pub(crate) broadcast: bool,
    pub(crate) text: String,
    pub(crate) blocks: Value,
    /// How often it was edited.
    pub(crate) edits: usize,
}

#[derive(Default)]
struct State {
    shown: Vec<Shown>,
    posted: usize,
    down: bool,
    faults: VecDeque<(String, Reply)>,
}

/// A workspace with one channel, `C0OPS`, known also as `#ops`.
pub(crate) struct SlackStub {
    pub(crate) http: HttpStub,
    state: Arc<Mutex<State>>,
}

/// The only token that is let in.
pub(crate) const TOKEN: &str = "xoxb-canary-token";
/// The only webhook that exists.
pub(crate) const HOOK: &str = "/services/T0/B0/canaryhook";

impl SlackStub {
    pub(crate) async fn start() -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        let http = HttpStub::start(move |asked| answer(&mut shared.lock().unwrap(), asked)).await;
        Self { http, state }
    }

    /// The section of a bot in this workspace.
    pub(crate) fn bot(&self) -> String {
        format!("bot_token = '{TOKEN}'\nchannel = '#ops'\napi_url = '{}'\n", self.http.url("/api"))
    }

    /// The section of a webhook into this workspace.
    pub(crate) fn webhook(&self) -> String {
        format!("webhook_url = '{}'\n", self.http.url(HOOK))
    }

    /// The next request whose path ends in `method` fails in this way; faults queue.
    pub(crate) fn fault(&self, method: &str, reply: Reply) {
        self.state.lock().unwrap().faults.push_back((method.to_owned(), reply));
    }

    /// Whether everything is answered 503.
    pub(crate) fn down(&self, down: bool) {
        self.state.lock().unwrap().down = down;
    }

    /// The next request to `method` is answered 200 with an error word.
    pub(crate) fn error(&self, method: &str, word: &str) {
        self.fault(method, Reply::status(200, json!({ "ok": false, "error": word }).to_string()));
    }

    /// What people see.
    pub(crate) fn shown(&self) -> Vec<Shown> {
        self.state.lock().unwrap().shown.clone()
    }

    /// Somebody deletes a message.
    pub(crate) fn delete(&self, ts: &str) {
        self.state.lock().unwrap().shown.retain(|message| message.ts != ts);
    }
}

fn answer(state: &mut State, asked: &Asked) -> Reply {
    if state.down {
        return Reply::status(503, "");
    }
    if let Some(at) = state.faults.iter().position(|(method, _)| asked.path.ends_with(method.as_str())) {
        return state.faults.remove(at).unwrap().1;
    }
    let body: Value = serde_json::from_slice(&asked.body).unwrap_or_default();
    if asked.path == HOOK {
        if refusal(&body).is_some() {
            return Reply::status(400, "invalid_payload");
        }
        state.show(&body);
        return Reply::status(200, "ok");
    }
    let error = |word: &str| Reply::status(200, json!({ "ok": false, "error": word }).to_string());
    if asked.headers.get("authorization").is_none_or(|value| value != &format!("Bearer {TOKEN}")) {
        return error("invalid_auth");
    }
    if let Some(word) = refusal(&body) {
        return error(word);
    }
    let channel = body["channel"].as_str().unwrap_or_default().to_owned();
    match asked.path.as_str() {
        "/api/chat.postMessage" if channel == "#ops" || channel == "C0OPS" => {
            let ts = state.show(&body);
            Reply::status(200, json!({ "ok": true, "channel": "C0OPS", "ts": ts }).to_string())
        }
        // An edit wants the channel's id, not its name.
        "/api/chat.update" if channel == "C0OPS" => {
            let Some(message) = state.shown.iter_mut().find(|message| body["ts"] == message.ts.as_str()) else {
                return error("message_not_found");
            };
            body["text"].as_str().unwrap().clone_into(&mut message.text);
            message.blocks = body["blocks"].clone();
            message.edits += 1;
            Reply::status(200, json!({ "ok": true, "channel": channel, "ts": body["ts"] }).to_string())
        }
        "/api/chat.postMessage" | "/api/chat.update" => error("channel_not_found"),
        _ => error("unknown_method"),
    }
}

impl State {
    fn show(&mut self, body: &Value) -> String {
        let ts = format!("17637{:05}.000100", self.posted);
        self.posted += 1;
        self.shown.push(Shown {
            ts: ts.clone(),
            thread_ts: body["thread_ts"].as_str().map(str::to_owned),
            broadcast: body["reply_broadcast"] == true,
            text: body["text"].as_str().unwrap().to_owned(),
            blocks: body["blocks"].clone(),
            edits: 0,
        });
        ts
    }
}

/// What Slack refuses, by its documented limits and the one that it does not document.
fn refusal(body: &Value) -> Option<&'static str> {
    let Some(text) = body["text"].as_str().filter(|text| !text.is_empty()) else { return Some("no_text") };
    if text.chars().count() > 4_000 {
        return Some("msg_too_long");
    }
    let Some(blocks) = body["blocks"].as_array() else { return Some("invalid_blocks") };
    let texts = |block: &Value| -> Vec<String> {
        let mut found: Vec<&Value> = vec![&block["text"]];
        found.extend(block["elements"].as_array().into_iter().flatten());
        found.iter().filter_map(|text| text["text"].as_str()).map(str::to_owned).collect()
    };
    let lengths: Vec<usize> = blocks.iter().flat_map(texts).map(|text| text.chars().count()).collect();
    if blocks.len() > 50 || lengths.iter().any(|length| *length == 0 || *length > 3_000) {
        return Some("invalid_blocks");
    }
    (lengths.iter().sum::<usize>() > 11_000).then_some("msg_blocks_too_long")
}
