//! Text that an agent sent about itself: hostile until it is bounded.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, Visitor};
use serde::{Serialize, Serializer};

/// The longest text that is kept of a role, a model or a status, in bytes.
const LONGEST: usize = 128;

/// At most 128 bytes without control characters: what is longer is cut at a character, a control character becomes a
/// space.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Text(Box<str>);

impl Text {
    pub(super) fn new(raw: &str) -> Self {
        let mut kept = String::new();
        for c in raw.trim().chars() {
            if kept.len() + c.len_utf8() > LONGEST {
                break;
            }
            kept.push(if c.is_control() { ' ' } else { c });
        }
        Self(kept.into())
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl Serialize for Text {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bounded;
        impl Visitor<'_> for Bounded {
            type Value = Text;
            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("a string")
            }
            fn visit_str<E: Error>(self, raw: &str) -> Result<Text, E> {
                Ok(Text::new(raw))
            }
        }
        deserializer.deserialize_str(Bounded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_text_is_cut_at_a_character_and_cleaned() {
        assert_eq!(Text::new(" a\u{1b}[31m\nb ").as_str(), "a [31m b");
        let long = Text::new(&"ä".repeat(1_000));
        assert_eq!(long.as_str(), "ä".repeat(64));
        assert_eq!(Text::new(&format!("{}äb", "x".repeat(127))).as_str(), "x".repeat(127));
    }
}
