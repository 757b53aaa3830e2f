//! What the documents show as configuration is configuration.

use std::path::Path;

use tidewatch::app::settings::{Flags, Settings, Validated};
use tidewatch::config::{Document, Environment};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

#[test]
fn the_example_configuration_is_taken_as_it_stands() {
    let config = Some(Path::new(ROOT).join("docs/tidewatch.example.toml"));
    let flags = Flags { config, ..Flags::default() };
    let validated = Validated::load(&flags, &Environment::default()).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(validated.channels, ["console", "oncall", "log", "ops", "bot"]);
    assert!(validated.warnings.0.is_empty(), "{}", validated.warnings);
}

#[test]
fn the_examples_in_the_documents_are_read() {
    let mut read = 0;
    for entry in std::fs::read_dir(Path::new(ROOT).join("docs")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "md") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        for block in text.split("```toml\n").skip(1) {
            let example = block.split("```").next().unwrap();
            let (_, problems) = Document::new(&path, example).parse::<Settings>();
            assert!(problems.0.is_empty(), "{}:\n{example}\n{problems}", path.display());
            read += 1;
        }
    }
    assert!(read >= 8, "only {read} examples were found");
}
