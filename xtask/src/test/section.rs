//! The parts of a test binary's output. A test may print anything, also what looks like a result, so a line counts only in its place.

/// Where in the output a line is.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum Section {
    /// Between the others: a line a test, the result, and what cargo says.
    #[default]
    Tests,
    /// What passing tests printed.
    Passing,
    /// The names of passing tests, listed after their output.
    PassingNames,
    /// What failing tests printed.
    Failing,
    /// The names of failing tests, listed after their output.
    FailingNames,
}

impl Section {
    /// Where the line is that comes next.
    pub fn after(self, line: &str) -> Self {
        match (self, line) {
            // Both headings come twice: before the output, and before the names.
            (Self::Passing, "successes:") => Self::PassingNames,
            (Self::Failing, "failures:") => Self::FailingNames,
            (Self::Tests, "successes:") => Self::Passing,
            (Self::Tests | Self::PassingNames, "failures:") => Self::Failing,
            (Self::PassingNames | Self::FailingNames, line) if line.starts_with("test result: ") => Self::Tests,
            _ => self,
        }
    }

    /// Whether it is shown: what passing tests print fills pages.
    pub fn shown(self) -> bool {
        !matches!(self, Self::Passing | Self::PassingNames)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_of_tests_is_told_from_results() {
        let output = [
            ("test a ... ok", Section::Tests),
            ("successes:", Section::Passing),
            ("---- a stdout ----", Section::Passing),
            ("test result: ok. 99 passed", Section::Passing),
            ("failures:", Section::Passing),
            ("successes:", Section::PassingNames),
            ("    a", Section::PassingNames),
            ("failures:", Section::Failing),
            ("---- b stdout ----", Section::Failing),
            ("failures:", Section::FailingNames),
            ("    b", Section::FailingNames),
            ("test result: FAILED. 1 passed; 1 failed", Section::Tests),
        ];
        let mut section = Section::default();
        for (line, expected) in output {
            section = section.after(line);
            assert_eq!(section, expected, "{line}");
        }
    }
}
