//! Secrets of a section: in the file itself, or in a file of their own.

use std::io::Read;
use std::path::Path;

use anyhow::{Context, bail};

use super::{HttpUrl, Problem, Problems, Secret};

/// No credential is longer.
const MOST: u64 = 64 << 10;

/// The secret itself: the inline one, else the file's content without the line end that editors add.
///
/// # Errors
/// The file cannot be read, is empty, or is too large for a credential. The message names the file, never its content.
pub(crate) fn read(inline: Option<&Secret>, file: Option<&Path>) -> anyhow::Result<Option<Secret>> {
    let Some(path) = file else { return Ok(inline.cloned()) };
    let mut text = String::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(MOST + 1).read_to_string(&mut text))
        .with_context(|| format!("{}: the credential cannot be read", path.display()))?;
    let text = text.trim_end_matches(['\r', '\n']);
    if text.is_empty() || text.len() as u64 > MOST {
        bail!("{}: a credential is expected, on one line", path.display());
    }
    Ok(Some(Secret::new(text)))
}

/// A secret address, in the form that the client takes. The error does not repeat it.
pub(crate) fn uri(url: &Secret) -> anyhow::Result<http::Uri> {
    let url: HttpUrl = url.expose().parse().map_err(|why: String| anyhow::anyhow!("the URL is not usable: {why}"))?;
    url.expose().as_str().parse().map_err(|_| anyhow::anyhow!("the URL is not usable"))
}

/// A key may be given inline or as a file, not both.
pub(crate) fn check(key: &str, inline: Option<&Secret>, file: Option<&Path>, problems: &mut Problems) {
    if inline.is_some() && file.is_some() {
        let message = format!("`{key}` and `{key}_file` are both given");
        problems.push(Problem::error(format!("{key}_file"), message).hint("keep one of them"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_comes_from_the_file_or_its_own_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        std::fs::write(&path, "xoxb-1\n").unwrap();
        assert_eq!(read(None, Some(&path)).unwrap(), Some(Secret::new("xoxb-1")));
        assert_eq!(read(Some(&Secret::new("a")), None).unwrap(), Some(Secret::new("a")));
        std::fs::write(&path, "\n").unwrap();
        assert!(read(None, Some(&path)).unwrap_err().to_string().contains("token"));
    }
}
