//! The end of a job that its worker had no time to hear acknowledged: the next process of the worker delivers it, once.

use std::path::Path;

use moorline_proto::v1::{self, JobStatus};
use moorline_tests::{
    proxy::{Cut, Flow, Way},
    repo::SampleRepository,
};
use moorline_worker::{config::Config, run};
use tokio::{sync::watch, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::support::{Fleet, Gate, eventually, fleet::repository, promise};

/// A worker that is welcome; aborting its task is its `kill -9`.
async fn start(config: Config) -> JoinHandle<Result<(), run::Error>> {
    let (welcome, mut welcomed) = watch::channel(false);
    let running = tokio::spawn(run::run_with(config, CancellationToken::new(), welcome));
    welcomed.wait_for(|welcomed| *welcomed).await.expect("a welcome");
    running
}

/// What is in the spool of the worker `w`.
fn spooled(root: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(root.join("spool/w")).expect("the spool");
    let names = entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("a name"));
    names.filter(|name| name != "lock").collect()
}

fn submits(view: &v1::GetRunResponse) -> Vec<(i32, JobStatus)> {
    let submits = view.jobs.iter().filter(|job| job.stage() == v1::Stage::Submit);
    submits.map(|job| (job.attempt, job.status())).collect()
}

/// Kills a worker whose stream loses all that goes one way from before its job ends.
async fn delivered_by_the_next_process(lost: Way) {
    let mut fleet = Fleet::new("work").await;
    let (gate, proxy) = (Gate::closed(), fleet.app.proxy().await);
    fleet.default_worker(|_| {}).await;
    fleet.log_in(0).await;
    let config = Config {
        server: proxy.url(),
        volume: Some(fleet.volume(0)),
        codex_program: gate.program(),
        ..fleet.config("w", "codex-0")
    };
    let worker = start(config.clone()).await;
    let origin = repository(SampleRepository::builder());
    let run = fleet.app.create_with(fleet.request(&origin)).await.expect("a run");
    gate.agent(1).await;

    // The stream alone: artifacts travel on another line.
    let stream = proxy.line(0).await;
    stream.change(|rules| match lost {
        Way::Up => rules.up.flow = Flow::Vanish,
        Way::Down => rules.down.flow = Flow::Vanish,
    });
    gate.open();
    let finished = |name: &String| name.ends_with(".finished");
    eventually("the end in the spool", async || {
        spooled(fleet.root.path()).iter().any(finished).then_some(())
    })
    .await;
    let attempts = async || submits(&fleet.app.get(&run.run_id).await);
    match lost {
        Way::Up => assert_eq!(attempts().await, [(1, JobStatus::Running)], "only the spool knows"),
        Way::Down => {
            eventually("the end in the database", async || {
                (attempts().await == [(1, JobStatus::Succeeded)]).then_some(())
            })
            .await;
        }
    }
    worker.abort();
    assert!(worker.await.expect_err("an abort").is_cancelled());
    proxy.cut(Cut::Reset);
    assert!(spooled(fleet.root.path()).iter().any(finished), "nothing was acknowledged");

    let worker = start(config).await;
    let view = fleet.app.finished(&run.run_id).await;
    assert_eq!(view.run.as_ref().expect("a run").status(), v1::RunStatus::Succeeded, "{view:?}");
    assert_eq!(submits(&view), [(1, JobStatus::Succeeded)]);
    assert_eq!(gate.agents().len(), 1, "the agent's work was not done twice");
    eventually("an empty spool", async || spooled(fleet.root.path()).is_empty().then_some(())).await;
    promise::kept(&fleet.app.database).await;
    worker.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_that_never_left_the_worker_is_delivered_by_its_next_process() {
    delivered_by_the_next_process(Way::Up).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_whose_acknowledgement_was_lost_is_accepted_once() {
    delivered_by_the_next_process(Way::Down).await;
}
