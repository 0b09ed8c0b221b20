//! The program itself: its exit codes, and what it says.

use std::{
    io::{BufRead, BufReader},
    process::{Command, Output, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

fn worker(dir: &TempDir) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_moorline-worker"));
    command.env_clear().envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
    command.env("MOORLINE_WORK_ROOT", dir.path()).env("MOORLINE_ENGINE", "process");
    command
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn bad_settings_end_with_64_and_name_the_variable() {
    let dir = TempDir::new().expect("a folder");
    let output = worker(&dir).env("MOORLINE_SLOTS", "many").output().expect("the program");
    assert_eq!(output.status.code(), Some(64));
    assert!(text(&output).contains("MOORLINE_SLOTS is `many`"), "{}", text(&output));
    let output = worker(&dir).arg("--nonsense").output().expect("the program");
    assert_eq!(output.status.code(), Some(64));
    let output = worker(&dir).env("MOORLINE_LOG_FORMAT", "xml").output().expect("the program");
    assert_eq!(output.status.code(), Some(64));
}

#[test]
fn everything_that_is_missing_is_named_at_once_and_ends_with_78() {
    let dir = TempDir::new().expect("a folder");
    let shard = [
        ("CODEX_QUEUE", "codex-0"),
        ("CODEX_VOLUME_NAME", "codex_auth_0"),
        ("MOORLINE_CODEX_PROGRAM", "no-such-codex"),
    ];
    let output = worker(&dir).envs(shard).output().expect("the program");
    assert_eq!(output.status.code(), Some(78), "{}", text(&output));
    for said in [
        "codex_volume: the volume codex_auth_0 does not exist",
        "codex_cli: no-such-codex was not found",
    ] {
        assert!(text(&output).contains(said), "{}", text(&output));
    }
    assert!(
        !dir.path().join("volumes/codex_auth_0").exists(),
        "a volume is never made by looking for it"
    );
}

#[test]
fn a_work_root_that_can_not_be_used_is_named_with_all_else_whatever_the_name_of_the_worker() {
    let dir = TempDir::new().expect("a folder");
    std::fs::write(dir.path().join("file"), "").expect("a file");
    let git = dir.path().join("no-programs");
    for name in ["default-1", "default-*"] {
        let output = worker(&dir)
            .env("MOORLINE_WORK_ROOT", dir.path().join("file/work"))
            .env("MOORLINE_VOLUME_ROOT", dir.path().join("volumes"))
            .env("MOORLINE_WORKER_NAME", name)
            .env("PATH", &git)
            .output()
            .expect("the program");
        assert_eq!(output.status.code(), Some(78), "{name}: {}", text(&output));
        for said in ["- work_root: ", "- git: "] {
            assert!(text(&output).contains(said), "{name}: {}", text(&output));
        }
    }
}

#[test]
fn an_engine_that_is_not_there_ends_the_start_with_78_and_says_what_to_do() {
    let dir = TempDir::new().expect("a folder");
    let nowhere = format!("unix://{}", dir.path().join("no-engine.sock").display());
    let output = worker(&dir)
        .env("MOORLINE_ENGINE", "docker")
        .env("DOCKER_HOST", &nowhere)
        .output()
        .expect("the program");
    assert_eq!(output.status.code(), Some(78), "{}", text(&output));
    for said in [nowhere.as_str(), "MOORLINE_ENGINE=process"] {
        assert!(text(&output).contains(said), "{}", text(&output));
    }
}

#[test]
fn check_lists_what_was_found() {
    let dir = TempDir::new().expect("a folder");
    let output = worker(&dir).arg("check").output().expect("the program");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    assert!(String::from_utf8_lossy(&output.stdout).contains("ok      git  git version"));
}

#[test]
fn a_signal_ends_an_idle_worker_with_0() {
    let dir = TempDir::new().expect("a folder");
    let nowhere = [("MOORLINE_SERVER", "http://127.0.0.1:1"), ("MOORLINE_LOG_FORMAT", "json")];
    let mut child = worker(&dir).envs(nowhere).stderr(Stdio::piped()).spawn().expect("the program");
    let mut lines = BufReader::new(child.stderr.take().expect("its log")).lines().map_while(Result::ok);
    assert!(lines.any(|line| line.starts_with('{') && line.contains("no line to the server")));
    kill_process(Pid::from_child(&child), Signal::TERM).expect("a signal");
    lines.by_ref().for_each(drop);
    assert_eq!(child.wait().expect("its end").code(), Some(0));
}

#[test]
fn health_asks_the_worker_and_says_no_without_a_live_stream() {
    let dir = TempDir::new().expect("a folder");
    let output = worker(&dir).arg("health").output().expect("the program");
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output).contains("MOORLINE_HEALTH_LISTEN is not set"), "{}", text(&output));

    let serving = [
        ("MOORLINE_SERVER", "http://127.0.0.1:1"),
        ("MOORLINE_LOG_FORMAT", "json"),
        ("MOORLINE_HEALTH_LISTEN", "127.0.0.1:0"),
    ];
    let mut child = worker(&dir).envs(serving).stderr(Stdio::piped()).spawn().expect("the program");
    let mut lines = BufReader::new(child.stderr.take().expect("its log")).lines().map_while(Result::ok);
    let listens = lines
        .find(|line| line.contains("the health endpoint listens"))
        .expect("an endpoint");
    let listens: serde_json::Value = serde_json::from_str(&listens).expect("JSON");
    assert!(lines.any(|line| line.contains("no line to the server")));
    let address = listens["address"].as_str().expect("an address");
    let output = worker(&dir)
        .env("MOORLINE_HEALTH_LISTEN", address)
        .arg("health")
        .output()
        .expect("the program");
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((&report["live"], &report["stream"]), (&false.into(), &"down".into()), "{report}");
    assert!(report["why"].is_string() && report["instance"].is_string(), "{report}");
    kill_process(Pid::from_child(&child), Signal::TERM).expect("a signal");
    lines.by_ref().for_each(drop);
    assert_eq!(child.wait().expect("its end").code(), Some(0));
}
