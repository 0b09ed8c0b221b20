//! The canary goes from 0 to 100 while real runs flow, without a restart.

use moorline_proto::v1::{self, ExecutionPath, RunStatus, Stage};
use moorline_server::domain::skill;
use moorline_tests::repo::SampleRepository;

use super::{STAGES, allowing, fleet};
use crate::{
    skills::{
        root::Root,
        view::{ended, execution, job},
    },
    support::fleet::repository,
};

#[tokio::test(flavor = "multi_thread")]
async fn runs_go_the_way_that_the_policy_of_their_time_has_decided() {
    let policy = skill::Policy {
        canary_percent: 0,
        ..allowing(&[])
    };
    let root = Root::new();
    let fleet = fleet(&root, policy).await;
    let (mut runs, mut version) = (Vec::new(), 1);
    for percent in [0, 50, 100] {
        if percent > 0 {
            let change = v1::UpdateSkillPolicyRequest {
                canary_percent: Some(percent),
                reason: "rollout".to_owned(),
                ..Default::default()
            };
            version = fleet
                .app
                .skills()
                .update_skill_policy(change)
                .await
                .unwrap()
                .into_inner()
                .policy
                .unwrap()
                .version;
        }
        for _ in 0..2 {
            let origin = repository(SampleRepository::builder());
            let run = fleet.app.create_with(fleet.request(&origin)).await.unwrap();
            runs.push((percent, version, run.run_id, origin));
        }
    }
    for (percent, version, run_id, _origin) in runs {
        let view = ended(&fleet.app, &run_id).await;
        assert_eq!(view.run.as_ref().unwrap().status(), RunStatus::Succeeded, "{view:?}");
        for stage in STAGES {
            let (decision, execution) = (job(&view, stage).decision.clone().unwrap(), execution(&view, stage));
            assert_eq!((decision.policy_version, decision.canary_percent), (version, percent), "{stage:?}");
            let by_skill = decision.canary_bucket < percent;
            let expected = if by_skill {
                ExecutionPath::Skill
            } else {
                ExecutionPath::DirectOnly
            };
            assert_eq!(
                (decision.execution_path(), execution.execution_path()),
                (expected, expected),
                "{stage:?} at {percent}"
            );
            assert_eq!(execution.used_skills, by_skill);
        }
        assert_eq!(job(&view, Stage::Publish).attempt, 1);
    }
}
