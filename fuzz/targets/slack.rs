//! What Slack, or whoever stands in its place, may answer to a webhook's post and to the Web API.
#![no_main]

#[path = "../support.rs"]
mod support;

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use support::Channel;

static WEBHOOK: LazyLock<Channel> = LazyLock::new(|| {
    Channel::open(|port| format!("[slack.ops]\nwebhook_url = 'http://127.0.0.1:{port}/services/canary-password'\n"))
});
static BOT: LazyLock<Channel> = LazyLock::new(|| {
    Channel::open(|port| {
        format!(
            "[slack.ops]\nbot_token = 'xoxb-canary-password'\nchannel = '#ops'\napi_url = 'http://127.0.0.1:{port}/api'\n"
        )
    })
});

// An even first byte is for the webhook; a zero is followed by the whole answer, anything else by its status and body.
fuzz_target!(|data: &[u8]| {
    let [which, rest @ ..] = data else { return };
    let channel = if which % 2 == 0 { &*WEBHOOK } else { &*BOT };
    if *which < 2 {
        return channel.send(rest);
    }
    let [status, body @ ..] = rest else { return };
    let (status, length) = (200 + u16::from(*status) * 2, body.len());
    let head = format!("HTTP/1.1 {status} Word\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n");
    channel.send(&[head.as_bytes(), body].concat());
});
