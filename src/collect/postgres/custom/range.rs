//! Ranges of server versions as the original writes them: `>=9.4.0 <10.0.0 || >=12.0.0`.

use serde::Deserialize;
use serde::de::{Deserializer, Error};

/// Alternatives of conditions that hold together; none at all holds always.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Range(Vec<Vec<(Comparison, [u32; 3])>>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    Less,
    AtMost,
    Equal,
    Other,
    AtLeast,
    More,
}

impl Range {
    fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no range of versions: write it like \">=12.0.0 <17.0.0\"");
        let mut alternatives = Vec::new();
        for alternative in text.split("||").filter(|_| !text.trim().is_empty()) {
            // An operator may stand apart from its version.
            let compact = alternative.replace("> ", ">").replace("< ", "<").replace("= ", "=");
            let terms = compact.split_whitespace().map(|term| {
                let digits = term.find(|c: char| c.is_ascii_digit()).ok_or_else(wrong)?;
                let (sign, version) = term.split_at(digits);
                let comparison = match sign {
                    "<" => Comparison::Less,
                    "<=" => Comparison::AtMost,
                    "" | "=" | "==" => Comparison::Equal,
                    "!" | "!=" => Comparison::Other,
                    ">=" => Comparison::AtLeast,
                    ">" => Comparison::More,
                    _ => return Err(wrong()),
                };
                let mut numbers = [0; 3];
                for (index, part) in version.split('.').enumerate() {
                    *numbers.get_mut(index).ok_or_else(wrong)? = part.parse().map_err(|_| wrong())?;
                }
                Ok((comparison, numbers))
            });
            alternatives.push(terms.collect::<Result<Vec<_>, String>>()?);
        }
        Ok(Self(alternatives))
    }

    /// Whether a server of this `server_version_num` is meant.
    pub(super) fn contains(&self, version: u32) -> bool {
        // 150018 is 15.18.0 here, 90624 is 9.6.24.
        let version = match version {
            100_000.. => [version / 10_000, version % 10_000, 0],
            _ => [version / 10_000, version / 100 % 100, version % 100],
        };
        let holds = |(comparison, bound): &(Comparison, [u32; 3])| match comparison {
            Comparison::Less => version < *bound,
            Comparison::AtMost => version <= *bound,
            Comparison::Equal => version == *bound,
            Comparison::Other => version != *bound,
            Comparison::AtLeast => version >= *bound,
            Comparison::More => version > *bound,
        };
        self.0.is_empty() || self.0.iter().any(|terms| terms.iter().all(holds))
    }
}

impl<'de> Deserialize<'de> for Range {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_number_by_number() {
        for (range, version, holds) in [
            ("", 150_018, true),
            (">=9.4.0", 90_324, false),
            (">= 10.0.0", 150_018, true),
            (">=9.5.0 <17.0.0", 170_000, false),
            (">=9.5.0 <17.0.0", 160_014, true),
            ("<10.0.0 || >=18.0.0", 180_004, true),
            ("<10.0.0 || >=18.0.0", 150_018, false),
            ("15.18.0", 150_018, true),
            ("!=15.18.0", 150_018, false),
        ] {
            assert_eq!(Range::parse(range).unwrap().contains(version), holds, "{range} {version}");
        }
        for wrong in ["latest", ">=1.2.3.4", "~10", ">=x"] {
            Range::parse(wrong).unwrap_err();
        }
    }
}
