//! A job that needs a skill is offered to workers that have it ready for its stage, and to nobody else.
//!
//! Contract: 007/FR-036.

use std::collections::BTreeMap;

use moorline_proto::v1::{self, Stage};

use super::setup::need;
use crate::support::{
    ScriptedWorker, TestApp,
    scripted_worker::{hello, no_work, with_skills},
};

/// A worker of the default queue that has these skills for discover.
async fn worker(app: &TestApp, name: &str, skills: &[&str]) -> ScriptedWorker {
    let skills: Vec<(&str, &[Stage])> = skills.iter().map(|skill| (*skill, &[Stage::Discover][..])).collect();
    let hello = with_skills(hello(name, "default"), &skills);
    ScriptedWorker::connect(app, hello).await.unwrap()
}

/// A run whose discover job needs a skill.
async fn run_with(app: &TestApp, feature: &str, skill: Option<&str>) -> String {
    let run = app.create(feature).await;
    need(app, &run.run_id, skill).await;
    run.run_id
}

/// That the worker can't take what waits: it is offered what comes after it and needs nothing.
async fn passes_over_what_waits(app: &TestApp, worker: &mut ScriptedWorker, feature: &str) {
    let after = app.create(feature).await;
    assert_eq!(worker.work("default", no_work()).await.run_id, after.run_id);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_needs_a_skill_goes_only_to_who_has_it_on_whatever_server() {
    let here = TestApp::start().await;
    let there = here.peer().await;
    let needs_review = run_with(&here, "001-a", Some("review")).await;
    let mut without = worker(&here, "without", &["speckit"]).await;
    passes_over_what_waits(&here, &mut without, "002-b").await;
    let mut with = worker(&there, "with", &["speckit", "review"]).await;
    with.credit("default", 1).await;
    assert_eq!(with.offer().await.run_id, needs_review);
    passes_over_what_waits(&there, &mut without, "003-c").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_skill_counts_for_the_stages_that_it_is_ready_for() {
    let app = TestApp::start().await;
    let run = run_with(&app, "001-a", Some("review")).await;
    let publishes = with_skills(hello("publishes", "default"), &[("review", &[Stage::Publish])]);
    let mut broken = with_skills(hello("broken", "default"), &[("review", &[Stage::Discover])]);
    let skill = &mut broken.profile.as_mut().unwrap().skills[0];
    (skill.ready, skill.detail) = (false, "its mirror lacks it".to_owned());
    let old = v1::Hello {
        profile: None,
        ..hello("old", "default")
    };
    for (number, hello) in [publishes, broken, old].into_iter().enumerate() {
        let mut worker = ScriptedWorker::connect(&app, hello).await.unwrap();
        passes_over_what_waits(&app, &mut worker, &format!("01{number}-b")).await;
    }
    let mut able = worker(&app, "able", &["review"]).await;
    able.credit("default", 1).await;
    assert_eq!(able.offer().await.run_id, run);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_groups_of_workers_none_starves() {
    let app = TestApp::start().await;
    let mut skilled = worker(&app, "skilled", &["review"]).await;
    let mut plain = worker(&app, "plain", &[]).await;
    let mut needs = BTreeMap::new();
    for feature in 0..4 {
        let skill = (feature % 2 == 0).then_some("review");
        needs.insert(run_with(&app, &format!("00{feature}-a"), skill).await, skill);
    }
    for _ in 0..2 {
        let taken = plain.work("default", no_work()).await.run_id;
        assert_eq!(needs.remove(&taken), Some(None));
        let taken = skilled.work("default", no_work()).await.run_id;
        assert_eq!(needs.remove(&taken), Some(Some("review")));
    }

    // Work that needs nothing goes to both, whatever else they could do.
    for feature in 4..8 {
        run_with(&app, &format!("00{feature}-a"), None).await;
    }
    for worker in [&mut skilled, &mut plain] {
        worker.credit("default", 2).await;
        worker.offer().await;
        worker.offer().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_knows_no_skills_claims_what_needs_none() {
    let app = TestApp::start().await;
    let needs = run_with(&app, "001-a", Some("review")).await;
    let plain = run_with(&app, "002-b", None).await;
    let worker = ScriptedWorker::default_worker(&app, "w").await;
    let database = app.database.connect().await.unwrap();
    let old_claim =
        "select run_id::text from claim_jobs('default', array_fill($1::text::uuid, array[9]), array_fill('w'::text, array[9]), 5)";
    let claimed = database.query(old_claim, &[&worker.hello.instance_id]).await.unwrap();
    let claimed: Vec<String> = claimed.iter().map(|row| row.get(0)).collect();
    assert_eq!(claimed, [plain]);
    assert_eq!(app.get(&needs).await.jobs[0].status(), v1::JobStatus::Queued);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_full_of_what_nobody_can_take_makes_a_claim_no_dearer() {
    let app = TestApp::start().await;
    run_with(&app, "001-a", Some("review")).await;
    let database = app.database.connect().await.unwrap();
    let many = "insert into jobs (id, run_id, stage, attempt, queue, fair_rank, skill)
        select gen_random_uuid(), run_id, stage, n, queue, -1, skill from jobs, generate_series(2, 5001) as n";
    assert_eq!(database.execute(many, &[]).await.unwrap(), 5000);
    let behind = run_with(&app, "002-b", None).await;

    database.batch_execute("begin").await.unwrap();
    let claim = "select run_id::text from claim_jobs('default', array_fill(gen_random_uuid(), array[8]), array_fill('w'::text, array[8]),
        array['speckit:discover'], 5)";
    let claimed: Vec<String> = database.query(claim, &[]).await.unwrap().iter().map(|row| row.get(0)).collect();
    assert_eq!(claimed, [behind]);
    let read = "select (seq_tup_read + idx_tup_fetch)::bigint from pg_stat_xact_user_tables where relname = 'jobs'";
    let read: i64 = database.query_one(read, &[]).await.unwrap().get(0);
    assert!(read < 100, "it has read {read} rows");
    database.batch_execute("rollback").await.unwrap();
}
