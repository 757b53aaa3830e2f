//! `tidewatch test-notify CHANNEL`

use std::process::ExitCode;

use serde_json::json;

use super::{Context, Failure, block_on, say};

/// Send a marked test message to a channel, through the running server
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  tidewatch test-notify ops\n\nThe server sends it past the outbox and says what the other side answered."
)]
pub(super) struct Args {
    /// The channel's name, as in [notify.KIND.NAME]
    channel: String,
}

pub(super) fn run(context: &Context, args: &Args) -> Result<ExitCode, Failure> {
    let client = context.server()?;
    block_on(async {
        let path: String = url::form_urlencoded::byte_serialize(args.channel.as_bytes()).collect();
        let path = path.replace('+', "%20");
        let answer = client.post(&format!("/api/test-notify/{path}"), &json!({})).await?;
        say(answer["message"].as_str().unwrap_or_default())?;
        Ok(ExitCode::SUCCESS)
    })
}
