//! The compose files as data.

use std::{collections::BTreeSet, fs, path::Path, sync::LazyLock};

use regex::Regex;
use serde_json::Value;

use crate::architecture::ROOT;

pub const MAIN: &str = "docker-compose.yaml";
pub const JOB: &str = "docker-compose.job.yaml";
/// Over [`MAIN`].
pub const OVERLAY: &str = "docker-compose.test.yaml";

pub fn text(file: &str) -> String {
    fs::read_to_string(Path::new(ROOT).join(file)).unwrap()
}

/// A file with its anchors resolved and its variables as they are written.
pub fn parsed(file: &str) -> Value {
    serde_saphyr::from_str(&text(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// Names and definitions below a key.
pub fn entries<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = (&'a str, &'a Value)> {
    let entries = value[key].as_object().into_iter().flatten();
    entries.map(|(name, value)| (name.as_str(), value))
}

/// The keys below a key.
pub fn keys<'a>(value: &'a Value, key: &str) -> BTreeSet<&'a str> {
    entries(value, key).map(|(name, _)| name).collect()
}

/// Variables that a file's values are made of.
pub fn interpolated(file: &str) -> BTreeSet<String> {
    static VARIABLE: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\$\{([A-Z0-9_]+)").unwrap());
    let text = text(file);
    let values = text.lines().filter(|line| !line.trim_start().starts_with('#'));
    values
        .flat_map(|line| VARIABLE.captures_iter(line).map(|found| found[1].to_owned()).collect::<Vec<_>>())
        .collect()
}

/// A value with the defaults of its variables, as where nothing is set.
pub fn with_defaults(value: &str) -> String {
    static DEFAULT: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\$\{[A-Z0-9_]+(?::-([^}]*))?[^}]*\}").unwrap());
    DEFAULT.replace_all(value, "$1").into_owned()
}
