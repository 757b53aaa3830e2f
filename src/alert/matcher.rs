//! Matchers as in Alertmanager: `severity="critical"`, `team=~"ops|infra"`, `instance!="x"`, `job!~"test.*"`.

use regex_lite::Regex;

use super::Labels;

/// One condition on one label. A label that is missing has the empty value.
#[derive(Clone, Debug)]
pub struct Matcher {
    name: String,
    negated: bool,
    value: Value,
}

#[derive(Clone, Debug)]
enum Value {
    Exactly(String),
    /// Anchored on both ends.
    Pattern(Regex),
}

impl Matcher {
    /// Whether the labels meet it.
    pub fn matches(&self, labels: &Labels) -> bool {
        let found = labels.get(&self.name).map_or("", String::as_str);
        let equal = match &self.value {
            Value::Exactly(value) => value == found,
            Value::Pattern(pattern) => pattern.is_match(found),
        };
        equal != self.negated
    }
}

impl std::str::FromStr for Matcher {
    type Err = String;

    /// The name and the value may stand in double quotes with `\"`, `\\` and `\n`; an unquoted value ends at the end.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            |why: &str| format!("`{text}` is no matcher: {why}; write it like severity=\"critical\" or team=~\"a|b\"");
        let text_trimmed = text.trim();
        let (name, rest) = if text_trimmed.starts_with('"') {
            unquote(text_trimmed).ok_or_else(|| wrong("the name's quotes do not end"))?
        } else {
            let end = text_trimmed.find(['=', '!', '~']).ok_or_else(|| wrong("it has no =, !=, =~ or !~"))?;
            let (name, rest) = text_trimmed.split_at(end);
            (name.trim().to_owned(), rest)
        };
        if name.is_empty() {
            return Err(wrong("it names no label"));
        }
        let rest = rest.trim_start();
        let (negated, pattern, rest) =
            [("=~", false, true), ("!~", true, true), ("!=", true, false), ("=", false, false)]
                .into_iter()
                .find_map(|(operator, negated, pattern)| Some((negated, pattern, rest.strip_prefix(operator)?)))
                .ok_or_else(|| wrong("it has no =, !=, =~ or !~"))?;
        let rest = rest.trim();
        let value = if rest.starts_with('"') {
            let (value, after) = unquote(rest).ok_or_else(|| wrong("the value's quotes do not end"))?;
            if !after.trim().is_empty() {
                return Err(wrong("something follows the value"));
            }
            value
        } else {
            rest.to_owned()
        };
        let value = if pattern {
            Value::Pattern(Regex::new(&format!("^(?s:{value})$")).map_err(|error| wrong(&error.to_string()))?)
        } else {
            Value::Exactly(value)
        };
        Ok(Self { name, negated, value })
    }
}

/// The text within the double quotes that `text` begins with, and what follows them.
fn unquote(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut rest = text.strip_prefix('"')?.chars();
    loop {
        match rest.next()? {
            '"' => return Some((value, rest.as_str())),
            '\\' => match rest.next()? {
                'n' => value.push('\n'),
                escaped @ ('"' | '\\') => value.push(escaped),
                // A pattern's own escape, such as \d or \., stays as it is.
                other => value.extend(['\\', other]),
            },
            other => value.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(matcher: &str, value: &str) -> bool {
        let labels = Labels::from([("team".to_owned(), value.to_owned())]);
        matcher.parse::<Matcher>().unwrap().matches(&labels)
    }

    #[test]
    fn the_four_operators_mean_what_they_mean_in_alertmanager() {
        assert!(matches(r#"team="ops""#, "ops"));
        assert!(matches("team = ops", "ops"));
        assert!(!matches(r#"team="ops""#, "devops"));
        assert!(matches(r#"team!="ops""#, "dev"));
        assert!(matches(r#"team=~"ops|infra""#, "infra"));
        assert!(!matches(r#"team=~"ops|infra""#, "infrared"));
        assert!(matches(r#"team!~"ops.*""#, "dev"));
        assert!(matches(r#"other="""#, "a missing label is empty"));
        assert!(matches(r#""team"="say \"hi\"""#, "say \"hi\""));
        assert!(matches(r#"team=~"v\d+\.\d""#, "v12.3"));
        assert!(matches(r#"team=~".*""#, "two\nlines"));
    }

    #[test]
    fn what_is_no_matcher_says_why() {
        for text in ["", "team", "=x", r#"team="x"#, r#"team="x" y"#, "team=~(", "\"team", "team!x"] {
            let error = text.parse::<Matcher>().unwrap_err();
            assert!(error.contains("is no matcher"), "{text}: {error}");
        }
    }
}
