//! Foreign files in YAML: `blackbox.yml`, `queries.yaml`, `postgres_exporter.yml`. Our own configuration is TOML.

use std::path::Path;

use serde::de::DeserializeOwned;

use super::Problem;

/// A longer file is no configuration.
const LONGEST: u64 = 4 << 20;

/// Reads a YAML file.
///
/// # Errors
/// The file cannot be read, is not YAML, or does not have the expected shape; with line and column where there are any.
pub fn read<T: DeserializeOwned>(file: &Path) -> Result<T, Problem> {
    let told = |error: &dyn std::fmt::Display| Problem::error("", format!("{}: {error}", file.display()));
    let length = std::fs::metadata(file).map_err(|error| told(&error))?.len();
    if length > LONGEST {
        return Err(told(&format_args!("{length} bytes are more than a configuration has")));
    }
    let text = std::fs::read_to_string(file).map_err(|error| told(&error))?;
    parse(file, &text)
}

/// Reads YAML from `text`, which stands in `file`.
///
/// # Errors
/// It is not YAML, or does not have the expected shape; with line and column where there are any.
pub fn parse<T: DeserializeOwned>(file: &Path, text: &str) -> Result<T, Problem> {
    serde_saphyr::from_str(text).map_err(|error| {
        let error = error.without_snippet();
        let problem = Problem::error("", error.to_string());
        let at = error.location().and_then(|at| Some((at.line().try_into().ok()?, at.column().try_into().ok()?)));
        Problem { at: at.map(|(line, column)| (file.to_owned(), line, column)), ..problem }
    })
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Shape {
        port: u16,
    }

    #[test]
    fn a_fault_has_its_place() {
        let at = |text: &str| parse::<Shape>(Path::new("x.yml"), text).unwrap_err().at.map(|(_, line, _)| line);
        assert_eq!(parse::<Shape>(Path::new("x.yml"), "# a comment\nport: 7\n"), Ok(Shape { port: 7 }));
        assert_eq!(at("# c\nport: many\n"), Some(2));
        assert_eq!(at("port: 7\n\nprot: 8\n"), Some(3));
        assert_eq!(at("port: [\n"), Some(1));
    }
}
