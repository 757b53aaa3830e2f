//! Patterns of targets: text in which `*` is any text.

/// Whether a pattern means a name, whatever its capitals.
pub(super) fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name) = (pattern.to_ascii_lowercase(), name.to_ascii_lowercase());
    let Some((start, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(mut left) = name.strip_prefix(start) else { return false };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let end = parts.pop().unwrap_or_default();
    for part in parts {
        let Some((_, after)) = left.split_once(part) else { return false };
        left = after;
    }
    left.ends_with(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_is_any_text() {
        for (pattern, name, expected) in [
            ("cache:6379", "Cache:6379", true),
            ("cache:6379", "cache:63790", false),
            ("*", "anything:1", true),
            ("redis-*.example:6379", "redis-1.example:6379", true),
            ("redis-*.example:6379", "redis-1.example:6379.evil:6379", false),
            ("10.0.0.*:*", "10.0.0.7:7000", true),
            ("10.0.0.*:*", "10.0.1.7:7000", false),
            ("a*b*a", "aba", true),
            ("ab*ba", "aba", false),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }
}
