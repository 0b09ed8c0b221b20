//! What an engine can't end is told, and its login isn't used.

use moorline_proto::v1;

use super::*;
use crate::{
    config::Config,
    stage::RunFolder,
    testing::{Silent, Stubborn},
};

fn context(engine: Arc<dyn Engine>) -> Context {
    let mut config = Config::try_parse_from(["moorline-worker"]).unwrap();
    config.volume = Some("codex_auth_0".to_owned());
    Context {
        folder: RunFolder::below(&config.work_root, "run-1", "job-1"),
        config: Arc::new(config),
        engine,
        offer: v1::Offer {
            run_id: "run-1".to_owned(),
            job_id: "job-1".to_owned(),
            spec: Some(v1::JobSpec {
                feature_key: "001-x".to_owned(),
                ..Default::default()
            }),
            ..Default::default()
        },
        outlet: Arc::new(Silent),
        stop: CancellationToken::new(),
        leaving: CancellationToken::new(),
        agent_ended: CancellationToken::new(),
        holding: None,
        skills: Arc::default(),
    }
}

#[tokio::test]
async fn a_job_that_will_not_die_is_told_apart() {
    let engine = Arc::new(Stubborn::default());
    let context = context(engine.clone());
    context.stop.cancel();
    let ended = Running::new(&context, Stubborn::container()).attend(&context.stop).await;
    assert!(matches!(ended, Err(End::Stopped("still_running"))));
    assert!(engine.stops() >= 2, "it was tried again");
}

#[tokio::test]
async fn a_folder_that_can_not_be_measured_is_full_and_a_job_that_runs_on_has_not_ended() {
    let root = tempfile::tempdir().unwrap();
    let mut context = context(Arc::new(Stubborn::default()));
    context.folder = RunFolder::below(root.path(), "run-1", "job-1");
    // As one that is kept shut.
    std::fs::create_dir_all(root.path().join("runs")).unwrap();
    std::fs::write(&context.folder.root, "").unwrap();
    let ended = Running::new(&context, Stubborn::container()).attend(&context.stop).await;
    assert!(matches!(ended, Err(End::DiskFull("still_running"))));
    assert!(!context.agent_ended.is_cancelled(), "its deadline still holds");
}

#[tokio::test]
async fn a_login_that_can_not_be_freed_is_not_used() {
    let context = context(Arc::new(Stubborn::default()));
    match super::super::run(&context).await {
        Err(Error::Failed(failure)) => {
            assert_eq!(
                (failure.code.as_str(), failure.class()),
                ("VOLUME_IN_USE", FailureClass::Environment)
            );
            assert!(failure.message.contains(&Stubborn::container().id), "{}", failure.message);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn only_other_jobs_at_work_keep_their_containers() {
    let owner = |job_id: &str, lease_token| Owner {
        job_id: job_id.to_owned(),
        lease_token,
    };
    let container = |labels: &[(&str, &str)]| Container {
        id: "c".to_owned(),
        labels: labels
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
    };
    let offer = v1::Offer {
        job_id: "job-1".to_owned(),
        lease_token: 8,
        ..Default::default()
    };
    let at_work = [owner("job-1", 8), owner("job-2", 9)];
    let spared = |job: &str, lease: &str| is_of(&container(&[("moorline.job", job), ("moorline.lease", lease)]), &at_work, &offer);
    assert!(spared("job-2", "9"));
    assert!(!spared("job-2", "5"), "an older lease's");
    assert!(!spared("job-1", "8") && !spared("job-1", "7"), "its own, from before");
    assert!(!spared("job-3", "9"));
    assert!(
        !is_of(&container(&[("moorline.volume", "codex_auth_0")]), &at_work, &offer),
        "a login"
    );
}

#[tokio::test]
async fn a_stage_that_is_given_up_ends_its_container_and_a_worker_that_goes_leaves_it() {
    for (leaves, stopped) in [(false, true), (true, false)] {
        let engine = Arc::new(Stubborn::default());
        let context = context(engine.clone());
        let running = Running::new(&context, Stubborn::container());
        if leaves {
            context.leaving.cancel();
        }
        drop(running);
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(engine.stops() > 0, stopped);
    }
}
