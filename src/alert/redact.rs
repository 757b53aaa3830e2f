//! Takes what looks like a credential out of a text, before it is kept, sent or exported. Who an alert is was decided
//! before, so that a secret that changes makes no other alert of it. `tests/fixtures/redaction` says what is taken and
//! what must stay.

use std::borrow::Cow;
use std::ops::Range;

use super::Labels;

/// What stands in its place.
pub const MARK: &str = "[redacted]";

/// Begins of tokens whose issuers made them to be recognised, and how many characters follow at least.
const SHAPES: &[(&str, usize)] = &[
    ("AKIA", 16),
    ("ASIA", 16),
    ("AIza", 30),
    ("SG.", 30),
    ("dop_v1_", 40),
    ("eyJ", 37),
    ("gho_", 30),
    ("ghp_", 30),
    ("ghr_", 30),
    ("ghs_", 30),
    ("ghu_", 30),
    ("github_pat_", 30),
    ("glpat-", 16),
    ("hf_", 30),
    ("npm_", 30),
    ("pk_live_", 16),
    ("rk_live_", 16),
    ("sk-", 20),
    ("sk_live_", 16),
    ("xapp-", 10),
    ("xoxa-", 10),
    ("xoxb-", 10),
    ("xoxe-", 10),
    ("xoxp-", 10),
    ("xoxr-", 10),
    ("xoxs-", 10),
    ("ya29.", 20),
];

/// No token is shorter: most words are, and need not be compared.
const SHORTEST_TOKEN: usize = 15;

/// Addresses that are keys themselves, from here on.
const ADDRESSES: &[&str] = &[
    "api.telegram.org/bot",
    "discord.com/api/webhooks/",
    "discordapp.com/api/webhooks/",
    "hooks.slack.com/services/",
    "hooks.slack.com/workflows/",
];

/// No such address begins with a shorter host.
const SHORTEST_HOST: usize = 11;

/// How the name of a value ends that is a password: whatever it is, it goes.
const PASSWORDS: &[&str] = &["passphrase", "passwd", "password", "pwd"];

/// The same of a value that is a secret if it looks like one: `token=expired` is not.
const SECRETS: &[&str] = &[
    "access_key",
    "accesskey",
    "api-key",
    "api_key",
    "apikey",
    "authorization",
    "credential",
    "credentials",
    "private_key",
    "secret",
    "secret_key",
    "token",
];

/// Schemes of the header `Authorization`.
const SCHEMES: &[&str] = &["basic", "bearer"];

/// All of a set's values, each by its name too.
pub fn labels(mut texts: Labels) -> Labels {
    for (name, text) in &mut texts {
        if let Cow::Owned(redacted) = value(name, text) {
            *text = redacted;
        }
    }
    texts
}

fn value<'a>(name: &str, text: &'a str) -> Cow<'a, str> {
    if is_secret(name.as_bytes(), text.as_bytes()) && text != MARK {
        return Cow::Owned(MARK.to_owned());
    }
    redact(text)
}

/// A text without what looks like a credential in it.
pub fn redact(text: &str) -> Cow<'_, str> {
    let found = find(text.as_bytes());
    if found.is_empty() {
        return Cow::Borrowed(text);
    }
    let (mut out, mut end) = (String::with_capacity(text.len()), 0);
    for range in found {
        // Ranges begin and end at ASCII characters, or at the text's end.
        out.push_str(text.get(end..range.start).unwrap_or_default());
        out.push_str(MARK);
        end = range.end;
    }
    out.push_str(text.get(end..).unwrap_or_default());
    Cow::Owned(out)
}

/// The same of a body as it came, whether it is text or not.
pub fn redact_bytes(body: Vec<u8>) -> Vec<u8> {
    let found = find(&body);
    if found.is_empty() {
        return body;
    }
    let (mut out, mut end) = (Vec::with_capacity(body.len()), 0);
    for range in found {
        out.extend_from_slice(body.get(end..range.start).unwrap_or_default());
        out.extend_from_slice(MARK.as_bytes());
        end = range.end;
    }
    out.extend_from_slice(body.get(end..).unwrap_or_default());
    out
}

/// What is to go, in order and apart.
fn find(text: &[u8]) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let rest = text.get(at..).unwrap_or_default();
        let taken = match rest.first() {
            Some(b'-') if rest.starts_with(b"-----BEGIN ") => private_key(rest),
            Some(b':') if rest.starts_with(b"://") => user_info(rest),
            Some(byte) if byte.is_ascii_alphanumeric() => {
                let word = rest.iter().take_while(|byte| is_word(**byte)).count();
                let taken = token(rest, word).or_else(|| address(rest, word)).or_else(|| scheme(rest, word));
                let taken = taken.or_else(|| assigned(rest, word));
                // A word is one: what begins within it is not looked at, but what follows a dot is.
                if taken.is_none() {
                    at += rest.iter().take(word).take_while(|byte| **byte != b'.').count().max(1);
                    continue;
                }
                taken
            }
            _ => None,
        };
        match taken {
            Some(Range { start, end }) if end > start => {
                found.push(at + start..at + end);
                at += end;
            }
            _ => at += 1,
        }
    }
    found
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.')
}

/// What a credential is made of where nothing quotes it.
fn is_token(byte: u8) -> bool {
    is_word(byte) || matches!(byte, b'~' | b'+' | b'/' | b'=')
}

fn count(text: &[u8], fits: impl Fn(u8) -> bool) -> usize {
    text.iter().take_while(|byte| fits(**byte)).count()
}

fn token(rest: &[u8], word: usize) -> Option<Range<usize>> {
    if word < SHORTEST_TOKEN {
        return None;
    }
    let (begin, least) = SHAPES.iter().find(|(begin, _)| rest.starts_with(begin.as_bytes()))?;
    let body = rest.get(begin.len()..word).unwrap_or_default();
    let jwt = *begin != "eyJ" || body.split(|byte| *byte == b'.').count() >= 3;
    (body.len() >= *least && jwt && body.iter().any(u8::is_ascii_digit)).then_some(0..word)
}

fn address(rest: &[u8], word: usize) -> Option<Range<usize>> {
    if word < SHORTEST_HOST {
        return None;
    }
    let begin = ADDRESSES.iter().find(|begin| rest.starts_with(begin.as_bytes()))?.len();
    let key = count(rest.get(begin..)?, |byte| is_token(byte) || byte == b':');
    (key > 4).then_some(begin..begin + key)
}

/// `Bearer …`: prose goes on with a word, a credential with something else.
fn scheme(rest: &[u8], word: usize) -> Option<Range<usize>> {
    let name = rest.get(..word)?;
    let known = SCHEMES.iter().any(|scheme| name.eq_ignore_ascii_case(scheme.as_bytes()));
    let gap = count(rest.get(word..)?, |byte| byte == b' ');
    let begin = word + gap;
    let end = begin + count(rest.get(begin..)?, is_token);
    let credential = rest.get(begin..end)?;
    (known && gap > 0 && credential.len() >= 8 && looks_random(credential)).then_some(begin..end)
}

/// `password=…`, `"api_key": "…"`, `?access_token=…`, also with the quotes escaped.
fn assigned(rest: &[u8], word: usize) -> Option<Range<usize>> {
    let quotes = |byte: u8| matches!(byte, b'"' | b'\'' | b'\\');
    let name = rest.get(..word)?;
    let mut at = word + count(rest.get(word..)?, quotes);
    at += count(rest.get(at..)?, |byte| byte == b' ');
    let sign = *rest.get(at)?;
    if !matches!(sign, b'=' | b':') || rest.get(at..)?.starts_with(b"://") {
        return None;
    }
    at += 1;
    at += count(rest.get(at..)?, |byte| byte == b' ');
    let quoted = count(rest.get(at..)?, quotes);
    at += quoted;
    // `Authorization: Bearer …` says what follows.
    let after = rest.get(at..)?;
    let first = count(after, |byte| byte.is_ascii_alphabetic());
    if SCHEMES.iter().any(|scheme| after.get(..first).is_some_and(|word| word.eq_ignore_ascii_case(scheme.as_bytes())))
    {
        return None;
    }
    let ends = |byte: u8| quotes(byte) || matches!(byte, b'\n' | b'\r');
    let prose =
        |byte: u8| byte.is_ascii_whitespace() || matches!(byte, b',' | b';' | b'&' | b'<' | b'>' | b')' | b']' | b'}');
    let length =
        if quoted > 0 { count(after, |byte| !ends(byte)) } else { count(after, |byte| !ends(byte) && !prose(byte)) };
    let value = after.get(..length)?;
    let spoken = quoted == 0 && sign == b':' && !looks_random(value);
    (length > 0 && !spoken && is_secret(name, value)).then_some(at..at + length)
}

/// Whether a value of this name is to go.
fn is_secret(name: &[u8], value: &[u8]) -> bool {
    let ends = |words: &[&str]| {
        words.iter().any(|word| {
            let tail = name.len().checked_sub(word.len()).and_then(|begin| name.get(begin..));
            tail.is_some_and(|tail| tail.eq_ignore_ascii_case(word.as_bytes()))
        })
    };
    if value.starts_with(b"[redacted") || value.is_empty() {
        return false;
    }
    ends(PASSWORDS) || (ends(SECRETS) && value.len() >= 6 && looks_random(value))
}

/// Digits among letters, or letters of both cases within a word: no number, and no word of a language.
fn looks_random(value: &[u8]) -> bool {
    let some = |fits: fn(&u8) -> bool| value.iter().any(fits);
    let tail = value.get(1..).unwrap_or_default();
    let cases = some(u8::is_ascii_lowercase) && tail.iter().any(u8::is_ascii_uppercase);
    let spaced = value.contains(&b' ');
    !spaced && ((some(u8::is_ascii_digit) && some(u8::is_ascii_alphabetic)) || cases)
}

/// The password of `scheme://user:password@host`.
fn user_info(rest: &[u8]) -> Option<Range<usize>> {
    let begin = 3;
    let authority = rest.get(begin..)?;
    let length = count(authority, |byte| {
        !byte.is_ascii_whitespace() && !matches!(byte, b'/' | b'?' | b'#' | b'"' | b'\'' | b'<' | b'>' | b'\\' | b',')
    });
    let authority = authority.get(..length)?;
    let at = authority.iter().rposition(|byte| *byte == b'@')?;
    let colon = authority.get(..at)?.iter().position(|byte| *byte == b':')?;
    let password = authority.get(colon + 1..at)?;
    (!password.is_empty() && password != MARK.as_bytes()).then_some(begin + colon + 1..begin + at)
}

/// From its first line to its last, or to the text's end.
fn private_key(rest: &[u8]) -> Option<Range<usize>> {
    let line = count(rest, |byte| !matches!(byte, b'\n' | b'\\'));
    let position = |text: &[u8], word: &[u8]| text.windows(word.len()).position(|window| window == word);
    position(rest.get(..line.min(64))?, b"PRIVATE KEY-----")?;
    let end = position(rest, b"-----END ").map(|end| end + 9).and_then(|end| {
        let tail = position(rest.get(end..)?, b"-----")?;
        Some(end + tail + 5)
    });
    Some(0..end.unwrap_or(rest.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn corpus(name: &str) -> Vec<String> {
        let file = format!("{}/tests/fixtures/redaction/{name}.txt", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(file).unwrap();
        let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with("# "));
        // The fixture holds no token whole: others' scanners would cry out at the repository.
        lines.map(|line| line.replace("~~", "").replace("\\n", "\n")).collect()
    }

    #[test]
    fn nothing_that_is_taken_is_shorter_than_what_is_compared() {
        assert_eq!(SHAPES.iter().map(|(begin, least)| begin.len() + least).min(), Some(SHORTEST_TOKEN));
        let host = |address: &&str| address.find('/').unwrap_or(address.len());
        assert_eq!(ADDRESSES.iter().map(host).min(), Some(SHORTEST_HOST));
    }

    #[test]
    fn what_must_be_taken_is_taken() {
        let lines = corpus("taken");
        assert!(lines.len() >= 30);
        for line in lines {
            let (text, expected) = line.split_once(" => ").unwrap_or_else(|| panic!("{line}"));
            assert_eq!(redact(text), expected, "{text}");
            assert_eq!(redact(expected), expected, "once more changes nothing");
            assert_eq!(redact_bytes(text.as_bytes().to_vec()), expected.as_bytes(), "{text}");
        }
    }

    #[test]
    fn what_must_stay_stays() {
        let lines = corpus("kept");
        assert!(lines.len() >= 30);
        for line in lines {
            assert_eq!(redact(&line), line);
        }
    }

    #[test]
    fn a_label_is_judged_by_its_name_too() {
        let pairs =
            [("db_password", "hunter"), ("token", "expired"), ("api_key", "a1b2c3d4"), ("summary", "x token=q9w8e7r6")];
        let texts: Labels = pairs.map(|(name, text)| (name.to_owned(), text.to_owned())).into();
        let redacted = labels(texts);
        let kept: Vec<&str> = redacted.values().map(String::as_str).collect();
        assert_eq!(kept, [MARK, MARK, "x token=[redacted]", "expired"]);
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_redacted_without_a_panic(text in "(password=|://|@|:|Bearer |-----BEGIN |ü|[a-zA-Z0-9]| |\"|\\\\){0,40}") {
            let once = redact(&text).into_owned();
            proptest::prop_assert_eq!(redact_bytes(text.into_bytes()), once.as_bytes());
        }
    }
}
