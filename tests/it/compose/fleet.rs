//! A fleet's life as an operator leads it, on docker-compose 1.29 and a real engine.
//!
//! Contract: 007/FR-019, 007/FR-048.

use std::{panic::AssertUnwindSafe, time::Duration};

use futures::{FutureExt as _, future::join_all};
use moorline_tests::repo::{FEATURE, SampleRepository};
use serde_json::Value;

use super::stack::{Stack, said};
use crate::support::{fleet::API_KEY, networks, within};

/// Longest time until all runs have come to something.
const PATIENCE: Duration = Duration::from_secs(120);

/// The model takes it for a good one.
const GEMINI_KEY: &str = "AIza-test-moorline-compose-0123456789";

const SHARDS: [&str; 3] = ["codex-0", "codex-1", "codex-2"];

#[tokio::test(flavor = "multi_thread")]
async fn a_fleet_of_compose_keeps_runs_and_logins_whatever_is_restarted() {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: owners of volumes are looked at in the engine's folder, which only root can enter");
        return;
    }
    let _networks = networks().await;
    let stack = Stack::prepare().await;
    let life = AssertUnwindSafe(live(&stack)).catch_unwind().await;
    if life.is_err() {
        eprintln!("{}", stack.logs().await);
    }
    stack.remove().await;
    if let Err(panic) = life {
        std::panic::resume_unwind(panic);
    }
}

async fn live(stack: &Stack) {
    stack.compose(&["up", "--detach", "--no-build"]).await;
    all_healthy(stack).await;
    new_volumes_belong_to_jobs(stack).await;
    join_all(SHARDS.map(|shard| log_in(stack, shard))).await;

    // The model answers nobody yet, so that every shard has an agent at work when everything is restarted.
    let in_flight = join_all(SHARDS.map(|shard| start_run(stack, shard, "before"))).await;
    let asked = async || (stack.model.requests().iter().filter(|request| request.method == "POST").count() >= SHARDS.len()).then_some(());
    within(PATIENCE, "every shard's agent asks the model", asked).await;
    stack.compose(&["restart"]).await;
    all_healthy(stack).await;
    stack.model.go_on();
    join_all(in_flight.iter().map(|run| succeeded(stack, run))).await;

    // Nobody has logged in again.
    stack.compose(&["up", "--detach", "--no-build", "--scale", "default=2"]).await;
    stack.healthy("default", 2).await;
    assert_eq!(workers(stack).await, ["codex-0", "codex-1", "codex-2", "default-0", "default-1"]);
    let after = join_all(SHARDS.map(|shard| start_run(stack, shard, "after"))).await;
    join_all(after.iter().map(|run| succeeded(stack, run))).await;

    gemini_joins(stack).await;
    a_second_worker_of_a_shard_says_why_it_waits(stack).await;

    stack.compose(&["--profile", "everything", "down"]).await;
    assert_eq!(stack.containers.left().await, []);
    for volume in stack.volumes() {
        assert!(stack.containers.volume(&volume).await.is_some(), "{volume} is gone");
    }
}

async fn all_healthy(stack: &Stack) {
    for service in ["postgres", "server", "default"].iter().chain(&SHARDS) {
        stack.healthy(service, 1).await;
    }
}

async fn new_volumes_belong_to_jobs(stack: &Stack) {
    for number in 0..SHARDS.len() {
        let volume = format!("{}{number}", stack.volume_prefix());
        assert_eq!(stack.containers.volume(&volume).await.as_deref(), Some("1000:1000 700"), "{volume}");
    }
}

async fn log_in(stack: &Stack, shard: &str) {
    let volume = shard.replace("codex-", &stack.volume_prefix());
    // Each shard has a login of its own: the same one in two volumes is refused.
    log_in_volume(stack, &volume, &format!("{API_KEY}{shard}")).await;
}

async fn log_in_volume(stack: &Stack, volume: &str, key: &str) {
    let done = stack.moorline(&["volume", "login", volume, "--api-key-stdin"], Some(key)).await;
    assert!(done.status.success(), "{volume}: {}", said(&done));
}

/// Starts a run on a shard, in a repository of its own.
async fn start_run(stack: &Stack, shard: &str, when: &str) -> String {
    start(stack, &format!("octo/{shard}-{when}"), &["--queue", shard]).await
}

async fn start(stack: &Stack, repository: &str, further: &[&str]) -> String {
    stack.forge.add(repository, SampleRepository::builder()).expect("a repository");
    let asked = ["run", "create", "--repository", repository, "--feature", FEATURE];
    let run = stack.ask(&[&asked, further].concat()).await;
    run["run_id"].as_str().unwrap_or_else(|| panic!("no run id in {run}")).to_owned()
}

/// Watches a run to its end, which has to be a good one, with a pull request.
async fn succeeded(stack: &Stack, run: &str) {
    let watched = stack.moorline(&["run", "watch", run], None).await;
    assert!(watched.status.success(), "{run}: {}", said(&watched));
    let run = stack.ask(&["run", "get", run]).await;
    assert_eq!(
        (&run["status"], &run["codex_preflight_status"]),
        (&Value::from("succeeded"), &Value::from("passed")),
        "{run}"
    );
    assert!(run["pr_url"].as_str().is_some_and(|url| url.contains("/pull/")), "{run}");
}

/// Gemini is started beside the others by another profile, and has a login of its own.
async fn gemini_joins(stack: &Stack) {
    stack
        .compose(&["--profile", "everything", "up", "--detach", "--no-build", "--scale", "default=2"])
        .await;
    stack.healthy("gemini", 1).await;
    let volume = stack.gemini_volume();
    assert_eq!(stack.containers.volume(&volume).await.as_deref(), Some("1000:1000 700"), "{volume}");
    log_in_volume(stack, &volume, GEMINI_KEY).await;
    let run = start(stack, "octo/gemini", &["--agent", "gemini"]).await;
    succeeded(stack, &run).await;
}

async fn workers(stack: &Stack) -> Vec<String> {
    let workers = stack.ask(&["worker", "list"]).await;
    let mut names: Vec<String> = workers["workers"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|worker| Some(worker["name"].as_str()?.to_owned()))
        .collect();
    names.sort();
    names
}

async fn a_second_worker_of_a_shard_says_why_it_waits(stack: &Stack) {
    stack
        .compose(&[
            "up",
            "--detach",
            "--no-build",
            "--scale",
            "default=2",
            "--scale",
            "codex-0=2",
            "codex-0",
            "default",
        ])
        .await;
    let why = async || {
        for container in stack.containers.of_service("codex-0").await {
            let log = stack.containers.log(&container.id).await;
            if let Some(line) = log.lines().find(|line| line.contains("one volume means one worker")) {
                return Some(line.to_owned());
            }
        }
        None
    };
    let line = within(PATIENCE, "the second worker says why it waits", why).await;
    for remedy in ["`moorline shard resize N`", "a service codex-<N-1> in docker-compose.yaml"] {
        assert!(line.contains(remedy), "{line}");
    }
}
