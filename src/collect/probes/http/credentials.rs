//! What the module tells its target: headers, keys and the body, read from their files for each probe.

use std::io::Read;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};

use crate::collect::probes::module::{Authorization, BasicAuth, Http};
use crate::config::Secret;

/// A longer file holds no key, and no body that a probe should send.
const LONGEST: u64 = 1 << 20;

/// The body, from the module or its file.
pub(super) fn body(options: &Http) -> Result<Bytes, String> {
    match &options.body_file {
        Some(file) => read(file).map(Bytes::from),
        None => Ok(Bytes::copy_from_slice(options.body.expose().as_bytes())),
    }
}

/// The headers of a request, `Host` among them where the module names it.
pub(super) fn headers(options: &Http) -> Result<Vec<(HeaderName, HeaderValue)>, String> {
    let mut headers = Vec::new();
    let mut add = |name: &str, value: &str| {
        let (name, told) = (name.parse::<HeaderName>(), HeaderValue::from_str(value));
        let name = name.map_err(|_| "the name of one of the module's headers is none".to_owned())?;
        let mut value = told.map_err(|_| format!("the value of the header {name} is none"))?;
        value.set_sensitive(true);
        headers.push((name, value));
        Ok::<_, String>(())
    };
    for (name, value) in &options.headers {
        add(name, value.expose())?;
    }
    for (name, values) in &options.http_headers {
        for value in values.values.iter().chain(&values.secrets) {
            add(name, value.expose())?;
        }
        for file in &values.files {
            add(name, &word(file)?)?;
        }
    }
    if let Some(authorization) = authorization(options)? {
        add(header::AUTHORIZATION.as_str(), &authorization)?;
    }
    Ok(headers)
}

fn authorization(options: &Http) -> Result<Option<String>, String> {
    if let Some(BasicAuth { username, username_file, password, password_file, .. }) = &options.basic_auth {
        let username = username_file.as_deref().map_or_else(|| Ok(username.clone()), word)?;
        let password = value(password.as_ref(), password_file.as_deref())?.unwrap_or_default();
        return Ok(Some(format!("Basic {}", STANDARD.encode(format!("{username}:{password}")))));
    }
    if let Some(Authorization { kind, credentials, credentials_file, .. }) = &options.authorization {
        let kind = if kind.is_empty() { "Bearer" } else { kind };
        let credentials = value(credentials.as_ref(), credentials_file.as_deref())?;
        return Ok(credentials.map(|credentials| format!("{kind} {credentials}")));
    }
    let token = value(options.bearer_token.as_ref(), options.bearer_token_file.as_deref())?;
    Ok(token.map(|token| format!("Bearer {token}")))
}

fn value(told: Option<&Secret>, file: Option<&Path>) -> Result<Option<String>, String> {
    file.map(word).transpose().map(|read| read.or_else(|| told.map(|told| told.expose().to_owned())))
}

/// What a file holds, without the line's end.
fn word(file: &Path) -> Result<String, String> {
    let bytes = read(file)?;
    let text = String::from_utf8(bytes).map_err(|_| format!("{}: no text", file.display()))?;
    Ok(text.trim().to_owned())
}

fn read(file: &Path) -> Result<Vec<u8>, String> {
    let told = |error: &dyn std::fmt::Display| format!("{}: {error}", file.display());
    // Opening a pipe waits for its other end.
    if !std::fs::metadata(file).map_err(|error| told(&error))?.is_file() {
        return Err(told(&"no regular file"));
    }
    let mut bytes = Vec::new();
    let opened = std::fs::File::open(file).map_err(|error| told(&error))?;
    opened.take(LONGEST + 1).read_to_end(&mut bytes).map_err(|error| told(&error))?;
    if bytes.len() as u64 > LONGEST {
        return Err(told(&"longer than 1 MiB"));
    }
    Ok(bytes)
}
