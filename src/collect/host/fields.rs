//! Fields whose names the kernel tells and whose families follow from them, chosen by a pattern as in node_exporter.

use std::sync::{Mutex, MutexGuard, PoisonError};

use regex_lite::Regex;
use serde::Deserialize;

use super::filter::Filter;
use crate::config::Problems;
use crate::metrics::Desc;

/// So many names are remembered; a kernel has some hundreds.
const REMEMBERED: usize = 4096;

/// Which fields are taken.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FieldsConfig {
    /// Those whose name matches; the default is node_exporter's.
    pub fields: Option<String>,
}

impl FieldsConfig {
    pub(super) fn check(&self, part: &str, problems: &mut Problems) {
        Filter::check_one(&format!("{part}.fields"), self.fields.as_deref(), problems);
    }
}

/// The families of fields, made when a field is first seen.
pub(super) struct Fields {
    pattern: Option<Regex>,
    make: fn(&str) -> (String, Desc),
    known: Mutex<Known>,
}

/// The fields in the order in which the kernel told them, all in one piece: most are not taken, and to look at hundreds
/// of strings all over the memory would cost more than to read the file.
#[derive(Default)]
struct Known {
    /// Each with a newline after it.
    names: String,
    /// The family of each, if it is taken.
    places: Vec<Option<u16>>,
    families: Vec<Desc>,
}

/// One pass over the fields. Their order hardly ever changes: nearly each is the one that is next.
pub(super) struct Pass<'f> {
    fields: &'f Fields,
    known: MutexGuard<'f, Known>,
    /// Where the next one begins, and how many are before it.
    begin: usize,
    number: usize,
}

impl Fields {
    /// `make` yields the name that the pattern is tried on, and the family.
    pub(super) fn new(config: &FieldsConfig, default: &str, make: fn(&str) -> (String, Desc)) -> Self {
        let pattern = Regex::new(config.fields.as_deref().unwrap_or(default)).ok();
        Self { pattern, make, known: Mutex::default() }
    }

    /// Begins a pass over all of them.
    pub(super) fn pass(&self) -> Pass<'_> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        Pass { fields: self, known, begin: 0, number: 0 }
    }
}

impl Pass<'_> {
    /// The family of a field, whose name is written as these pieces; nothing where it is not taken.
    pub(super) fn family(&mut self, field: [&str; 3]) -> Option<&Desc> {
        let rest = self.known.names.get(self.begin..).unwrap_or_default();
        if !begins_with(rest, field) {
            self.find(&field.concat());
        }
        let place = self.known.places.get(self.number).copied().flatten();
        self.begin += field.iter().map(|piece| piece.len()).sum::<usize>() + 1;
        self.number += 1;
        self.known.families.get(usize::from(place?))
    }

    /// Goes to a field that is not the next one, and learns it if it was not seen before.
    fn find(&mut self, field: &str) {
        self.begin = 0;
        for (number, name) in self.known.names.split_terminator('\n').enumerate() {
            self.number = number;
            if name == field {
                return;
            }
            self.begin += name.len() + 1;
        }
        if self.known.places.len() >= REMEMBERED {
            *self.known = Known::default();
            self.begin = 0;
        }
        self.number = self.known.places.len();
        let (name, desc) = (self.fields.make)(field);
        let taken = self.fields.pattern.as_ref().is_some_and(|pattern| pattern.is_match(&name));
        let place = u16::try_from(self.known.families.len()).ok().filter(|_| taken);
        self.known.families.extend(place.map(|_| desc));
        self.known.places.push(place);
        self.known.names.extend([field, "\n"]);
    }
}

/// Whether the first line of a text is made of these pieces.
fn begins_with(text: &str, pieces: [&str; 3]) -> bool {
    pieces.iter().try_fold(text, |rest, piece| rest.strip_prefix(piece)).is_some_and(|rest| rest.starts_with('\n'))
}

/// A name as a part of a family's name.
pub(super) fn word(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Kind;

    #[test]
    fn a_field_is_known_wherever_it_stands() {
        let make = |field: &str| (field.to_owned(), Desc::named(Kind::Unknown, field.to_owned(), String::new(), &[]));
        let fields = Fields::new(&FieldsConfig { fields: Some("^a".into()) }, "", make);
        let told = |names: &[[&str; 3]]| {
            let mut pass = fields.pass();
            names.iter().map(|name| pass.family(*name).map(|desc| desc.name.to_string())).collect::<Vec<_>>()
        };
        let (a, b, ab) = (["a", "", ""], ["b", "", ""], ["a", "_", "b"]);
        let (some_a, some_ab) = (Some("a".to_owned()), Some("a_b".to_owned()));
        assert_eq!(told(&[a, b, ab]), [some_a.clone(), None, some_ab.clone()]);
        assert_eq!(told(&[ab, a, b, a]), [some_ab.clone(), some_a.clone(), None, some_a.clone()], "another order");
        assert_eq!(told(&[a, ["a", "c", ""], b, ab]), [some_a, Some("ac".to_owned()), None, some_ab], "a new one");
        assert_eq!(fields.known.lock().unwrap().places.len(), 4);
    }
}
