//! A route's matchers: a text is one or is refused, and each label set meets it or not.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tidewatch::alert::Labels;
use tidewatch::alert::matcher::Matcher;

fuzz_target!(|input: (&str, &str, &str)| {
    let (text, name, value) = input;
    match text.parse::<Matcher>() {
        Ok(matcher) => {
            let labels: Labels = [(name.to_owned(), value.to_owned())].into_iter().collect();
            let met = matcher.matches(&labels);
            // The same condition, read again, is the same condition.
            assert_eq!(text.parse::<Matcher>().map(|again| again.matches(&labels)), Ok(met));
        }
        Err(why) => assert!(!why.is_empty()),
    }
});
