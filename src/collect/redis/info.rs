//! The text of `INFO`: sections of lines `field:value`.

use std::collections::HashMap;

/// What a server said about itself.
pub(super) struct Info<'t> {
    lines: Vec<Line<'t>>,
    by_field: HashMap<&'t str, &'t str>,
}

/// One line of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Line<'t> {
    /// The section's title, without `# `.
    pub(super) section: &'t str,
    pub(super) field: &'t str,
    pub(super) value: &'t str,
}

impl<'t> Info<'t> {
    /// Reads it. Lines of another form are skipped.
    pub(super) fn parse(text: &'t str) -> Self {
        let mut section = "";
        let mut lines = Vec::new();
        for line in text.lines().map(str::trim_end) {
            if let Some(title) = line.strip_prefix("# ") {
                section = title;
            } else if let Some((field, value)) = line.split_once(':') {
                lines.push(Line { section, field, value });
            }
        }
        let by_field = lines.iter().map(|line| (line.field, line.value)).collect();
        Self { lines, by_field }
    }

    pub(super) fn lines(&self) -> &[Line<'t>] {
        &self.lines
    }

    /// The lines of a section.
    pub(super) fn section(&self, title: &str) -> impl Iterator<Item = &Line<'t>> {
        self.lines.iter().filter(move |line| line.section == title)
    }

    /// A field's value, empty where there is none.
    pub(super) fn get(&self, field: &str) -> &'t str {
        self.by_field.get(field).copied().unwrap_or_default()
    }

    /// A field's number.
    pub(super) fn number(&self, field: &str) -> Option<f64> {
        self.get(field).parse().ok().filter(|number: &f64| number.is_finite())
    }

    /// Whether it is a sentinel, which knows few of the commands.
    pub(super) fn is_sentinel(&self) -> bool {
        [self.get("redis_mode"), self.get("server_mode")].contains(&"sentinel")
    }

    /// Whether it is a node of a cluster.
    pub(super) fn is_cluster(&self) -> bool {
        self.get("cluster_enabled") == "1"
    }
}

/// The parts of a value like `keys=1,expires=0`: in their order, those without `=` skipped.
pub(super) fn parts(value: &str) -> impl Iterator<Item = (&str, &str)> {
    value.split(',').filter_map(|part| part.split_once('='))
}

/// The number of a part.
pub(super) fn part(value: &str, name: &str) -> Option<f64> {
    parts(value).find(|(key, _)| *key == name)?.1.parse().ok().filter(|number: &f64| number.is_finite())
}

/// The text of a part, empty where there is none.
pub(super) fn word<'v>(value: &'v str, name: &str) -> &'v str {
    parts(value).find(|(key, _)| *key == name).map_or("", |(_, word)| word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_and_fields_are_told_apart() {
        let info = Info::parse(
            "# Server\r\nredis_mode:sentinel\r\nrun_id:a:b\r\nnonsense\r\n\r\n# Keyspace\r\ndb0:keys=3,expires=x\r\n",
        );
        assert_eq!((info.get("run_id"), info.get("nobody"), info.is_sentinel()), ("a:b", "", true));
        let keyspace: Vec<_> = info.section("Keyspace").collect();
        assert_eq!(keyspace, [&Line { section: "Keyspace", field: "db0", value: "keys=3,expires=x" }]);
        assert_eq!((part("keys=3,expires=x", "keys"), part("keys=3,expires=x", "expires")), (Some(3.0), None));
        assert_eq!((word("ip=::1,state=online", "state"), word("", "state")), ("online", ""));
        assert_eq!(info.lines().len(), 3);
    }
}
