//! Skills that come from a run's own repository.

use moorline_proto::v1::{self, RunStatus, Stage};
use moorline_server::domain::skill;
use moorline_tests::repo::{Builder, SampleRepository};

use super::{allowing, fleet, run};
use crate::{
    skills::{
        root::{Root, files},
        view::{execution, failure, way},
    },
    support::fleet::repository,
};

/// Says that all is done, whatever there is.
const IDLE: &str = "done({'phase': None, 'checklists': []})\n";

/// A repository that brings the skill `ours`.
fn bringing() -> Builder {
    let files = files("ours", &["discover"], IDLE);
    files
        .iter()
        .fold(SampleRepository::builder(), |builder, (path, text)| builder.file(path, text))
}

fn ours(fallback_enabled: bool) -> skill::Policy {
    skill::Policy {
        stages: [(
            moorline_server::domain::stage::Stage::Discover,
            skill::StagePolicy {
                use_skills: true,
                skill: Some("ours".to_owned()),
            },
        )]
        .into(),
        fallback_enabled,
        ..allowing(&["ours"])
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_s_skill_is_run_where_the_policy_lets_it() {
    let policy = skill::Policy {
        repository_skills: ["ours".to_owned()].into(),
        ..ours(false)
    };
    let root = Root::new();
    let fleet = fleet(&root, policy).await;
    let view = run(&fleet, &repository(bringing())).await;
    assert_eq!(view.run.as_ref().unwrap().status(), RunStatus::NoWork, "{:?}", view.run);
    assert_eq!(way(&view, Stage::Discover), "skill used=true fallback=false");
    assert_eq!(execution(&view, Stage::Discover).selected_skill, "ours");

    // Where the repository lacks it, it is missing; nothing else takes its place.
    let view = run(&fleet, &repository(SampleRepository::builder())).await;
    assert_eq!(failure(&view).code, "SKILL_MISSING");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_s_skill_is_not_run_where_the_policy_does_not_let_it() {
    let root = Root::new();
    let fleet = fleet(&root, ours(true)).await;
    let origin = repository(bringing());
    // It is allowed by its name, and no worker has it: the stage waits for one that does, and is never given to what the repository brings.
    let run = fleet.app.create_with(fleet.request(&origin)).await.unwrap();
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    let view = fleet.app.get(&run.run_id).await;
    let job = view.jobs.iter().find(|job| job.stage() == Stage::Discover).unwrap();
    assert_eq!(job.status(), v1::JobStatus::Queued, "{job:?}");
}
