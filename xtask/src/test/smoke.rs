//! The demo as a test: its JSON must agree with what git says of the pushed branch.

use std::{path::Path, time::Duration};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::Session;
use crate::{command::Cmd, demo, interrupt};

const LIMIT: Duration = Duration::from_secs(600);

/// Runs the demo with an engine and checks what it says.
pub fn run(session: &mut Session, engine: &str) {
    let origin = demo::sample::origin(&session.paths);
    // By its name: cargo may have replaced the file that this process was started from.
    let xtask = session.paths.programs.join("xtask");
    session.steps.attempt(&format!("demo ({engine})"), || {
        // The integration tests have built its programs.
        let said = Cmd::new(xtask)
            .args(["demo", "--json", "--yes", "--prebuilt", "--engine", engine])
            .limit(LIMIT)
            .capture()?;
        interrupt::check()?;
        ensure!(said.status.success(), "the demo failed:\n{}", said.stderr);
        let lines: Vec<&str> = said.stdout.lines().collect();
        ensure!(
            lines.len() == 1,
            "standard output has {} lines instead of one:\n{}",
            lines.len(),
            said.stdout
        );
        eprintln!("{}", lines[0]);
        check(&serde_json::from_str(lines[0]).context("standard output is not JSON")?, &origin)
    });
}

fn check(report: &Value, origin: &Path) -> Result<()> {
    let text = |name: &str| report[name].as_str().with_context(|| format!("{name} is not a text in {report}"));
    ensure!(text("status")? == "succeeded", "the run ended as {}", text("status")?);
    ensure!(
        text("preflight_status")? == "passed",
        "the login check ended as {}",
        text("preflight_status")?
    );
    let shard = text("queue")?.strip_prefix("codex-").context("the queue is not a shard's")?;
    ensure!(
        text("volume")? == format!("{}{shard}", demo::VOLUME_PREFIX),
        "volume {} is not that of shard {shard}",
        text("volume")?
    );
    let stages: Vec<&str> = report["stages"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|stage| stage["stage"].as_str())
        .collect();
    ensure!(stages == ["discover", "submit", "publish"], "the stages were {stages:?}");
    let git = |args: &[&str]| Cmd::new("git").arg("-C").arg(origin).args(args).output();
    let (branch, commit) = (text("branch")?, text("commit")?);
    let pushed = git(&["rev-parse", "--verify", &format!("refs/heads/{branch}")])?;
    ensure!(pushed == commit, "the branch {branch} is at {pushed}, the report says {commit}");
    let parents = git(&["log", "--format=%P", "-1", commit])?;
    ensure!(
        parents == git(&["rev-parse", "main"])?,
        "the commit's parent is {parents}, not the tip of main"
    );
    ensure!(
        !git(&["diff", "--name-only", "main", commit])?.is_empty(),
        "the commit changes nothing"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{demo::sample::git, paths::Paths};

    #[test]
    fn a_report_must_agree_with_the_origin() {
        let folder = tempfile::tempdir().unwrap();
        let paths = Paths {
            root: "/".into(),
            programs: "/".into(),
            output: folder.path().into(),
            cache: "/".into(),
        };
        let origin = demo::sample::make(&paths).unwrap();
        // A tree without the README is a change.
        let tree = git(&origin, &["rev-parse", "main:specs"]).unwrap();
        let commit = git(&origin, &["commit-tree", "-p", "main", "-m", "work", &tree]).unwrap();
        git(&origin, &["update-ref", "refs/heads/moorline/001-greeting/0", &commit]).unwrap();
        let stages = ["discover", "submit", "publish"].map(|stage| json!({ "stage": stage }));
        let report = json!({
            "status": "succeeded", "preflight_status": "passed", "queue": "codex-1", "volume": "moorline_demo_auth_1",
            "branch": "moorline/001-greeting/0", "commit": commit, "stages": stages,
        });
        check(&report, &origin).unwrap();
        let main = git(&origin, &["rev-parse", "main"]).unwrap();
        for (name, wrong) in [
            ("status", "failed"),
            ("preflight_status", "skipped"),
            ("volume", "moorline_demo_auth_2"),
            ("branch", "main"),
            ("commit", main.as_str()),
        ] {
            let mut report = report.clone();
            report[name] = json!(wrong);
            check(&report, &origin).expect_err(name);
        }
        git(&origin, &["update-ref", "refs/heads/moorline/001-greeting/0", "main"]).unwrap();
        let mut report = report;
        report["commit"] = json!(main);
        check(&report, &origin).expect_err("a branch without a commit of its own");
    }
}
