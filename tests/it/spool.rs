//! The end of a job that its worker had no time to hear acknowledged: the next process of the worker delivers it, once.

use std::{net::TcpListener, path::Path};

use moorline_proto::v1::{self, JobStatus};
use moorline_tests::proxy::{Cut, Flow, Rules, Way};
use moorline_worker::{config::Config, run};
use tokio::{sync::watch, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::support::{Fleet, app::request, eventually, promise};

/// A worker that is welcome; aborting its task is its `kill -9`.
async fn start(config: Config) -> JoinHandle<Result<(), run::Error>> {
    let (welcome, mut welcomed) = watch::channel(false);
    let running = tokio::spawn(run::run_with(config, CancellationToken::new(), welcome));
    welcomed.wait_for(|welcomed| *welcomed).await.expect("a welcome");
    running
}

fn spooled(root: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(root.join("spool/w")).expect("the spool");
    let names = entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("a name"));
    names.filter(|name| name != "lock").collect()
}

fn first(view: &v1::GetRunResponse) -> (JobStatus, String) {
    let job = view.jobs.iter().find(|job| job.attempt == 1).expect("a first attempt");
    (
        job.status(),
        job.failure.as_ref().map(|failure| failure.code.clone()).unwrap_or_default(),
    )
}

/// Kills a worker whose line lets nothing through in one direction from before its job ends.
async fn delivered_by_the_next_process(lost: Way) {
    let fleet = Fleet::new("work").await;
    let proxy = fleet.app.proxy().await;
    let config = Config {
        server: proxy.url(),
        git_protocols: "git".to_owned(),
        ..fleet.config("w", "default")
    };
    let worker = start(config.clone()).await;

    // A repository that takes connections and says nothing: its job is at work for as long as the test wants.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let repository = format!("git://{}/x", silent.local_addr().expect("an address"));
    let run = fleet
        .app
        .create_with(v1::CreateRunRequest {
            repository,
            ..request("001-x")
        })
        .await
        .expect("a run");
    let connection = tokio::task::spawn_blocking(move || (silent.accept().expect("git"), silent))
        .await
        .expect("git");
    proxy.change(|rules| match lost {
        Way::Up => rules.up.flow = Flow::Vanish,
        Way::Down => rules.down.flow = Flow::Vanish,
    });
    drop(connection);
    eventually("the end in the spool", async || {
        spooled(fleet.root.path())
            .iter()
            .any(|name| name.ends_with(".finished"))
            .then_some(())
    })
    .await;
    if lost == Way::Down {
        eventually("the end in the database", async || {
            (first(&fleet.app.get(&run.run_id).await).0 == JobStatus::Failed).then_some(())
        })
        .await;
    }
    worker.abort();
    assert!(worker.await.expect_err("an abort").is_cancelled());
    proxy.cut(Cut::Reset);
    if lost == Way::Up {
        assert_eq!(
            first(&fleet.app.get(&run.run_id).await).0,
            JobStatus::Running,
            "only the spool knows"
        );
    }

    proxy.change_new(|rules| *rules = Rules::default());
    let worker = start(config).await;
    let view = fleet.app.finished(&run.run_id).await;
    assert_eq!(first(&view), (JobStatus::Failed, "REPOSITORY_UNREACHABLE".to_owned()), "{view:?}");
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
