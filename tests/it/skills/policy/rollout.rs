//! The canary goes from 0 to 100 by RPC while runs flow through two servers.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use moorline_proto::v1::{self, ExecutionPath, Stage};
use moorline_server::domain::skill;
use sha2::{Digest as _, Sha256};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{canary, policy};
use crate::support::{
    ScriptedWorker, TestApp,
    app::request,
    scripted_worker::{finished, hello, no_work, with_skills},
};

/// Where a run stands, worked out from the contract's words and not by the code under test.
fn bucket(run_id: &str, stage: &str) -> i64 {
    let digits = hex::encode(Sha256::digest(format!("{run_id}:{stage}")));
    i64::from_str_radix(&digits[..8], 16).unwrap() % 100
}

/// Creates runs one after the other until it is told to stop, and returns them with the number of versions that were known to count before
/// each.
async fn create(app: Arc<TestApp>, name: usize, known: tokio::sync::watch::Receiver<i64>, stop: CancellationToken) -> Vec<(i64, v1::Run)> {
    let mut runs = Vec::new();
    while !stop.is_cancelled() {
        let before = *known.borrow();
        let run = app.create_with(request(&format!("{name}-{}", runs.len()))).await.unwrap();
        runs.push((before, run));
    }
    runs
}

/// Ends every job that it is offered, until the stream is cut.
async fn work(app: Arc<TestApp>, name: usize, stop: CancellationToken) {
    let has = with_skills(hello(&format!("w{name}"), "default"), &[("speckit", &[Stage::Discover])]);
    let mut worker = ScriptedWorker::connect(&app, has).await.unwrap();
    while !stop.is_cancelled() {
        worker.credit("default", 1).await;
        let Some(offer) = stop.run_until_cancelled(worker.offer()).await else {
            break;
        };
        worker.accept(&offer).await;
        worker.report(&offer, 1, finished(no_work())).await;
        assert_eq!(worker.acknowledged().await, Some(1));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_canary_goes_up_while_runs_flow_and_each_run_says_which_version_decided_it() {
    let seeded = skill::Policy {
        canary_percent: 0,
        ..policy()
    };
    let here = Arc::new(TestApp::with_skills(seeded).await);
    let there = Arc::new(here.peer().await);
    let (tell, known) = tokio::sync::watch::channel(1);
    let (stop, stop_work) = (CancellationToken::new(), CancellationToken::new());
    let (mut clients, mut workers) = (JoinSet::new(), JoinSet::new());
    for name in 0..4 {
        let app = if name % 2 == 0 { &here } else { &there };
        clients.spawn(create(Arc::clone(app), name, known.clone(), stop.clone()));
        workers.spawn(work(Arc::clone(app), name, stop_work.clone()));
    }
    let mut percent_of = BTreeMap::from([(1, 0)]);
    for (step, percent) in [5, 25, 50, 75, 100].into_iter().enumerate() {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let version = canary(if step % 2 == 0 { &here } else { &there }, percent).await;
        tell.send(version).unwrap();
        percent_of.insert(version, i64::from(percent));
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    stop.cancel();
    let runs: Vec<_> = clients.join_all().await.into_iter().flatten().collect();
    stop_work.cancel();
    workers.join_all().await;

    let mut decided: BTreeMap<i64, usize> = BTreeMap::new();
    for (known, created) in &runs {
        let shown = here.get(&created.run_id).await;
        let run = shown.run.unwrap();
        assert_eq!(run.stage_decisions, created.stage_decisions, "nothing has changed it");
        let version = run.skill_policy_version;
        assert!(
            version >= *known,
            "a run that was created after version {known} was known follows {version}"
        );
        *decided.entry(version).or_default() += 1;
        let percent = percent_of[&version];
        for (decision, stage) in run.stage_decisions.iter().zip(["discover", "submit", "publish"]) {
            assert_eq!(decision.policy_version, version, "no run is decided by two versions");
            assert_eq!(i64::from(decision.canary_percent), percent);
            let stands = bucket(&run.run_id, stage);
            assert_eq!(i64::from(decision.canary_bucket), stands);
            let path = if stands < percent {
                ExecutionPath::Skill
            } else {
                ExecutionPath::DirectOnly
            };
            assert_eq!(decision.execution_path(), path);
        }
        assert_eq!(shown.jobs[0].decision.as_ref(), run.stage_decisions.first());
    }
    assert_eq!(decided.len(), 6, "runs were decided by every version: {decided:?}");
}
