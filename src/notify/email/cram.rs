//! CRAM-MD5 (RFC 2195): the password stays here, the server gets a digest over its own challenge. MD5 is weak, and what
//! some old servers offer alone. Pure.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use md5::Md5;

/// Whether a line of the answer to EHLO offers it.
pub(super) fn is_offered(line: &str) -> bool {
    let mut words = line.split([' ', '=']);
    words.next().is_some_and(|word| word.eq_ignore_ascii_case("AUTH"))
        && words.any(|word| word.eq_ignore_ascii_case("CRAM-MD5"))
}

/// The line that answers a challenge; `None` where that is no challenge.
pub(super) fn answer(user: &str, password: &str, challenge: &str) -> Option<String> {
    let challenge = BASE64_STANDARD.decode(challenge.trim()).ok()?;
    #[expect(clippy::expect_used, reason = "HMAC takes keys of every length")]
    let mut mac = Hmac::<Md5>::new_from_slice(password.as_bytes()).expect("a key of any length");
    mac.update(&challenge);
    let digest = Bytes::copy_from_slice(&mac.finalize().into_bytes());
    Some(BASE64_STANDARD.encode(format!("{user} {digest:x}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_rfc() {
        let challenge = BASE64_STANDARD.encode("<1896.697170952@postoffice.reston.mci.net>");
        let expected = "dGltIGI5MTNhNjAyYzdlZGE3YTQ5NWI0ZTZlNzMzNGQzODkw";
        assert_eq!(answer("tim", "tanstaaftanstaaf", &challenge).as_deref(), Some(expected));
        assert_eq!(answer("tim", "x", "no base64!"), None);
    }

    #[test]
    fn only_the_line_of_auth_offers_it() {
        assert!(is_offered("AUTH LOGIN CRAM-MD5") && is_offered("AUTH=cram-md5"));
        assert!(!is_offered("AUTH PLAIN LOGIN") && !is_offered("X-NOTE CRAM-MD5"));
    }
}
