//! Servers and workers are replaced, one after the other and then all at once, while an agent is at work and short runs come and go: every run comes to a good
//! end, and the agent is started once.
//!
//! Contract: 007/FR-049.

use std::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use futures::future::join_all;
use moorline_tests::repo::{FEATURE, SampleRepository};
use serde_json::Value;

use super::{
    node::{Node, called},
    stack::{PATIENCE, Stack},
};
use crate::support::{fleet::API_KEY, networks, within};

const REPLACED: [&str; 3] = ["server", "default", "codex-0"];
/// Flows of short runs at a time: more than one, so that each container has something in hand when it is told to go.
const FLOWS: usize = 4;
const DONE: &str = "# Tasks\n\n## Phase 1: Setup\n\n- [x] T001 Done\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_stack_on_a_swarm_replaces_servers_and_workers_and_loses_no_run() {
    // Dropped in the order of the lines from below.
    let _networks = networks().await;
    let mut node = Node::ensure();
    node.takes(&["postgres", "server", "default", "shard-0"]);
    let stack = Stack::prepare().await;
    stack.deploy().await;
    stack.connected("codex-0").await;
    let default = stack.connected("default-").await;
    println!("a default worker is {default}");
    let volume = format!("{}_codex_auth_0", stack.name);
    stack.ask(&["volume", "login", &volume, "--api-key-stdin"], API_KEY).await;
    // No node has their labels.
    for elsewhere in ["codex-1", "codex-2", "gemini"] {
        assert_eq!(stack.containers(elsewhere), [""; 0], "{elsewhere}");
    }

    stack.forge.add("octo/long", SampleRepository::builder()).unwrap();
    let long = create(&stack, "octo/long").await;
    within(PATIENCE, "the agent asks the model", async || (questions(&stack) > 0).then_some(())).await;
    let before = REPLACED.map(|service| stack.containers(service));
    let (stop, short) = (AtomicBool::new(false), AtomicUsize::new(0));
    let flows = join_all((0..FLOWS).map(|number| flow(&stack, number, &stop, &short)));
    let (slowest, ()) = tokio::join!(flows, async {
        for service in REPLACED {
            replace(&stack, service).await;
        }
        println!("all at once, as after a new deployment:");
        join_all(REPLACED.map(|service| replace(&stack, service))).await;
        stack.connected("codex-0").await;
        stop.store(true, Ordering::Relaxed);
    });
    for (service, before) in REPLACED.iter().zip(before) {
        let now = stack.containers(service);
        assert!(
            !now.is_empty() && now.iter().all(|id| !before.contains(id)),
            "{service}: {now:?} {before:?}"
        );
    }
    stack.model.go_on();
    assert_eq!(ended(&stack, &long).await["status"], "succeeded");
    let submits = stack.ask(&["run", "get", &long], "").await["jobs"].as_array().unwrap().clone();
    let submits: Vec<&Value> = submits.iter().filter(|job| job["stage"] == "submit").collect();
    assert_eq!(submits.len(), 1, "the agent was gone on with: {submits:?}");
    let runs = stack.ask(&["run", "list", "--limit", "1000"], "").await;
    let statuses: Vec<&str> = runs["runs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|run| run["status"].as_str().unwrap())
        .collect();
    assert!(statuses.iter().all(|status| ["succeeded", "no_work"].contains(status)), "{runs}");
    let short = short.load(Ordering::Relaxed);
    println!(
        "{short} short runs came to their ends meanwhile, the slowest within {:.1?}",
        slowest.iter().max().unwrap()
    );
    assert_eq!(statuses.len(), short + 1, "a run was made twice, or is not there: {runs}");
    assert!(short >= 5 * FLOWS, "too few runs to have met each restart: {short}");
}

/// Short runs, one after the other, until it is enough. Returns how long the slowest took.
async fn flow(stack: &Stack, number: usize, stop: &AtomicBool, ended_well: &AtomicUsize) -> Duration {
    let repository = format!("octo/short-{number}");
    stack.forge.add(&repository, SampleRepository::builder().tasks(DONE)).unwrap();
    let mut slowest = Duration::ZERO;
    while !stop.load(Ordering::Relaxed) {
        let began = Instant::now();
        let run = create(stack, &repository).await;
        assert_eq!(ended(stack, &run).await["status"], "no_work");
        ended_well.fetch_add(1, Ordering::Relaxed);
        slowest = slowest.max(began.elapsed());
    }
    slowest
}

async fn create(stack: &Stack, repository: &str) -> String {
    // The answer to a call may be lost with the server's container: asked again under the same key it is the same run.
    let key = uuid::Uuid::now_v7().to_string();
    let args = [
        "run",
        "create",
        "--repository",
        repository,
        "--feature",
        FEATURE,
        "--queue",
        "codex-0",
        "--idempotency-key",
        &key,
    ];
    let run = stack.ask(&args, "").await;
    run["run_id"].as_str().unwrap_or_else(|| panic!("no run id in {run}")).to_owned()
}

async fn ended(stack: &Stack, run: &str) -> Value {
    let began = Instant::now();
    loop {
        let view = stack.ask(&["run", "get", run], "").await;
        let status = view["status"].as_str().unwrap_or_else(|| panic!("no status in {view}"));
        if !["pending", "running", "retrying"].contains(&status) {
            return view;
        }
        assert!(began.elapsed() < PATIENCE, "never ended: {view}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// A rolling update of a service to what it is, waited for to its end.
async fn replace(stack: &Stack, service: &str) {
    let (name, began) = (format!("{}_{service}", stack.name), Instant::now());
    // Each new task is looked at for long in a stack that somebody uses; here the test looks.
    let args = [
        "service",
        "update",
        "--force",
        "--quiet",
        "--detach=false",
        "--update-monitor",
        "3s",
        &name,
    ];
    called(&args, "", PATIENCE).await.expect("an update");
    println!("{service} was replaced within {:.0?}", began.elapsed());
}

/// How often the model was asked to go on with a task.
fn questions(stack: &Stack) -> usize {
    stack.model.requests().iter().filter(|request| request.method == "POST").count()
}
