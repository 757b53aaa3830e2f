//! What a mail server may answer: anything, and the message is delivered, tried again or given up.
#![no_main]

#[path = "../support.rs"]
mod support;

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use support::Channel;

static MAIL: LazyLock<Channel> = LazyLock::new(|| {
    Channel::open(|port| {
        format!(
            "[email.ops]\nurl = 'smtp://127.0.0.1:{port}?tls=none'\nfrom = 'tw@ops.test'\nto = ['a@ops.test', 'b@ops.test']\ntimeout = '2s'\nusername = 'tidewatch'\npassword = 'canary-password'\n"
        )
    })
});

fuzz_target!(|answers: &[u8]| MAIL.send(answers));
