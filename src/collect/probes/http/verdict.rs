//! Whether an answer is what the module wants.

use http::{HeaderMap, Version, header};
use jiff::fmt::rfc2822;
use tokio::time::Instant;

use super::body::{self, Body};
use crate::collect::probes::found::{self, Found};
use crate::collect::probes::module::{HeaderMatch, Http, JsonMatch};
use crate::collect::probes::wire::Answer;

/// Reads the answer to its end and judges it. All that is wrong is told, not the first fault alone.
pub(super) async fn judge(
    mut answer: Answer,
    options: &Http,
    found: &mut Found,
    http: &mut found::Http,
) -> Result<(), String> {
    let mut faults = Vec::new();
    head(&answer, options, http, &mut faults);
    http.modified = modified(&answer.head.headers);
    let announced = answer.head.headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    http.content_length = announced.or(answer.announced()).map_or(-1.0, |length: u64| length as f64);

    found.stage = "reading the body";
    let begun = Instant::now();
    let mut length = 0;
    let patterns = options.fail_if_body_matches_regexp.len() + options.fail_if_body_not_matches_regexp.len();
    let looked_at = patterns + options.fail_if_body_json_not_matches.len() > 0;
    let read = body::read(&mut answer, options, looked_at, &mut length).await;
    http.transfer += begun.elapsed().as_secs_f64();
    http.body_length = length as f64;
    match read {
        Ok(body) => {
            found.transcript.say(|| format!("read {} bytes of body", body.length));
            content(&body, options, http, &mut faults);
        }
        Err(fault) => faults.push(fault),
    }
    // A page with a wrong status is down, whatever it says: that is no fault of its content.
    http.failed_regex &= takes(options, http.status);
    if faults.is_empty() { Ok(()) } else { Err(faults.join("; ")) }
}

fn takes(options: &Http, status: u16) -> bool {
    let valid = &options.valid_status_codes;
    if valid.is_empty() { (200..300).contains(&status) } else { valid.iter().any(|range| range.takes(status)) }
}

fn head(answer: &Answer, options: &Http, http: &mut found::Http, faults: &mut Vec<String>) {
    let status = http.status;
    if !takes(options, status) {
        faults.push(format!("the status is {status}"));
    }
    let version = match answer.head.version {
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2.0",
        _ => "HTTP/1.1",
    };
    if !options.valid_http_versions.is_empty() && !options.valid_http_versions.iter().any(|valid| valid == version) {
        faults.push(format!("the version is {version}"));
    }
    if http.ssl && options.fail_if_ssl {
        faults.push("the last answer came over TLS".into());
    }
    if !http.ssl && options.fail_if_not_ssl {
        faults.push("the last answer came without TLS".into());
    }
    for matched in &options.fail_if_header_matches {
        let mut values = values(&answer.head.headers, matched).peekable();
        if values.peek().is_none() && !matched.allow_missing {
            http.failed_regex = true;
            faults.push(format!("the header {} is missing", matched.header));
        } else if values.any(|value| matched.regexp.is_match(&value)) {
            http.failed_regex = true;
            faults.push(format!("the header {} matches {:?}", matched.header, matched.regexp));
        }
    }
    for matched in &options.fail_if_header_not_matches {
        let mut values = values(&answer.head.headers, matched).peekable();
        let missing = values.peek().is_none();
        if (missing && !matched.allow_missing) || (!missing && !values.any(|value| matched.regexp.is_match(&value))) {
            http.failed_regex = true;
            faults.push(format!("the header {} does not match {:?}", matched.header, matched.regexp));
        }
    }
}

fn values<'h>(headers: &'h HeaderMap, matched: &HeaderMatch) -> impl Iterator<Item = std::borrow::Cow<'h, str>> {
    headers.get_all(matched.header.as_str()).iter().map(|value| String::from_utf8_lossy(value.as_bytes()))
}

fn content(body: &Body, options: &Http, http: &mut found::Http, faults: &mut Vec<String>) {
    let text = String::from_utf8_lossy(&body.kept);
    for pattern in options.fail_if_body_matches_regexp.iter().filter(|pattern| pattern.is_match(&text)) {
        http.failed_regex = true;
        faults.push(format!("the body matches {pattern:?}"));
    }
    if !body.whole && !options.fail_if_body_matches_regexp.is_empty() {
        http.failed_regex = true;
        faults.push("the body is longer than the MiB that expressions look at".into());
    }
    for pattern in options.fail_if_body_not_matches_regexp.iter().filter(|pattern| !pattern.is_match(&text)) {
        http.failed_regex = true;
        let where_ = if body.whole { "the body" } else { "the body's first MiB" };
        faults.push(format!("{where_} does not match {pattern:?}"));
    }
    if options.fail_if_body_json_not_matches.is_empty() {
        return;
    }
    let value = serde_json::from_slice::<serde_json::Value>(&body.kept);
    let before = faults.len();
    match value {
        Err(_) if body.whole => faults.push("the body is no JSON".into()),
        Err(_) => faults.push("the body is longer than the MiB of JSON that is looked at".into()),
        Ok(value) => {
            faults.extend(options.fail_if_body_json_not_matches.iter().filter_map(|wanted| lacks(&value, wanted)));
        }
    }
    http.failed_json = Some(faults.len() > before);
}

/// What a JSON body lacks of what is wanted. Its own values are not repeated: they may be anything.
fn lacks(body: &serde_json::Value, wanted: &JsonMatch) -> Option<String> {
    let JsonMatch { pointer, equals, regexp } = wanted;
    let Some(value) = body.pointer(pointer) else { return Some(format!("the JSON has no {pointer}")) };
    if let Some(equals) = equals.as_ref().filter(|equals| *equals != value) {
        return Some(format!("{pointer} is not {equals}"));
    }
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let regexp = regexp.as_ref().filter(|regexp| !regexp.is_match(&text))?;
    Some(format!("{pointer} does not match {regexp:?}"))
}

fn modified(headers: &HeaderMap) -> Option<f64> {
    let text = headers.get(header::LAST_MODIFIED)?.to_str().ok()?;
    rfc2822::DateTimeParser::new().parse_timestamp(text).ok().map(|at| at.as_second() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_json_body_must_hold_what_is_wanted() {
        let body = serde_json::json!({"status": "ok", "agents": [{"online": true}], "lag": 3});
        let lacks = |wanted: &str| lacks(&body, &serde_json::from_str(wanted).unwrap());
        for met in [
            r#"{"pointer": "/status", "equals": "ok"}"#,
            r#"{"pointer": "/agents/0/online", "equals": true}"#,
            r#"{"pointer": "/lag", "regexp": "^[0-4]$"}"#,
            r#"{"pointer": "/agents"}"#,
        ] {
            assert_eq!(lacks(met), None, "{met}");
        }
        assert_eq!(lacks(r#"{"pointer": "/status", "equals": "degraded"}"#).unwrap(), "/status is not \"degraded\"");
        assert_eq!(lacks(r#"{"pointer": "/nothing"}"#).unwrap(), "the JSON has no /nothing");
        assert_eq!(lacks(r#"{"pointer": "/lag", "regexp": "^x"}"#).unwrap(), "/lag does not match /^x/");
    }

    #[test]
    fn a_date_is_read_as_http_writes_it() {
        let mut headers = HeaderMap::new();
        headers.insert(header::LAST_MODIFIED, "Wed, 21 Oct 2015 07:28:00 GMT".parse().unwrap());
        assert_eq!(modified(&headers), Some(1_445_412_480.0));
    }
}
