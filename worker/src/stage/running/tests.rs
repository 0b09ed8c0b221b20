//! What an engine can't end is told.

use moorline_proto::v1;

use super::*;
use crate::{
    config::Config,
    stage::{Course, RunFolder},
    testing::{Silent, Stubborn},
};

pub(crate) fn context(engine: Arc<dyn Engine>) -> Context {
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
        going: CancellationToken::new(),
        agent_ended: AgentEnded::default(),
        course: Course::of(&v1::Offer::default()),
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
    assert!(!context.agent_ended.is_set(), "its deadline still holds");
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

#[tokio::test]
async fn only_what_has_not_told_its_end_may_have_been_found_dead() {
    assert!(is_unknown(Exit::Code(255), false));
    assert!(!is_unknown(Exit::Code(1), false));
    assert!(!is_unknown(Exit::Code(255), true));
    assert!(went_with_its_engine(&crate::testing::Idle, Exit::Signal(9), true).await);
    assert!(!went_with_its_engine(&crate::testing::Idle, Exit::OutOfMemory, false).await);
}
