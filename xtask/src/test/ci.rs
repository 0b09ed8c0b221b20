//! Where the tests run.

/// Whether this is an unattended run, where a skipped test is a test that nobody misses.
pub fn is_ci() -> bool {
    says_yes(std::env::var("CI").ok().as_deref())
}

fn says_yes(value: Option<&str>) -> bool {
    !matches!(value, None | Some("" | "0" | "false"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ci_is_what_says_so() {
        assert!(says_yes(Some("true")) && says_yes(Some("1")));
        assert!(!says_yes(Some("false")) && !says_yes(Some("")) && !says_yes(None));
    }
}
