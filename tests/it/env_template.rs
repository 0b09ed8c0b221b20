//! `.env-template` lists every variable that server and worker read, and none that they don't.

use std::{collections::BTreeSet, fs, path::Path};

use clap::{Args as _, CommandFactory as _};

use super::architecture::ROOT;

/// Read outside of clap: the token and the agent's environment, which have no flag since argv is no place for them, the logs' settings, the traces', and the
/// embedded Postgres'.
const OTHERS: [&str; 8] = [
    "CODEX_ENV",
    "GITHUB_TOKEN",
    "MOORLINE_LOG",
    "MOORLINE_LOG_FORMAT",
    "MOORLINE_POSTGRES_BIN",
    "MOORLINE_POSTGRES_USER",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_SERVICE_NAME",
];

#[test]
fn the_template_lists_what_the_programs_read() {
    let server = moorline_server::config::Args::command();
    let worker = moorline_worker::config::Args::augment_args(clap::Command::new("worker"));
    let mut read: BTreeSet<String> = OTHERS.map(str::to_owned).into();
    for argument in server.get_arguments().chain(worker.get_arguments()) {
        read.extend(argument.get_env().map(|name| name.to_string_lossy().into_owned()));
    }
    let template = fs::read_to_string(Path::new(ROOT).join(".env-template")).unwrap();
    let lines = template.lines().filter_map(|line| line.trim_start_matches('#').split_once('='));
    let is_name = |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_');
    let listed: BTreeSet<String> = lines.map(|(name, _)| name.to_owned()).filter(|name| is_name(name)).collect();
    assert_eq!(listed, read);
}
