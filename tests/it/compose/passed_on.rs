//! What is set in `.env` reaches the program that reads it: no setting is silently without effect.

use std::collections::BTreeSet;

use super::files::{MAIN, keys, parsed};
use crate::configuration::rows::{self, Row};

/// Of the server, not passed on: the embedded Postgres and its folder, which a container doesn't have, and where artifacts are in the container.
const SERVERS_OWN: [&str; 4] = [
    "MOORLINE_DATA_DIR",
    "MOORLINE_POSTGRES_BIN",
    "MOORLINE_POSTGRES_USER",
    "SPEC_WORKFLOW_ARTIFACT_ROOT",
];

/// Of a worker, not passed on: a folder that the process engine alone has, and the engine's address, which is the socket that is mounted.
const WORKERS_OWN: [&str; 2] = ["DOCKER_HOST", "MOORLINE_VOLUME_ROOT"];

const WORKERS: [&str; 5] = ["default", "codex-0", "codex-1", "codex-2", "gemini"];

/// What a variable sets: the one that names a file stands for the other.
fn setting(variable: &str) -> String {
    variable.strip_suffix("_FILE").unwrap_or(variable).to_owned()
}

fn names(rows: Vec<Row>) -> BTreeSet<String> {
    rows.into_iter().map(|row| setting(&row.name)).collect()
}

/// Settings that a service gets.
fn gets(service: &str) -> BTreeSet<String> {
    let compose = parsed(MAIN);
    let named = keys(&compose["services"][service], "environment");
    named
        .iter()
        .map(|name| name.strip_suffix("_FILE").unwrap_or(name).to_owned())
        .collect()
}

fn missing(read: &BTreeSet<String>, gets: &BTreeSet<String>, own: &[&str]) -> Vec<String> {
    let reaches_it = |name: &&String| gets.contains(*name) || own.contains(&name.as_str());
    read.iter().filter(|name| !reaches_it(name)).cloned().collect()
}

#[test]
fn every_setting_of_the_server_reaches_it_and_it_gets_no_other() {
    let (read, gets) = (names(rows::server()), gets("server"));
    assert_eq!(missing(&read, &gets, &SERVERS_OWN), [""; 0]);
    assert_eq!(missing(&gets, &read, &[]), [""; 0], "nobody reads these");
}

#[test]
fn every_setting_of_a_worker_reaches_those_that_it_is_for_and_they_get_no_other() {
    let read = names(rows::worker());
    let all = WORKERS.iter().flat_map(|service| gets(service)).collect();
    assert_eq!(missing(&read, &all, &WORKERS_OWN), [""; 0]);
    for service in WORKERS {
        assert_eq!(missing(&gets(service), &read, &[]), [""; 0], "nobody reads these of {service}");
    }
    // What one shard's worker gets, each gets.
    assert!(gets("codex-0") == gets("codex-1") && gets("codex-1") == gets("codex-2"));
}
