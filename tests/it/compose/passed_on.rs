//! What is set in `.env` reaches the program that reads it: no setting is silently without effect.

use std::collections::BTreeSet;

use clap::{Args as _, CommandFactory as _};

use super::files::{MAIN, keys, parsed};

/// Of the server, not passed on: the embedded Postgres and its folder, which a container doesn't have, and where artifacts are in the container.
const SERVERS_OWN: [&str; 2] = ["MOORLINE_DATA_DIR", "SPEC_WORKFLOW_ARTIFACT_ROOT"];

/// Of a worker, not passed on: a folder that the process engine alone has.
const WORKERS_OWN: [&str; 1] = ["MOORLINE_VOLUME_ROOT"];

fn variables(command: &clap::Command) -> BTreeSet<String> {
    let named = command.get_arguments().filter_map(|argument| argument.get_env());
    named.map(|name| name.to_string_lossy().into_owned()).collect()
}

/// Settings that a service gets, those by file under the name that they stand for.
fn gets(service: &str) -> BTreeSet<String> {
    let compose = parsed(MAIN);
    let named = keys(&compose["services"][service], "environment");
    named.iter().map(|name| name.strip_suffix("_FILE").unwrap_or(name).to_owned()).collect()
}

fn missing(read: &BTreeSet<String>, gets: &BTreeSet<String>, own: &[&str]) -> Vec<String> {
    read.iter().filter(|name| !gets.contains(*name) && !own.contains(&name.as_str())).cloned().collect()
}

#[test]
fn every_setting_of_the_server_reaches_it() {
    let read = variables(&moorline_server::config::Args::command());
    assert_eq!(missing(&read, &gets("server"), &SERVERS_OWN), [""; 0]);
}

#[test]
fn every_setting_of_a_worker_reaches_one_that_reads_it() {
    let read = variables(&moorline_worker::config::Args::augment_args(clap::Command::new("worker")));
    let mut gets_any = gets("codex-0");
    gets_any.extend(gets("default"));
    gets_any.extend(gets("gemini"));
    assert_eq!(missing(&read, &gets_any, &WORKERS_OWN), [""; 0]);
}

#[test]
fn the_services_get_only_settings_that_are_read() {
    let mut server = variables(&moorline_server::config::Args::command());
    server.extend(crate::env_template::OTHERS.map(str::to_owned));
    let unread = |gets: BTreeSet<String>, read: &BTreeSet<String>| gets.into_iter().filter(|name| !read.contains(name)).collect::<Vec<_>>();
    assert_eq!(unread(gets("server"), &server), [""; 0]);
    let mut worker = variables(&moorline_worker::config::Args::augment_args(clap::Command::new("worker")));
    worker.extend(crate::env_template::OTHERS.map(str::to_owned));
    for service in ["default", "codex-0", "codex-1", "codex-2", "gemini"] {
        assert_eq!(unread(gets(service), &worker), [""; 0], "{service}");
    }
}
