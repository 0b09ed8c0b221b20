//! A host is cut off while its worker has a stage that is cheap to repeat: the stage moves at once, what the host makes of it counts for nothing, and the
//! host takes work again once it is back.

use std::time::{Duration, Instant};

use moorline_proto::v1::{self, JobStatus, RunStatus, Stage};
use moorline_tests::repo::{FEATURE, SampleRepository};
use rustix::process::Signal;

use super::{
    git_gate::GitGate,
    network::Cut,
    site::{Site, attempts},
};
use crate::support::{app::request, fleet::repository, promise};

/// As nothing here waits for a lease, it is long.
const LEASE: Duration = Duration::from_secs(120);
const DONE: &str = "# Tasks\n\n## Phase 1: Setup\n\n- [x] T001 Done\n";

async fn moves_and_is_fenced(cut: Cut) {
    let Some(site) = Site::new(LEASE).await else { return };
    let app = &site.fleet.app;
    let origin = repository(SampleRepository::builder().tasks(DONE));
    let asked = || v1::CreateRunRequest {
        repository: format!("file://{}", origin.origin().display()),
        ..request(FEATURE)
    };
    let gate = GitGate::closed();
    let config = |host, name| site.on(host, site.fleet.config(name, "default"));
    let first = site.worker("east", &config("east", "first"), &[gate.variable()]).await;
    let run = app.create_with(asked()).await.unwrap();
    gate.somebody_waits().await;
    let second = site.worker("west", &config("west", "second"), &[]).await;

    let began = Instant::now();
    site.network.cut("east", cut);
    let view = app.finished(&run.run_id).await;
    let moved = began.elapsed();
    let (failed, succeeded) = (JobStatus::Failed, JobStatus::Succeeded);
    let expected = [
        (1, failed, "WORKER_LOST".to_owned(), "first".to_owned()),
        (2, succeeded, String::new(), "second".to_owned()),
    ];
    assert_eq!(attempts(&view, Stage::Discover), expected, "{cut:?}");
    assert_eq!(view.run.as_ref().unwrap().status(), RunStatus::NoWork, "{view:?}");
    assert!(
        moved < LEASE / 2,
        "it moved only after {moved:?}, as if it had waited for the lease"
    );
    println!("{cut:?}: the run had ended elsewhere {} ms after the cut", moved.as_millis());

    // It ends its job where nobody hears of it, and is told so when it is back.
    gate.open();
    first.says("job succeeded").await;
    site.network.heal("east", cut);
    let fenced = first.says("a job's lease has passed on").await;
    let job = view.jobs.iter().find(|job| job.attempt == 1).unwrap();
    assert!(fenced.contains(&job.job_id), "{fenced} is not about {}", job.job_id);
    assert_eq!(app.get(&run.run_id).await, view, "what it reports changes nothing");

    // It is the only one left, and takes what comes.
    second.signal(Signal::TERM);
    second.says("the worker has stopped").await;
    let run = app.create_with(asked()).await.unwrap();
    let view = app.finished(&run.run_id).await;
    assert_eq!(
        attempts(&view, Stage::Discover),
        [(1, succeeded, String::new(), "first".to_owned())]
    );
    promise::kept(&app.database).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cheap_stage_of_a_host_whose_cable_is_pulled_moves_at_once_and_the_host_is_fenced_and_rejoins() {
    moves_and_is_fenced(Cut::Unplugged).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cheap_stage_of_a_host_that_is_not_heard_moves_at_once_and_the_host_is_fenced_and_rejoins() {
    moves_and_is_fenced(Cut::Unheard).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cheap_stage_of_a_host_that_hears_nothing_moves_at_once_and_the_host_is_fenced_and_rejoins() {
    moves_and_is_fenced(Cut::Deaf).await;
}
