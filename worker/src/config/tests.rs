//! Settings, by example.

use super::*;

fn parse(args: &[&str]) -> Result<Config, Error> {
    Config::try_parse_from(["moorline-worker"].iter().chain(args).copied())
}

#[test]
fn without_settings_a_worker_serves_the_default_queue_of_a_local_server() {
    let config = parse(&[]).expect("defaults");
    assert_eq!(config.server, "http://127.0.0.1:7420");
    assert_eq!(config.queues, ["default"]);
    assert_eq!(config.shard_queue(), None);
    assert_eq!(
        (config.slots, config.job_memory_bytes, config.job_user.as_str()),
        (4, 4 << 30, "1000:1000")
    );
    assert_eq!(config.volume_root, config.work_root.join("volumes"));
    assert_eq!(config.engine, EngineChoice::Auto);
    assert_eq!(config.drain_grace, Duration::from_secs(600));
    assert_eq!(parse(&["--drain-seconds", "0"]).expect("none").drain_grace, Duration::ZERO);
}

#[test]
fn a_shard_worker_serves_its_queue_and_what_else_is_named() {
    let config = parse(&[
        "--codex-queue",
        "codex-12",
        "--queues",
        "default, codex-12",
        "--volume",
        "codex_auth_12",
    ])
    .expect("a shard");
    assert_eq!(config.queues, ["codex-12", "default"]);
    assert_eq!(config.shard_queue(), Some("codex-12"));
    let config = parse(&["--codex-config", "a=1\n\n b=\"x\" \n"]).expect("settings of Codex");
    assert_eq!(config.codex_config, ["a=1", "b=\"x\""]);
}

#[test]
fn blank_counts_as_not_given() {
    let config = parse(&["--slots", " ", "--volume", "", "--engine", "", "--server", ""]).expect("blanks");
    assert_eq!((config.slots, config.volume, config.engine), (4, None, EngineChoice::Auto));
}

#[test]
fn a_bad_value_is_refused_with_the_name_of_its_variable() {
    let cases = [
        ["--slots", "none"],
        ["--slots", "0"],
        ["--server", "localhost"],
        ["--codex-queue", "default"],
        ["--queues", "codex-0,codex-1"],
        ["--queues", "fast"],
        ["--engine", "podman"],
        ["--job-user", "0:0"],
        ["--codex-config", "model"],
        ["--git-author", "Moorline"],
        ["--require-login", "maybe"],
        ["--drain-seconds", "10m"],
        ["--leave-agents", "some"],
    ];
    let messages = cases.map(|args| parse(&args).expect_err("refused").to_string()).join("\n");
    insta::assert_snapshot!(messages, @r"
    MOORLINE_SLOTS is `none`: set a whole number from 1 to 1024, or leave it unset for 4
    MOORLINE_SLOTS is `0`: set a whole number from 1 to 1024, or leave it unset for 4
    MOORLINE_SERVER is `localhost`: set a URL such as http://127.0.0.1:7420
    CODEX_QUEUE is `default`: set the queue of a shard, such as codex-0
    MOORLINE_QUEUES names more than one shard: start one worker for each, since a worker holds one volume
    MOORLINE_QUEUES names the queue `fast`: use default, gemini or codex-<n>
    MOORLINE_ENGINE is `podman`: set auto, docker or process
    MOORLINE_JOB_USER is `0:0`: set two numbers such as 1000:1000; jobs never run as root
    MOORLINE_CODEX_CONFIG has the line `model`: write key=value on each
    MOORLINE_GIT_AUTHOR is `Moorline`: set a name and an address, such as Moorline <moorline@example.com>
    MOORLINE_REQUIRE_LOGIN is `maybe`: set 1 or 0
    MOORLINE_DRAIN_SECONDS is `10m`: set a whole number from 0 to 86400, or leave it unset for 600
    MOORLINE_LEAVE_AGENTS is `some`: set 1 or 0
    ");
}
