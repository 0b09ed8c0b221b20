//! A run by `speckit` in Docker containers of the job image.

use moorline_proto::v1::{self, RunStatus, ShadowStatus};
use moorline_tests::repo::SampleRepository;

use super::{STAGES, run};
use crate::{
    skills::view::{execution, way},
    support::{Fleet, fleet::repository},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_run_goes_by_the_job_image_s_own_skill_and_its_shadow_agrees() {
    let mut fleet = Fleet::in_docker("work").await;
    fleet.shard_worker(0, |_| {}).await;
    let change = v1::UpdateSkillPolicyRequest {
        use_skills: Some(true),
        shadow_mode: Some(true),
        fallback_enabled: Some(false),
        ..Default::default()
    };
    fleet.app.skills().update_skill_policy(change).await.expect("a version");
    let view = run(&fleet, &repository(SampleRepository::builder())).await;
    assert_eq!(view.run.as_ref().unwrap().status(), RunStatus::Succeeded, "{view:?}");
    for stage in STAGES {
        assert_eq!(way(&view, stage), "skill used=true fallback=false", "{:?}", execution(&view, stage));
        let shadow = execution(&view, stage).shadow.unwrap();
        assert_eq!(shadow.status(), ShadowStatus::Same, "{stage:?}: {}", shadow.detail);
    }
    fleet.stop().await;
}
