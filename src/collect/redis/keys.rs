//! Which keys are looked at: `db3=sessions:*`, in lists.

use std::str::FromStr;

/// A key, or a pattern of keys, of one database.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    /// The database's number.
    pub(super) db: u32,
    /// The key or pattern.
    pub(super) name: String,
}

impl FromStr for Key {
    type Err = String;

    /// `db3=key`, `3=key`, or `key` of database 0.
    fn from_str(text: &str) -> Result<Self, String> {
        let (db, name) = match text.trim().split_once('=') {
            None => ("0", text.trim()),
            Some((db, name)) => (db.trim(), name.trim()),
        };
        let db = db.strip_prefix("db").unwrap_or(db).parse();
        let db = db.map_err(|_| format!("`{text}`: before the `=` stands no database: write it like db3=key"))?;
        if name.is_empty() {
            return Err(format!("`{text}` names no key"));
        }
        Ok(Self { db, name: name.to_owned() })
    }
}

impl Key {
    /// The label of its database.
    pub(super) fn db_label(&self) -> String {
        format!("db{}", self.db)
    }

    /// Whether the server is to search for it.
    pub(super) fn is_pattern(&self) -> bool {
        self.name.contains(['*', '?', '[', ']', '^'])
    }
}

/// The keys of a list in a configuration.
pub(super) fn parse(list: &[String]) -> Result<Vec<Key>, String> {
    list.iter().map(|text| text.parse()).collect()
}

/// A list as redis_exporter takes it from its environment and its queries: parted by commas, names escaped as in a URL.
/// Each name is one item of the result, unescaped.
pub(super) fn split(text: &str) -> Result<Vec<String>, String> {
    let items = text.split(',').filter(|item| !item.trim().is_empty());
    items.map(|item| unescaped(item, true).ok_or_else(|| format!("`{item}` holds a % that is no escape"))).collect()
}

/// Text with its `%XX` resolved, and `+` to a space where `plus` says so; `None` if an escape is none, or no UTF-8.
pub(super) fn unescaped(text: &str, plus: bool) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digit = |byte: u8| char::from(byte).to_digit(16);
                (digit(rest.next()?)? * 16 + digit(rest.next()?)?) as u8
            }
            b'+' if plus => b' ',
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_with_their_database() {
        for (text, db, name) in [("a:b", 0, "a:b"), ("db3=s:*", 3, "s:*"), ("12=x", 12, "x"), (" db0 = k ", 0, "k")] {
            assert_eq!(text.parse(), Ok(Key { db, name: name.into() }), "{text}");
        }
        for text in ["", "db3=", "dbx=a", "-1=a", "=a"] {
            assert!(text.parse::<Key>().is_err(), "{text}");
        }
        assert!(Key { db: 0, name: "a*".into() }.is_pattern() && !Key { db: 0, name: "a.b".into() }.is_pattern());
    }

    #[test]
    fn a_list_of_the_original_is_parted_and_unescaped() {
        assert_eq!(split("db0=a%2Cb,, c+d "), Ok(vec!["db0=a,b".into(), " c d ".into()]));
        assert!(split("a%2").is_err() && split("%ff").is_err());
    }
}
