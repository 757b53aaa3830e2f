//! All problems of a configuration at once, each with file, line, column and a hint.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// How bad a problem is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The program can start; somebody should know.
    Warning,
    /// The program does not start, and a reload changes nothing.
    Error,
}

/// One thing that is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// The key it is about, dotted: `notify.slack.ops.webhook_url`. Empty for the file as a whole.
    pub key: String,
    /// File, line and column (from 1), where the key stands in a file.
    pub at: Option<(PathBuf, usize, usize)>,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Problem {
    /// Something that keeps the program from starting.
    pub fn error(key: impl Into<String>, message: impl Into<String>) -> Self {
        Self { severity: Severity::Error, key: key.into(), at: None, message: message.into(), hint: None }
    }

    /// Something that works, but hardly as meant.
    pub fn warning(key: impl Into<String>, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(key, message) }
    }

    /// With what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Warning => "warning",
            Severity::Error => "error",
        };
        if let Some((file, line, column)) = &self.at {
            write!(out, "{}:{line}:{column}: ", file.display())?;
        }
        write!(out, "{severity}: ")?;
        if !self.key.is_empty() {
            write!(out, "`{}`: ", self.key)?;
        }
        write!(out, "{}", self.message)?;
        if let Some(hint) = &self.hint {
            write!(out, "\n  hint: {hint}")?;
        }
        Ok(())
    }
}

/// All problems found so far.
#[derive(Clone, Debug, Default, PartialEq, Eq, thiserror::Error)]
pub struct Problems(pub Vec<Problem>);

impl Problems {
    /// Adds one.
    pub fn push(&mut self, problem: Problem) {
        self.0.push(problem);
    }

    /// Whether one of them keeps the program from starting.
    pub fn fatal(&self) -> bool {
        self.0.iter().any(|problem| problem.severity == Severity::Error)
    }

    /// Adds the problems that `check` finds, their keys below `key`.
    pub fn within(&mut self, key: &str, check: impl FnOnce(&mut Self)) {
        let mut inner = Self::default();
        check(&mut inner);
        for mut problem in inner.0 {
            problem.key = match (key, problem.key.as_str()) {
                (outer, "") => outer.to_owned(),
                ("", inner) => inner.to_owned(),
                (outer, inner) => format!("{outer}.{inner}"),
            };
            self.0.push(problem);
        }
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                writeln!(out)?;
            }
            write!(out, "{problem}")?;
        }
        Ok(())
    }
}

/// A TOML file's text, able to say where a key stands.
pub struct Document {
    file: PathBuf,
    text: String,
}

/// More problems of one file than this are not listed one by one.
const MOST: usize = 100;

impl Document {
    /// The text of `file`.
    pub fn new(file: impl Into<PathBuf>, text: impl Into<String>) -> Self {
        Self { file: file.into(), text: text.into() }
    }

    /// Where the text came from.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// The sections that the text has: `notify`, and `collectors.host` where one collector's is told from the others'.
    pub fn sections(&self) -> Vec<String> {
        let (table, _) = DeTable::parse_recoverable(&self.text);
        let mut sections = Vec::new();
        for (name, value) in table.get_ref() {
            match value.get_ref() {
                DeValue::Table(inner) if name.get_ref() == "collectors" => {
                    sections.extend(inner.keys().map(|inner| format!("collectors.{}", inner.get_ref())));
                }
                DeValue::Table(_) | DeValue::Array(_) => sections.push(name.get_ref().to_string()),
                _ => {}
            }
        }
        sections
    }

    /// Reads the whole of it. serde tells only the first problem, so the key that has it is taken out and the rest is
    /// read again, until nothing is wrong with what is left.
    pub fn parse<T: DeserializeOwned + Default>(&self) -> (T, Problems) {
        let mut problems = Problems::default();
        let (mut table, errors) = DeTable::parse_recoverable(&self.text);
        for error in errors {
            problems.push(self.problem(&error).hint("the file is TOML: name = \"text\", name = 3, [section]"));
        }
        problems.0.sort_by(|left, right| left.at.cmp(&right.at));
        if problems.fatal() {
            // What is left of a text that is no TOML would be reported as missing or misplaced: noise.
            return (T::default(), problems);
        }
        while problems.0.len() < MOST {
            match T::deserialize(toml::de::Deserializer::from(table.clone())) {
                Ok(value) => return (value, problems),
                Err(error) => {
                    let problem = self.problem(&error);
                    // Where what was taken out was not all that is wrong there.
                    if !problems.0.contains(&problem) {
                        problems.push(problem);
                    }
                    let Some(span) = error.span() else { break };
                    if !remove(table.get_mut(), &span) {
                        break;
                    }
                }
            }
        }
        (T::default(), problems)
    }

    /// Fills in where the problems' keys stand: the key itself, or the nearest table above it.
    pub fn locate(&self, problems: &mut Problems) {
        let (table, _) = DeTable::parse_recoverable(&self.text);
        for problem in problems.0.iter_mut().filter(|problem| problem.at.is_none()) {
            let start = nearest(table.get_ref(), &problem.key).unwrap_or(0);
            problem.at = Some(self.position(start));
        }
    }

    fn problem(&self, error: &toml::de::Error) -> Problem {
        let message = error.message();
        let mut problem = Problem::error("", message);
        if let Some(span) = error.span() {
            problem.at = Some(self.position(span.start));
        }
        if let Some(hint) = suggestion(message) {
            problem = problem.hint(hint);
        }
        problem
    }

    fn position(&self, offset: usize) -> (PathBuf, usize, usize) {
        let before = self.text.get(..offset).unwrap_or(&self.text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().map_or(0, |last| last.chars().count()) + 1;
        (self.file.clone(), line, column)
    }
}

/// Takes out the innermost entry whose key or value covers the span. Whether there was one.
fn remove(table: &mut DeTable<'_>, span: &std::ops::Range<usize>) -> bool {
    let inside = |outer: std::ops::Range<usize>| outer.start <= span.start && span.end <= outer.end;
    for value in table.iter_mut().map(|(_, value)| value) {
        if remove_below(value, span) {
            return true;
        }
    }
    let name = table.iter().find(|(key, value)| inside(key.span()) || inside(value.span())).map(|(key, _)| key.clone());
    name.is_some_and(|name| table.remove(&name).is_some())
}

fn remove_below(value: &mut Spanned<DeValue<'_>>, span: &std::ops::Range<usize>) -> bool {
    match value.get_mut() {
        DeValue::Table(table) => remove(table, span),
        DeValue::Array(array) => {
            if array.iter_mut().any(|item| remove_below(item, span)) {
                return true;
            }
            let before = array.len();
            let covers = |item: &Spanned<DeValue<'_>>| item.span().start <= span.start && span.end <= item.span().end;
            let items = std::mem::replace(array, toml::de::DeArray::new());
            *array = items.into_iter().filter(|item| !covers(item)).collect();
            array.len() < before
        }
        _ => false,
    }
}

/// Where the longest part of a dotted key that exists begins.
fn nearest(table: &DeTable<'_>, key: &str) -> Option<usize> {
    let (first, rest) = key.split_once('.').unwrap_or((key, ""));
    let (name, value) = table.iter().find(|(name, _)| name.get_ref() == first)?;
    let deeper = match value.get_ref() {
        DeValue::Table(table) if !rest.is_empty() => nearest(table, rest),
        DeValue::Array(array) if !rest.is_empty() => {
            let (index, rest) = rest.split_once('.').unwrap_or((rest, ""));
            let item = index.parse().ok().and_then(|index: usize| array.get(index))?;
            match item.get_ref() {
                DeValue::Table(table) => nearest(table, rest).or(Some(item.span().start)),
                _ => Some(item.span().start),
            }
        }
        _ => None,
    };
    deeper.or(Some(name.span().start))
}

/// What to do about what serde says. It lists what it expected; the nearest spelling is the likely meaning.
fn suggestion(message: &str) -> Option<String> {
    if let Some((_, expected)) = message.split_once(", expected ").filter(|_| message.starts_with("invalid ")) {
        return Some(format!("write {expected}"));
    }
    let mut words = message.split('`').skip(1).step_by(2);
    let typed = words.next()?;
    if !message.starts_with("unknown ") {
        return None;
    }
    let (distance, _, best) =
        words.map(|word| (distance(typed, word), word.len().abs_diff(typed.len()), word)).min()?;
    Some(if distance <= 1 + typed.len() / 4 {
        format!("did you mean `{best}`?")
    } else {
        "take it out, or write one of those".into()
    })
}

/// Levenshtein's distance: how many letters to change.
pub(super) fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (index, letter) in left.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], index + 1);
        for (column, other) in right.iter().enumerate() {
            let replaced = diagonal + usize::from(letter != *other);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Default, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields, default)]
    struct Sample {
        listen: String,
        limit: u16,
        inner: Inner,
        list: Vec<Inner>,
    }

    #[derive(Debug, Default, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields, default)]
    struct Inner {
        name: String,
        size: u8,
    }

    fn positions(text: &str) -> Vec<(usize, usize)> {
        let (_, problems) = Document::new("t.toml", text).parse::<Sample>();
        problems.0.iter().filter_map(|problem| problem.at.as_ref().map(|(_, line, column)| (*line, *column))).collect()
    }

    #[test]
    fn every_fault_is_reported_with_its_position() {
        let text = "listne = 'x'\nlimit = 'many'\n[inner]\nname = 3\nsize = 300\n[[list]]\nnmae = 'y'\n";
        let mut found = positions(text);
        found.sort_unstable();
        assert_eq!(found, [(1, 1), (2, 9), (4, 8), (5, 8), (7, 1)]);
    }

    #[test]
    fn what_is_right_is_read_beside_what_is_wrong() {
        let (sample, problems) = Document::new("t.toml", "listen = 'here'\nlimit = -1").parse::<Sample>();
        assert_eq!(sample.listen, "here");
        assert_eq!(problems.0.len(), 1);
    }

    #[test]
    fn a_misspelt_key_gets_a_suggestion() {
        let (_, problems) = Document::new("t.toml", "listne = 'x'").parse::<Sample>();
        assert_eq!(problems.0[0].hint.as_deref(), Some("did you mean `listen`?"), "{problems}");
    }

    #[test]
    fn no_toml_at_all_is_one_problem_a_place() {
        assert_eq!(positions("listen = \n[inner\n"), [(1, 10), (2, 7)]);
    }

    #[test]
    fn a_later_check_is_located_by_its_key() {
        let document = Document::new("t.toml", "limit = 3\n[inner]\nname = 'n'\n[[list]]\nsize = 1\n");
        let mut problems = Problems::default();
        problems.push(Problem::error("inner.name", "taken"));
        problems.push(Problem::error("inner.size", "missing"));
        problems.push(Problem::error("list.0.size", "too small"));
        document.locate(&mut problems);
        let at: Vec<_> = problems.0.iter().filter_map(|problem| problem.at.clone()).map(|at| (at.1, at.2)).collect();
        assert_eq!(at, [(3, 1), (2, 2), (5, 1)]);
    }
}
