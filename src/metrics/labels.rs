//! Reading the labels of a line, and escaped text.

use super::desc::is_label_name;

/// What may stand between the words of a line.
pub(super) const BLANKS: [char; 2] = [' ', '\t'];

/// Names and values.
pub(super) type Labels = Vec<(String, String)>;

/// The labels after `{`, and what follows `}`.
pub(super) fn labels(mut rest: &str) -> Result<(Labels, &str), &'static str> {
    let mut labels = Labels::new();
    loop {
        rest = rest.trim_start_matches(BLANKS);
        if let Some(rest) = rest.strip_prefix('}') {
            return Ok((labels, rest));
        }
        let (name, after) = rest.split_once('=').ok_or("labels without an end")?;
        let name = name.trim_end_matches(BLANKS);
        if !is_label_name(name) {
            return Err("no label's name");
        }
        let quoted = after.trim_start_matches(BLANKS).strip_prefix('"').ok_or("a label's value without quotes")?;
        let end = end_of_value(quoted).ok_or("a label's value without an end")?;
        let (value, after) = quoted.split_at_checked(end).ok_or("a label's value without an end")?;
        labels.push((name.to_owned(), unescaped(value, true)?));
        rest = after.strip_prefix('"').unwrap_or(after).trim_start_matches(BLANKS);
        match rest.strip_prefix(',') {
            Some(after) => rest = after,
            None if rest.starts_with('}') => {}
            None => return Err("neither a comma nor an end after a label"),
        }
    }
}

/// Where the quote is that no backslash escapes.
fn end_of_value(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.bytes().position(|byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    })
}

/// Text with its escapes resolved: a backslash, a new line and, in labels, a quote.
pub(super) fn unescaped(text: &str, quotes: bool) -> Result<String, &'static str> {
    let mut letters = text.chars();
    let mut plain = String::with_capacity(text.len());
    while let Some(letter) = letters.next() {
        plain.push(match letter {
            '\\' => match letters.next() {
                Some('\\') => '\\',
                Some('n') => '\n',
                Some('"') if quotes => '"',
                _ => return Err("a backslash that escapes nothing"),
            },
            letter => letter,
        });
    }
    Ok(plain)
}
