//! Which alert it is: Alertmanager's fingerprint over the labels.

use super::{Fingerprint, Labels};

/// FNV-1a with 64 bits, fed piece by piece.
struct Fnv(u64);

impl Fnv {
    const fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    fn add(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

impl Fingerprint {
    /// Of a label set, as prometheus/common computes it: each name and value in the order of names, each followed by
    /// the byte 255. Labels with an empty value do not count, as Alertmanager drops them.
    pub fn of(labels: &Labels) -> Self {
        let mut hash = Fnv::new();
        for (name, value) in labels.iter().filter(|(_, value)| !value.is_empty()) {
            hash.add(name.as_bytes());
            hash.add(&[255]);
            hash.add(value.as_bytes());
            hash.add(&[255]);
        }
        Self(hash.0)
    }

    /// From 16 hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        digits.then(|| u64::from_str_radix(text, 16).ok().map(Self)).flatten()
    }
}

/// A short stand-in for a text without a bound, such as a group key.
pub fn hash(text: &str) -> u64 {
    let mut hash = Fnv::new();
    hash.add(text.as_bytes());
    hash.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fingerprint_is_alertmanagers() {
        // From a body that Alertmanager 0.34 sent.
        let labels =
            [("agent_id", "alpha"), ("alertname", "AgentOffline"), ("instance", "alpha"), ("severity", "critical")];
        let mut labels: Labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        assert_eq!(Fingerprint::of(&labels).to_string(), "c56287de57787568");
        labels.insert("empty".into(), String::new());
        assert_eq!(Fingerprint::of(&labels).to_string(), "c56287de57787568");
    }

    #[test]
    fn only_sixteen_hexadecimal_digits_are_a_fingerprint() {
        assert_eq!(Fingerprint::parse("c56287de57787568"), Some(Fingerprint(0xc562_87de_5778_7568)));
        for text in ["", "c56287de5778756", "+56287de57787568", "c56287de57787568 ", "not hexadecimal!"] {
            assert_eq!(Fingerprint::parse(text), None, "{text}");
        }
    }
}
