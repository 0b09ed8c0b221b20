//! Documents that are made from the code: a test compares them, and `MOORLINE_BLESS=1` writes them anew.

use std::{fs, path::Path};

use super::architecture::ROOT;

/// Compares a whole file with what it should hold, or writes it where that was asked for.
pub fn is_current(path: &str, expected: &str) {
    let file = Path::new(ROOT).join(path);
    if std::env::var_os("MOORLINE_BLESS").is_some_and(|value| value == "1") {
        fs::write(&file, expected).unwrap_or_else(|error| panic!("{path}: {error}"));
    }
    let written = fs::read_to_string(&file).unwrap_or_default();
    let differs = written
        .lines()
        .zip(expected.lines())
        .find(|(written, expected)| written != expected);
    assert!(
        written == expected,
        "{path} is not what the code says; it begins to differ at {differs:?}. Write it anew: \
         MOORLINE_BLESS=1 cargo test -p moorline-tests --test it configuration"
    );
}
