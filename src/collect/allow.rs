//! Patterns of targets that a question may name: text in which `*` is any text.
//!
//! A pattern of addresses (`10.0.0.*`) takes literal addresses only. Anybody can own a name that begins like one
//! (`10.0.0.example.net`), and would be sent the login that is meant for the network.

use std::net::IpAddr;

/// Whether `host:port` is what a pattern allows, whatever its capitals. IPv6 addresses stand in brackets.
pub(super) fn endpoint(pattern: &str, endpoint: &str) -> bool {
    let addresses = pattern.starts_with('[') || means_addresses(host_of(pattern));
    let sound = !addresses || is_address(host_of(endpoint));
    sound && glob(&pattern.to_ascii_lowercase(), &endpoint.to_ascii_lowercase())
}

/// The same for a host alone, without brackets.
pub(super) fn host(pattern: &str, host: &str) -> bool {
    let sound = !means_addresses(pattern) || is_address(host);
    sound && glob(&pattern.to_ascii_lowercase(), &host.to_ascii_lowercase())
}

/// Whether `text` is `pattern`, whose stars stand for anything.
pub(super) fn glob(pattern: &str, text: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut left) = text.strip_prefix(start) else { return false };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let end = parts.pop().unwrap_or_default();
    for part in parts {
        let Some((_, after)) = left.split_once(part) else { return false };
        left = after;
    }
    left.ends_with(end)
}

/// Stars among digits and dots, or anything with a colon: no name has one.
fn means_addresses(pattern: &str) -> bool {
    let numbers = || pattern.chars().all(|c| c.is_ascii_digit() || ".*".contains(c));
    pattern.contains('*') && (pattern.contains(':') || (pattern.contains(|c: char| c.is_ascii_digit()) && numbers()))
}

fn is_address(host: &str) -> bool {
    host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().is_ok()
}

fn host_of(endpoint: &str) -> &str {
    endpoint.rsplit_once(':').map_or(endpoint, |(host, _)| host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_is_any_text() {
        for (pattern, text, is) in [
            ("a*c", "abc", true),
            ("a*c", "ac", true),
            ("a*c", "abcd", false),
            ("*", "", true),
            ("a*b*c", "axbyc", true),
            ("a*b*c", "axc", false),
            ("a*b*a", "aba", true),
            ("ab*ba", "aba", false),
            ("a", "ab", false),
        ] {
            assert_eq!(glob(pattern, text), is, "{pattern} {text}");
        }
    }

    #[test]
    fn an_endpoint_is_taken_whole() {
        for (pattern, name, taken) in [
            ("cache:6379", "Cache:6379", true),
            ("cache:6379", "cache:63790", false),
            ("*", "anything:1", true),
            ("*:6379", "anything:6379", true),
            ("db-*.internal:5432", "db-7.internal:5432", true),
            ("db-*.internal:5432", "db-7.internal:5432.evil:5432", false),
            ("10.0.0.*:*", "10.0.0.7:7000", true),
            ("10.0.0.*:*", "10.0.1.7:7000", false),
            ("10.0.0.7:7000", "10.0.0.7:7000", true),
            ("[fd00:*]:6379", "[fd00::1]:6379", true),
        ] {
            assert_eq!(endpoint(pattern, name), taken, "{pattern} {name}");
        }
    }

    #[test]
    fn a_pattern_of_addresses_takes_no_name() {
        for (pattern, name) in [
            ("10.0.0.*:6379", "10.0.0.attacker.example:6379"),
            ("10.0.0.*", "10.0.0.attacker.example:6379"),
            ("10.*:*", "10.attacker.example:6379"),
            ("*.0.0.1:6379", "attacker.0.0.1:6379"),
            ("10.*:6379", "10.1:6379"),
            ("[fd00:*]:6379", "[fd00:x.attacker.example]:6379"),
            ("[fd00:*", "[fd00:x.attacker.example]:6379"),
        ] {
            assert!(!endpoint(pattern, name), "{pattern} {name}");
        }
        assert!(host("10.0.0.*", "10.0.0.7") && host("fd00:*", "fd00::1") && host("*.example.org", "a.example.org"));
        assert!(!host("10.0.0.*", "10.0.0.attacker.example") && !host("fd00:*", "fd00:x.example"));
    }
}
