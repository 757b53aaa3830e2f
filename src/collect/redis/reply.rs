//! Replies of the protocol as text, numbers and lists. What is not as documented is absent, never a panic.

use std::borrow::Cow;

use ::redis::Value;

/// The text of a string, or of a number.
pub(super) fn text(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::BulkString(bytes) => Some(String::from_utf8_lossy(bytes)),
        Value::SimpleString(text) | Value::VerbatimString { text, .. } => Some(Cow::Borrowed(text)),
        Value::Okay => Some(Cow::Borrowed("OK")),
        Value::Int(number) => Some(Cow::Owned(number.to_string())),
        Value::Double(number) => Some(Cow::Owned(number.to_string())),
        _ => None,
    }
}

/// A finite number, also one written as text.
pub(super) fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Int(number) => Some(*number as f64),
        Value::Double(number) => Some(*number),
        other => text(other)?.trim().parse().ok(),
    }
    .filter(|number: &f64| number.is_finite())
}

/// The members of a list; none of anything else.
pub(super) fn items(value: &Value) -> &[Value] {
    match value {
        Value::Array(items) | Value::Set(items) => items,
        _ => &[],
    }
}

/// The pairs of a map, or of a list in which names and values alternate.
pub(super) fn pairs(value: &Value) -> Vec<(Cow<'_, str>, &Value)> {
    let named = |(name, value)| Some((text(name)?, value));
    match value {
        Value::Map(pairs) => pairs.iter().filter_map(|(name, value)| named((name, value))).collect(),
        list => items(list).chunks_exact(2).filter_map(|pair| named((&pair[0], &pair[1]))).collect(),
    }
}

/// The value of a name in a map.
pub(super) fn get<'v>(value: &'v Value, name: &str) -> Option<&'v Value> {
    pairs(value).into_iter().find(|(key, _)| key == name).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_read_whatever_their_form() {
        let bulk = |text: &str| Value::BulkString(text.into());
        let list = Value::Array(vec![bulk("length"), Value::Int(3), bulk("ratio"), bulk("0.5"), bulk("odd")]);
        assert_eq!(get(&list, "length").and_then(number), Some(3.0));
        assert_eq!(get(&list, "ratio").and_then(number), Some(0.5));
        assert_eq!(get(&Value::Map(vec![(bulk("a"), Value::Nil)]), "a"), Some(&Value::Nil));
        assert_eq!(number(&bulk("inf")), None);
        assert!(items(&Value::Nil).is_empty() && pairs(&Value::Int(1)).is_empty());
        assert_eq!(text(&Value::BulkString(vec![b'a', 0xff])).unwrap(), "a\u{fffd}");
    }
}
