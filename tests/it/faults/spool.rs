//! A worker that is killed with the end of a job on its disk that the server has not heard of: whole, it is told; cut off, it is worked
//! out from what the agent left, or the stage is done again. In every case the run goes on.

use std::{fs, path::Path};

use moorline_proto::v1::{self, JobStatus};
use moorline_tests::{
    proxy::{Cut, Flow},
    repo::SampleRepository,
};

use super::worker_killed::submits;
use crate::support::{Fleet, Gate, TestApp, eventually, fleet::repository, process, promise};

/// Kills a worker whose word of a job's end is on its way, does this to the record of it, and starts the worker again.
async fn killed_before_its_end_was_heard(harm: impl Fn(&Path)) -> (Vec<(i32, JobStatus)>, usize, String) {
    let mut fleet = Fleet::of(TestApp::start().await, "work").await;
    let (gate, proxy) = (Gate::closed(), fleet.app.proxy().await);
    fleet.default_worker(|_| {}).await;
    fleet.log_in(0).await;
    let mut config = fleet.shard_config("codex-worker-0", 0);
    (config.server, config.codex_program) = (proxy.url(), gate.program());
    let mut worker = process::worker(&config).await;
    let origin = repository(SampleRepository::builder());
    let run = fleet.app.create_with(fleet.request(&origin)).await.unwrap();
    gate.agent(1).await;

    // Artifacts have lines of their own, so that the stage comes to its end; the word of that is held.
    proxy.line(0).await.change(|rules| rules.up.flow = Flow::Hold);
    gate.open();
    let spool = config.work_root.join("spool/codex-worker-0");
    let record = eventually("the end of the job on the disk", async || {
        let mut files = fs::read_dir(&spool).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
        files.find(|path| path.extension().is_some_and(|extension| extension == "finished"))
    })
    .await;
    worker.kill().await;
    proxy.cut(Cut::Reset);
    assert_eq!(
        fleet.app.get(&run.run_id).await.run.unwrap().status(),
        v1::RunStatus::Running,
        "the server has heard of it"
    );
    harm(&record);

    let worker = process::worker(&config).await;
    let view = fleet.app.finished(&run.run_id).await;
    assert_eq!(view.run.as_ref().unwrap().status(), v1::RunStatus::Succeeded, "{view:?}");
    eventually("an empty spool", async || (!record.exists()).then_some(())).await;
    promise::kept(&fleet.app.database).await;
    let ends = submits(&view).into_iter().map(|(attempt, status, _)| (attempt, status)).collect();
    (ends, gate.agents().len(), worker.log())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_that_only_the_disk_of_a_killed_worker_has_is_told_when_it_is_back() {
    let (ends, agents, _) = killed_before_its_end_was_heard(|_| {}).await;
    assert_eq!((ends.as_slice(), agents), (&[(1, JobStatus::Succeeded)][..], 1));
}

/// Cuts a file in its middle.
fn cut(file: &Path) {
    let file = fs::OpenOptions::new().write(true).open(file).unwrap();
    file.set_len(file.metadata().unwrap().len() / 2).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_that_was_cut_off_on_the_disk_is_set_aside_and_the_run_succeeds_all_the_same() {
    let (ends, agents, log) = killed_before_its_end_was_heard(cut).await;
    // What the agent left is gone on with, unless the worker had time to clear it up between its record and its death: a record that was whole
    // then, and was harmed later, is one more than a crash can do.
    let once = vec![(1, JobStatus::Succeeded)];
    let twice = vec![(1, JobStatus::Failed), (2, JobStatus::Succeeded)];
    assert!(
        (ends == once && agents == 1) || (ends == twice && agents == 2),
        "{ends:?} by {agents} agents"
    );
    assert!(log.contains("is set aside"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_of_which_every_record_was_cut_off_on_the_disk_is_done_again() {
    let all = |record: &Path| {
        fs::read_dir(record.parent().unwrap())
            .unwrap()
            .for_each(|entry| cut(&entry.unwrap().path()))
    };
    let (ends, agents, log) = killed_before_its_end_was_heard(all).await;
    assert_eq!(
        (ends.as_slice(), agents),
        (&[(1, JobStatus::Failed), (2, JobStatus::Succeeded)][..], 2)
    );
    assert!(log.contains("is set aside"), "{log}");
}
