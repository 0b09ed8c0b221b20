//! What `cargo test` says, added up.

use super::section::Section;

/// The sum of some runs of `cargo test`.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Results {
    /// Tests that passed.
    pub passed: usize,
    /// Tests that failed.
    pub failed: usize,
    /// Tests that were not run at all, by `#[ignore]`.
    pub ignored: usize,
    /// Names of the tests that failed.
    pub failed_names: Vec<String>,
    /// Why tests skipped themselves, from the lines that start with `skipped:`.
    pub skipped: Vec<String>,
    /// Runs in which a test failed.
    pub runs_with_failures: usize,
}

impl Results {
    /// Takes in one line of output, of the section that it is in.
    pub fn read(&mut self, section: Section, line: &str) {
        if let Some(why) = line.strip_prefix("skipped:") {
            self.skipped.push(why.trim().to_owned());
        } else if section != Section::Tests {
            // Whatever it looks like, a test printed it.
        } else if let Some(counts) = line.strip_prefix("test result: ") {
            self.passed += count(counts, "passed");
            self.failed += count(counts, "failed");
            self.ignored += count(counts, "ignored");
        } else if let Some(name) = line.strip_prefix("test ").and_then(|rest| rest.strip_suffix(" ... FAILED")) {
            self.failed_names.push(name.to_owned());
        }
    }

    /// Adds another run.
    pub fn add(&mut self, run: Self) {
        self.passed += run.passed;
        self.failed += run.failed;
        self.ignored += run.ignored;
        self.runs_with_failures += usize::from(run.failed > 0);
        self.failed_names.extend(run.failed_names);
        self.skipped.extend(run.skipped);
    }

    /// The one line for programs. A test that skipped itself has passed for the test harness; here it counts as skipped only.
    pub fn line(&self, failed: usize) -> String {
        let passed = self.passed.saturating_sub(self.skipped.len());
        format!("{passed} passed, {failed} failed, {} skipped", self.ignored + self.skipped.len())
    }
}

/// The number before `what` in `ok. 3 passed; 1 failed; …`.
fn count(counts: &str, what: &str) -> usize {
    let part = counts.split([';', '.']).map(str::trim).find_map(|part| part.strip_suffix(what));
    part.and_then(|number| number.trim().parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Results {
        let mut results = Results::default();
        text.lines().for_each(|line| results.read(Section::Tests, line));
        results
    }

    #[test]
    fn results_of_several_binaries_add_up() {
        let results = read(
            "running 3 tests\n\
             test routing::same_key_same_shard ... ok\n\
             test lease::expires ... FAILED\n\
             test result: FAILED. 2 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s\n\
             skipped: no Docker engine\n\
             test result: ok. 10 passed; 0 failed; 2 ignored; 0 measured; 4 filtered out; finished in 1.27s\n",
        );
        assert_eq!((results.passed, results.failed, results.ignored), (12, 1, 2));
        assert_eq!(results.failed_names, ["lease::expires"]);
        assert_eq!(results.skipped, ["no Docker engine"]);
        assert_eq!(results.line(results.failed), "11 passed, 1 failed, 3 skipped");
    }

    #[test]
    fn what_a_test_prints_is_not_a_result() {
        let mut results = read("the line `test result: ok. 5 passed` is quoted\nit was skipped: no\n");
        results.read(Section::Passing, "test result: ok. 99 passed; 9 failed");
        results.read(Section::Failing, "test b ... FAILED");
        assert_eq!(results, Results::default());
    }

    #[test]
    fn runs_add_up() {
        let mut sum = Results::default();
        sum.add(read("test result: FAILED. 2 passed; 1 failed; 0 ignored"));
        sum.add(read("test result: ok. 3 passed; 0 failed; 1 ignored"));
        assert_eq!((sum.passed, sum.failed, sum.ignored, sum.runs_with_failures), (5, 1, 1, 1));
    }
}
