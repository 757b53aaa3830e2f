//! What another exporter exposes, or a file of the textfile collector: read, or refused with the line.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tidewatch::metrics::parse::parse;

fuzz_target!(|text: &str| {
    let lines = text.split('\n').count();
    match parse(text) {
        Ok(found) => assert!(found.families.len() <= lines, "more families than lines"),
        Err(error) => assert!((1..=lines).contains(&error.line), "{error}: there are {lines} lines"),
    }
});
