//! What a certificate says, in the words that the original's labels use.

use std::fmt::Write;

use sha2::{Digest, Sha256};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate, X509Name};

/// What an operator tells certificates apart by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Leaf {
    pub(super) fingerprint: String,
    pub(super) subject: String,
    pub(super) issuer: String,
    pub(super) names: String,
    pub(super) serial: String,
}

/// A server may send many certificates: more are not looked at.
const MOST: usize = 32;

/// A longer text of a certificate is cut: whoever makes one decides what it says.
const LONGEST: usize = 1_024;

/// Go's zero time in seconds: what the original tells where no chain was checked.
const NEVER: f64 = -62_135_596_800.0;

/// What a chain as the server sent it says: its first expiry, that of the path from the leaf, and the leaf.
pub(super) fn read(chain: &[&[u8]], checked: bool) -> (f64, f64, Leaf) {
    let parsed: Vec<X509Certificate<'_>> =
        chain.iter().take(MOST).filter_map(|der| X509Certificate::from_der(der).ok().map(|(_, cert)| cert)).collect();
    let expiry = |cert: &X509Certificate<'_>| cert.validity().not_after.timestamp() as f64;
    let earliest = parsed.iter().map(expiry).reduce(f64::min).unwrap_or(NEVER);
    let Some(leaf) = parsed.first() else { return (NEVER, NEVER, Leaf::default()) };
    let path = if checked { path(&parsed).map(expiry).reduce(f64::min).unwrap_or(NEVER) } else { NEVER };
    let fingerprint = hex(&Sha256::digest(chain.first().copied().unwrap_or_default()));
    let told = Leaf {
        fingerprint,
        subject: name(leaf.subject()),
        issuer: name(leaf.issuer()),
        names: names(leaf),
        serial: hex(leaf.raw_serial().strip_prefix(&[0]).unwrap_or(leaf.raw_serial())),
    };
    (earliest, path, told)
}

/// From the leaf upwards, as far as the server sent the issuers. Who is trusted in the end is not sent, and lives longer
/// than what it signed.
fn path<'c, 'a>(sent: &'c [X509Certificate<'a>]) -> impl Iterator<Item = &'c X509Certificate<'a>> {
    let issuer = |cert: &&'c X509Certificate<'a>| {
        let (of, own) = (cert.issuer(), cert.subject());
        (of != own).then(|| sent.iter().find(|other| other.subject() == of)).flatten()
    };
    std::iter::successors(sent.first(), issuer).take(sent.len())
}

fn names(leaf: &X509Certificate<'_>) -> String {
    let extension = leaf.subject_alternative_name().ok().flatten();
    let mut joined = String::new();
    for name in extension.iter().flat_map(|extension| &extension.value.general_names) {
        let GeneralName::DNSName(name) = name else { continue };
        if joined.len() + name.len() >= LONGEST {
            break;
        }
        if !joined.is_empty() {
            joined.push(',');
        }
        joined.push_str(name);
    }
    joined
}

/// The attributes that a name's text has a word for, in the order in which it is written.
const WORDS: [(&str, &str); 9] = [
    ("2.5.4.5", "SERIALNUMBER"),
    ("2.5.4.3", "CN"),
    ("2.5.4.17", "POSTALCODE"),
    ("2.5.4.9", "STREET"),
    ("2.5.4.8", "ST"),
    ("2.5.4.7", "L"),
    ("2.5.4.11", "OU"),
    ("2.5.4.10", "O"),
    ("2.5.4.6", "C"),
];

/// A distinguished name as RFC 2253 writes it, in the order of Go's `pkix.Name`: those of one kind joined by a plus sign.
/// Attributes without a word are left out.
fn name(name: &X509Name<'_>) -> String {
    let mut written = String::new();
    for (oid, word) in WORDS {
        let values = name.iter_attributes().filter(|attribute| attribute.attr_type().to_id_string() == oid);
        for (at, value) in values.filter_map(|attribute| attribute.as_str().ok()).enumerate() {
            if written.len() + value.len() >= LONGEST {
                return written;
            }
            if !written.is_empty() {
                written.push(if at == 0 { ',' } else { '+' });
            }
            written.push_str(word);
            written.push('=');
            escape(value, &mut written);
        }
    }
    written
}

fn escape(value: &str, out: &mut String) {
    let last = value.chars().count().saturating_sub(1);
    for (at, c) in value.chars().enumerate() {
        let edge = (c == ' ' && (at == 0 || at == last)) || (c == '#' && at == 0);
        if edge || matches!(c, ',' | '+' | '"' | '\\' | '<' | '>' | ';') {
            out.push('\\');
        }
        out.push(c);
    }
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        let _infallible = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_name_may_not_hold_plainly_is_escaped() {
        let mut out = String::new();
        escape(" a,b+c\"d\\e<f>g;h#i ", &mut out);
        assert_eq!(out, "\\ a\\,b\\+c\\\"d\\\\e\\<f\\>g\\;h#i\\ ");
    }

    #[test]
    fn no_chain_says_nothing() {
        assert_eq!(read(&[], true), (NEVER, NEVER, Leaf::default()));
        assert_eq!(read(&[b"no certificate"], true).2, Leaf::default());
    }
}
