//! An agent's name, as labels, paths and files may carry it.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::de::{Deserialize, Deserializer, Error};
use serde::{Serialize, Serializer};

/// The longest id, in characters; each is one byte.
const LONGEST: usize = 128;

/// An agent's id: 1 to 128 ASCII letters, digits and `._:@/-`. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AgentId(Arc<str>);

/// Why a text is no agent's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Nothing at all.
    #[error("the agent id is empty")]
    Empty,
    /// More than 128 characters.
    #[error("the agent id has {0} bytes; at most {LONGEST} are allowed")]
    Long(usize),
    /// A character outside the alphabet.
    #[error("the agent id has the character {0:?}; ASCII letters, digits and . _ : @ / - are allowed")]
    Character(char),
}

impl AgentId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for AgentId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        if text.is_empty() {
            return Err(IdError::Empty);
        }
        if text.len() > LONGEST {
            return Err(IdError::Long(text.len()));
        }
        let allowed = |c: char| c.is_ascii_alphanumeric() || "._:@/-".contains(c);
        match text.chars().find(|c| !allowed(*c)) {
            Some(c) => Err(IdError::Character(c)),
            None => Ok(Self(text.into())),
        }
    }
}

impl Borrow<str> for AgentId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AgentId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl fmt::Debug for AgentId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, out)
    }
}

impl Serialize for AgentId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for AgentId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl serde::de::Visitor<'_> for Text {
            type Value = AgentId;
            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("an agent id in quotes")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<AgentId, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_alphabet_is_what_is_documented() {
        for id in ["steward", "agent:heretek:main", "a.b_c@d-e", "team/alpha", &"x".repeat(128)] {
            assert_eq!(id.parse::<AgentId>().unwrap().as_str(), id);
        }
        for byte in 0..=127_u8 {
            let c = char::from(byte);
            let allowed = c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | ':' | '@' | '-' | '/');
            assert_eq!(c.to_string().parse::<AgentId>().is_ok(), allowed, "{c:?}");
        }
    }

    #[test]
    fn what_is_no_id_says_why() {
        assert_eq!("".parse::<AgentId>(), Err(IdError::Empty));
        assert_eq!("x".repeat(129).parse::<AgentId>(), Err(IdError::Long(129)));
        assert_eq!("a\nb".parse::<AgentId>(), Err(IdError::Character('\n')));
        assert_eq!("stewärd".parse::<AgentId>(), Err(IdError::Character('ä')));
    }
}
