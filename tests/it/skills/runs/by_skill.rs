//! A run by `speckit`, and what is told of it.

use moorline_proto::v1::{self, ExecutionPath, RunStatus, SkillSource, Stage};
use moorline_tests::repo::{FEATURE, SampleRepository};

use super::{STAGES, allowing, fleet, run};
use crate::{
    skills::{
        root::Root,
        view::{execution, job, way},
    },
    support::fleet::repository,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_run_goes_from_a_task_list_to_a_branch_by_the_skill_speckit() {
    let root = Root::new();
    let fleet = fleet(&root, allowing(&[])).await;
    let origin = repository(SampleRepository::builder());
    let view = run(&fleet, &origin).await;
    let run = view.run.clone().unwrap();
    assert_eq!(run.status(), RunStatus::Succeeded, "{:?}", run.failure);
    for stage in STAGES {
        assert_eq!(way(&view, stage), "skill used=true fallback=false", "{:?}", execution(&view, stage));
        let (decision, execution) = (job(&view, stage).decision.clone().unwrap(), execution(&view, stage));
        assert_eq!(
            (decision.execution_path(), decision.source()),
            (ExecutionPath::Skill, SkillSource::Default)
        );
        assert_eq!((decision.selected_skill.as_str(), decision.policy_version), ("speckit", 1));
        assert_eq!((execution.stage(), execution.selected_skill.as_str()), (stage, "speckit"));
        assert_eq!(execution.skill_digest.len(), 64, "which text or program it was");
        assert!(execution.duration_ms > 0 && !execution.shadow_mode_requested && execution.shadow.is_none());
    }
    assert_eq!(run.stage_decisions.len(), 3);

    // The stream tells the same.
    let events = fleet.app.events(&run.run_id).await;
    let told: Vec<(Stage, ExecutionPath)> = events
        .into_iter()
        .filter_map(|event| match event.event {
            Some(v1::run_event::Event::JobChanged(changed)) => Some((changed.stage(), changed.execution?.execution_path())),
            _ => None,
        })
        .collect();
    assert_eq!(told, STAGES.map(|stage| (stage, ExecutionPath::Skill)));

    // The work is the agent's, by the skill's text; the words are the skill's program's.
    let asked: Vec<String> = fleet.model.requests().into_iter().filter_map(|request| request.prompt).collect();
    assert!(
        asked
            .iter()
            .any(|prompt| prompt.contains("Implement one phase of a Spec Kit feature")),
        "{asked:?}"
    );
    let tasks = origin.show(&run.branch_name, &format!("specs/{FEATURE}/tasks.md")).unwrap();
    assert!(
        tasks.contains("- [x] T001") && tasks.contains("- [x] T002") && tasks.contains("- [ ] T003"),
        "{tasks}"
    );
    assert_eq!(origin.log(&run.branch_name).unwrap().len(), 2);
    let Some(v1::job_result::Result::Submit(submit)) = job(&view, Stage::Submit).result.clone().and_then(|done| done.result) else {
        panic!("{view:?}")
    };
    assert_eq!(submit.tasks_done, ["T001", "T002"]);
}
