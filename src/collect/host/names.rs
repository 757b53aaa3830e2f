//! Names of families that the kernel tells.

/// What a word of the kernel is called within a metric's name: everything but letters, digits and `_` becomes `_`.
pub(super) fn metric(word: &str) -> String {
    word.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_no_name_may_hold_becomes_an_underscore() {
        assert_eq!(super::metric("a-b.c d_é9"), "a_b_c_d__9");
    }
}
