//! `tidewatch check-config`

use std::process::ExitCode;

use super::{Context, Failure, say};

pub(super) fn run(context: &Context) -> Result<ExitCode, Failure> {
    let validated = context.settings()?;
    for warning in &validated.warnings.0 {
        say(warning)?;
    }
    let file = context.flags.config.as_ref().map_or("the defaults".into(), |file| file.display().to_string());
    say(format_args!("{file}: ok; channels: {}", validated.channels.join(", ")))?;
    Ok(ExitCode::SUCCESS)
}
