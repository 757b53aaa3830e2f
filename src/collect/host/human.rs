//! Sizes as bcache and bcachefs write them for people: `1.5k`, `23M`.

/// The number that such a text stands for.
pub(super) fn number(text: &str) -> Option<f64> {
    let text = text.trim();
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let power = match text.strip_prefix(digits)?.to_ascii_lowercase().as_str() {
        "" => 0,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        "p" => 5,
        "e" => 6,
        "z" => 7,
        "y" => 8,
        _ => return None,
    };
    Some(super::attribute::number(digits)? * 1024_f64.powi(power))
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn a_letter_stands_for_a_power_of_1024() {
        assert_eq!(number("0\n"), Some(0.0));
        assert_eq!(number("1.5k"), Some(1536.0));
        assert_eq!(number("-2M"), Some(-2_097_152.0));
        assert_eq!(number("3G"), Some(3_221_225_472.0));
        for garbage in ["", "k", "1x", "1kk", "one"] {
            assert_eq!(number(garbage), None, "{garbage}");
        }
    }
}
