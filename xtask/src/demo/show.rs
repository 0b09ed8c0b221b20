//! What the demo ends with, for people.

use std::path::Path;

use anyhow::Result;
use serde_json::Value;

use super::{environment::clean, outcome::Outcome, sample::git, stack};
use crate::{command::Cmd, paths::Paths};

/// Shows shard, volume, login check, patch and commit.
pub fn result(paths: &Paths, endpoint: &str, origin: &Path, outcome: &Outcome) -> Result<()> {
    let moorline = |args: &[&str]| {
        clean(Cmd::new(stack::program(paths)))
            .args(args)
            .env("MOORLINE_SERVER", endpoint)
            .output()
    };
    let detail: Value = serde_json::from_str(&moorline(&["run", "get", &outcome.run_id, "--output", "json"])?)?;
    let text = |name: &str| detail[name].as_str().unwrap_or("-").to_owned();
    eprintln!();
    for (name, value) in [
        ("run", outcome.run_id.clone()),
        ("status", outcome.status.clone()),
        ("shard", text("codex_queue")),
        ("volume", text("codex_volume")),
        (
            "preflight",
            format!("{}: {}", text("codex_preflight_status"), text("codex_preflight_message")),
        ),
    ] {
        eprintln!("{name:10} {value}");
    }
    if let Some(failure) = detail["failure"]["message"].as_str() {
        eprintln!("{:10} {failure}\n\nlogs: {}", "failure", stack::logs(paths).display());
    }
    let artifacts = detail["artifacts"].as_array().into_iter().flatten();
    for artifact in artifacts.filter(|artifact| artifact["type"] == "codex_patch") {
        let id = artifact["artifact_id"].as_str().unwrap_or_default();
        eprintln!(
            "\nthe patch, as the artifact {id}:\n\n{}",
            moorline(&["run", "download", id, "--out", "-"])?
        );
    }
    if let (Some(branch), Some(commit)) = (&outcome.branch, &outcome.commit) {
        eprintln!("\n$ git -C {} log --oneline --graph main {branch}", origin.display());
        eprintln!("{}", git(origin, &["log", "--oneline", "--graph", "main", branch])?);
        eprintln!("\n$ git -C {} show --stat {commit}", origin.display());
        eprintln!("{}", git(origin, &["show", "--stat", commit])?);
    }
    Ok(())
}

/// Tells where a kept demo is, and how to stop it.
pub fn kept(endpoint: &str, outcome: &Outcome) {
    let address = endpoint.split_once("://").map_or(endpoint, |(_, address)| address);
    eprintln!("\nThe demo is still running: gRPC at {endpoint}. Try:\n");
    eprintln!("  grpcurl -plaintext {address} list");
    eprintln!("  grpcurl -plaintext {address} moorline.v1.ShardService/ListShards");
    eprintln!(
        "  grpcurl -plaintext -d '{{\"run_id\": \"{}\"}}' {address} moorline.v1.RunService/WatchRun",
        outcome.run_id
    );
    eprintln!("\nStop it with `cargo xtask demo --stop`.");
}
