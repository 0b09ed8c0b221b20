//! Settings of the compose files alone: what they are made of, and no program reads.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    sync::LazyLock,
};

use regex::Regex;

use super::rows::{self, Row};
use crate::architecture::ROOT;

const FILES: [&str; 2] = ["docker-compose.yaml", "docker-compose.job.yaml"];

/// Read by compose itself.
const OWN: [&str; 1] = ["COMPOSE_PROFILES"];

/// Their variables with the default that the files have; what they are for is in the template's comments.
pub fn rows() -> Vec<Row> {
    static VARIABLE: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\$\{([A-Z0-9_]+)(?::-([^}]*))?").unwrap());
    let programs: BTreeSet<_> = rows::server().into_iter().chain(rows::worker()).map(|row| row.name).collect();
    let mut found: BTreeMap<String, String> = OWN.map(|name| (name.to_owned(), String::new())).into();
    for file in FILES.iter().map(|file| Path::new(ROOT).join(file)).filter(|file| file.exists()) {
        let text = fs::read_to_string(file).unwrap();
        for line in text.lines().filter(|line| !line.trim_start().starts_with('#')) {
            for variable in VARIABLE.captures_iter(line) {
                let default = variable.get(2).map_or("", |default| default.as_str());
                found.insert(variable[1].to_owned(), default.to_owned());
            }
        }
    }
    found.retain(|name, _| !programs.contains(name));
    let comments = comments();
    found
        .into_iter()
        .map(|(name, default)| Row {
            about: comments.get(&name).cloned().unwrap_or_default(),
            flag: None,
            secret: false,
            name,
            default,
        })
        .collect()
}

/// What the template says of each variable: the comment at the head of its block.
fn comments() -> BTreeMap<String, String> {
    let template = fs::read_to_string(Path::new(ROOT).join(".env-template")).unwrap();
    let mut comments = BTreeMap::new();
    for block in template.split("\n\n") {
        let said = block
            .lines()
            .filter_map(|line| line.strip_prefix("# "))
            .filter(|line| !line.starts_with("---"));
        let said = said.collect::<Vec<_>>().join(" ");
        for line in block.lines() {
            if let Some((name, _)) = line.trim_start_matches('#').split_once('=').filter(|(name, _)| !name.contains(' ')) {
                comments.insert(name.to_owned(), said.clone());
            }
        }
    }
    comments
}
