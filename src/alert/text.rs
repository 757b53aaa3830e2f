//! Making hostile text fit to be shown: no control characters, no reordering of letters, bounded. And times and
//! lengths of time as people read them.

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// Characters that show nothing of their own but change what is shown around them: terminal and line controls (C0, C1),
/// invisible marks, line separators, and the controls that reorder letters (U+202A to E, U+2066 to 9).
fn deceives(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}')
        || matches!(c, '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// One line of at most `most` characters: what deceives is gone, space is single, what was cut ends in `…`.
pub fn line(text: &str, most: usize) -> String {
    let mut out = String::new();
    let mut length = 0;
    // White space becomes one space first: a line end must part words, not join them.
    for word in text.split(|c: char| c.is_whitespace() || c == '\0') {
        let mut letters = word.chars().filter(|c| !deceives(*c)).peekable();
        if letters.peek().is_none() {
            continue;
        }
        let gap = (length > 0).then_some(' ');
        for c in gap.into_iter().chain(letters) {
            if length == most {
                out.pop();
                out.truncate(out.trim_end().len());
                out.push('…');
                return out;
            }
            out.push(c);
            length += 1;
        }
    }
    out
}

/// The address of a runbook, where it may become a link: `http` or `https`, without user or password, and not too long.
pub fn link(text: &str) -> Option<String> {
    let url = url::Url::parse(text.trim()).ok()?;
    let plain = url.username().is_empty() && url.password().is_none();
    if !plain || !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return None;
    }
    // What ends a link in Slack's markup, or hides in it, is written as the URL standard allows.
    let mut out = String::new();
    for c in url.as_str().chars() {
        match c {
            '|' => out.push_str("%7C"),
            '<' => out.push_str("%3C"),
            '>' => out.push_str("%3E"),
            '`' => out.push_str("%60"),
            c => out.push(c),
        }
    }
    (out.len() <= 500 && out.is_ascii()).then_some(out)
}

/// A length of time in its largest units: `45 s`, `38 min`, `3 h 5 min`, `2 d 4 h`. Never negative: clocks differ.
pub fn length(seconds: i64) -> String {
    let seconds = seconds.max(0);
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    let pair = |large: i64, unit: &str, small: i64, below: &str| match small {
        0 => format!("{large} {unit}"),
        small => format!("{large} {unit} {small} {below}"),
    };
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, minutes) => pair(hours, "h", minutes % 60, "min"),
        (days, hours, _) => pair(days, "d", hours % 24, "h"),
    }
}

/// The seconds from one moment to another.
pub fn seconds(from: Timestamp, to: Timestamp) -> i64 {
    to.as_second() - from.as_second()
}

/// The time of day in the zone; with the date when that is not the day of `now`.
pub fn time(at: Timestamp, now: Timestamp, zone: &TimeZone) -> String {
    let (then, today) = (at.to_zoned(zone.clone()), now.to_zoned(zone.clone()));
    let format = if then.date() == today.date() {
        "%H:%M"
    } else if then.year() == today.year() {
        "%b %-d, %H:%M"
    } else {
        "%Y-%m-%d %H:%M"
    };
    then.strftime(format).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_deceives_is_taken_out() {
        assert_eq!(line("a\r\nBcc: x\t\u{1b}[31m \u{202e}b\0c\u{85}d\u{2066}", 80), "a Bcc: x [31m b c d");
        assert_eq!(line("\u{202e}\u{7f}", 80), "");
    }

    #[test]
    fn what_is_too_long_says_that_it_was_cut() {
        assert_eq!(line("abcdef", 6), "abcdef");
        assert_eq!(line("abcdefg", 6), "abcde…");
        assert_eq!(line("abcd efg", 6), "abcd…");
        assert_eq!(line(&"ü".repeat(1_000_000), 300).chars().count(), 300);
    }

    #[test]
    fn only_plain_web_addresses_become_links() {
        assert_eq!(link(" https://wiki/a b|c>d`").as_deref(), Some("https://wiki/a%20b%7Cc%3Ed%60"));
        for text in ["javascript:alert(1)", "file:///etc/passwd", "https://u:p@h/", "//h", "", "data:text/html,x"] {
            assert_eq!(link(text), None, "{text}");
        }
    }

    #[test]
    fn lengths_of_time_have_two_units() {
        for (seconds, text) in [
            (-5, "0 s"),
            (45, "45 s"),
            (2_299, "38 min"),
            (11_100, "3 h 5 min"),
            (7_200, "2 h"),
            (187_200, "2 d 4 h"),
            (172_801, "2 d"),
        ] {
            assert_eq!(length(seconds), text);
        }
    }

    #[test]
    fn the_date_is_told_when_it_is_not_today() {
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        let now: Timestamp = "2026-11-21T01:49:00Z".parse().unwrap();
        let at = |text: &str| time(text.parse().unwrap(), now, &zone);
        assert_eq!(at("2026-11-21T01:11:00Z"), "02:11");
        assert_eq!(at("2026-11-20T22:11:00Z"), "Nov 20, 23:11");
        assert_eq!(at("2025-11-20T22:11:00Z"), "2025-11-20 23:11");
    }
}
