//! The pieces of which lines are made: numbers and escaped text.

use std::fmt;
use std::io::Write as _;

/// Appends several texts.
pub(super) fn append_all<const N: usize>(out: &mut Vec<u8>, texts: [&str; N]) {
    for text in texts {
        out.extend_from_slice(text.as_bytes());
    }
}

/// Appends formatted text.
#[expect(clippy::expect_used, reason = "writing to memory cannot fail")]
fn append(out: &mut Vec<u8>, text: fmt::Arguments<'_>) {
    out.write_fmt(text).expect("memory takes everything");
}

/// Appends a sample's value: the shortest text that reads back as the same number.
pub(super) fn append_value(out: &mut Vec<u8>, value: f64) {
    let whole = value as i64;
    if (whole as f64).to_bits() == value.to_bits() {
        if whole < 0 {
            out.push(b'-');
        }
        append_integer(out, whole.unsigned_abs());
    } else if !value.is_finite() {
        out.extend_from_slice(not_finite(value).as_bytes());
    } else if (1e-5..1e17).contains(&value.abs()) {
        append(out, format_args!("{value}"));
    } else {
        append(out, format_args!("{value:e}"));
    }
}

/// Appends a whole number.
pub(super) fn append_integer(out: &mut Vec<u8>, mut value: u64) {
    let mut digits = [0; 20];
    let mut first = digits.len();
    loop {
        first -= 1;
        digits[first] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[first..]);
}

/// The value of `le` or `quantile` in the text format: as Go's `%g` writes it, because it is part of the series' identity
/// and the originals are written in Go.
pub(super) fn go_float(value: f64) -> String {
    if !value.is_finite() {
        return not_finite(value).into();
    }
    let scientific = format!("{value:e}");
    let Some((mantissa, exponent)) = scientific.split_once('e') else { return scientific };
    match exponent.parse::<i32>() {
        Ok(exponent) if exponent < -4 => format!("{mantissa}e-{:02}", -exponent),
        Ok(exponent) if exponent >= 6 => format!("{mantissa}e+{exponent:02}"),
        _ => value.to_string(),
    }
}

/// The same in OpenMetrics, whose canonical numbers always have a point or an exponent.
pub(super) fn open_float(value: f64) -> String {
    let text = go_float(value);
    if value.is_finite() && !text.contains(['.', 'e']) { text + ".0" } else { text }
}

fn not_finite(value: f64) -> &'static str {
    if value.is_nan() {
        "NaN"
    } else if value > 0.0 {
        "+Inf"
    } else {
        "-Inf"
    }
}

/// Appends a label's value, or a help of OpenMetrics, without its quotes.
pub(super) fn append_escaped(out: &mut Vec<u8>, text: &str) {
    escape(out, text, true);
}

/// Appends a help of the text format, which does not escape quotes.
pub(super) fn append_help(out: &mut Vec<u8>, text: &str) {
    escape(out, text, false);
}

fn escape(out: &mut Vec<u8>, text: &str, quotes: bool) {
    let mut rest = text.as_bytes();
    let special = |byte: &u8| matches!(byte, b'\\' | b'\n') || (quotes && *byte == b'"');
    while let Some(at) = rest.iter().position(special) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(match rest[at] {
            b'\\' => br"\\",
            b'"' => b"\\\"",
            _ => br"\n",
        });
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn values_are_short_and_read_back() {
        for (value, text) in [
            (0.0, "0"),
            (-3.0, "-3"),
            (1e15, "1000000000000000"),
            (0.25, "0.25"),
            (1e300, "1e300"),
            (2.5e-7, "2.5e-7"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
        ] {
            assert_eq!(written(|out| append_value(out, value)), text);
        }
        for value in [f64::MAX, f64::MIN_POSITIVE, 5e-324, 0.1 + 0.2, 1e17, 12_345.678, i64::MAX as f64, -0.0] {
            let read: f64 = written(|out| append_value(out, value)).parse().unwrap();
            assert_eq!(read.to_bits(), value.to_bits());
        }
        assert_eq!(written(|out| append_integer(out, u64::MAX)), u64::MAX.to_string());
    }

    #[test]
    fn bounds_are_canonical_in_each_format() {
        for (value, text, open) in [
            (1.0, "1", "1.0"),
            (0.005, "0.005", "0.005"),
            (0.0, "0", "0.0"),
            (-2.5, "-2.5", "-2.5"),
            (100_000.0, "100000", "100000.0"),
            (1e6, "1e+06", "1e+06"),
            (1_234_567.0, "1.234567e+06", "1.234567e+06"),
            (0.0001, "0.0001", "0.0001"),
            (0.000_01, "1e-05", "1e-05"),
            (1e100, "1e+100", "1e+100"),
            (f64::INFINITY, "+Inf", "+Inf"),
        ] {
            assert_eq!((go_float(value), open_float(value)), (text.into(), open.into()));
        }
    }

    #[test]
    fn text_is_escaped_exactly() {
        assert_eq!(written(|out| append_escaped(out, "a\\n\n\"é\r")), "a\\\\n\\n\\\"é\r");
        assert_eq!(written(|out| append_help(out, "a\\ \"b\"\n")), "a\\\\ \"b\"\\n");
    }
}
