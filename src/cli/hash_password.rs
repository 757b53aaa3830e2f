//! `tidewatch hash-password`: what a user's entry in the configuration holds instead of the password.

use std::io::Read;
use std::process::ExitCode;

use super::{Failure, say};

/// As Prometheus' own documents have it: some tens of milliseconds a check.
const COST: u32 = 10;

/// bcrypt looks at no more.
const LONGEST: usize = 72;

pub(super) fn run(input: impl Read) -> Result<ExitCode, Failure> {
    let mut text = Vec::new();
    input.take(4_096).read_to_end(&mut text)?;
    // A line's end is none of the password; printf and echo shall mean the same.
    let password = text.strip_suffix(b"\n").unwrap_or(&text);
    let password = password.strip_suffix(b"\r").unwrap_or(password);
    if password.is_empty() || password.len() > LONGEST || password.iter().any(|byte| matches!(byte, 0 | b'\n')) {
        return Err(Failure::Usage(format!("a password is one line of at most {LONGEST} bytes on standard input")));
    }
    say(bcrypt::hash(password, COST).map_err(anyhow::Error::msg)?)?;
    Ok(ExitCode::SUCCESS)
}
