//! Files that are there whole or not at all.

use std::fmt;
use std::fs::{OpenOptions, Permissions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use anyhow::{Context, bail};
use rustls::crypto::aws_lc_rs::default_provider;

/// What became of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Written,
    Replaced,
    Unchanged,
    Kept,
}

impl fmt::Display for Outcome {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Written => "written",
            Self::Replaced => "replaced",
            Self::Unchanged => "unchanged",
            Self::Kept => "kept",
        })
    }
}

/// Who may read a secret, as the file's mode.
fn mode(readable: bool) -> u32 {
    if readable { 0o644 } else { 0o600 }
}

/// Writes `text` to `path`, by a file beside it that takes its name. A `secret` says who may read it.
pub(super) fn file(path: &Path, text: &str, secret: Option<bool>) -> anyhow::Result<Outcome> {
    let known = match std::fs::read(path) {
        Ok(bytes) => Some(bytes),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => return Err(error).with_context(|| format!("{}: cannot be read", path.display())),
    };
    if known.as_deref() == Some(text.as_bytes()) {
        restrict(path, secret)?;
        return Ok(Outcome::Unchanged);
    }
    replace(path, text, secret).with_context(|| format!("{}: cannot be written", path.display()))?;
    Ok(if known.is_some() { Outcome::Replaced } else { Outcome::Written })
}

/// Keeps the token that `path` holds, else writes a random one.
pub(super) fn token(path: &Path, readable: bool) -> anyhow::Result<Outcome> {
    match std::fs::read_to_string(path) {
        Ok(text) if text.trim().is_empty() => {
            bail!("{}: is empty; remove it, and the next export writes a token", path.display())
        }
        Ok(_) => {
            // Without --readable a kept token keeps its mode: somebody may have given Alertmanager's group the right.
            if readable {
                restrict(path, Some(true))?;
            }
            Ok(Outcome::Kept)
        }
        Err(error) if error.kind() == ErrorKind::NotFound => file(path, &random()?, Some(readable)),
        Err(error) => Err(error).with_context(|| format!("{}: cannot be read", path.display())),
    }
}

fn restrict(path: &Path, secret: Option<bool>) -> anyhow::Result<()> {
    let Some(readable) = secret else { return Ok(()) };
    std::fs::set_permissions(path, Permissions::from_mode(mode(readable)))
        .with_context(|| format!("{}: cannot change who may read it", path.display()))
}

fn replace(path: &Path, text: &str, secret: Option<bool>) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let beside = path.with_file_name(format!(".{name}.{}", std::process::id()));
    let write = || {
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(if secret.is_some() { 0o600 } else { 0o666 })
            .open(&beside)?;
        if let Some(readable) = secret {
            file.set_permissions(Permissions::from_mode(mode(readable)))?;
        }
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&beside, path)
    };
    write().inspect_err(|_| drop(std::fs::remove_file(&beside)))
}

/// 256 random bits, as 64 letters.
fn random() -> anyhow::Result<String> {
    let mut bytes = [0_u8; 32];
    if default_provider().secure_random.fill(&mut bytes).is_err() {
        bail!("this system gives no random numbers for a token; bring one with --token-file");
    }
    Ok(bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}")))
}
