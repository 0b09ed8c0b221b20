//! Both ways of every stage on a table of repositories: whatever one of them comes to, the other does. Each run takes both, one of them in the shadow.
//!
//! Skills have no fallback here, which would hide what they do. Contract: 007/FR-038, 007/FR-039.

mod drifting;
mod repositories;

use std::process::Command;

use moorline_proto::v1::{self, RunStatus, ShadowStatus};
use moorline_server::domain::skill;
use moorline_tests::repo::SampleRepository;

use self::repositories::{COMMITS, Case, End, REWORKS, WORKS};
use super::{
    root::Root,
    view::{drift, ended, failure},
};
use crate::support::{Fleet, TestApp};

/// Repositories that are run the other way round as well, with the built-in way first.
const BOTH_ROUNDS: [&str; 5] = [
    "phases, stories and marks",
    "changes of all kinds",
    "a line that is no task",
    "nothing is left",
    "a folder of the Spec Kit CLI",
];

/// A fleet whose shards' agents work differently, with a shadow beside every stage and no fallback.
async fn fleet(root: &Root, canary_percent: u8) -> Fleet {
    let policy = skill::Policy {
        allowed_skills: ["speckit", "drifting"].map(str::to_owned).into(),
        canary_percent,
        shadow_mode: true,
        fallback_enabled: false,
        ..skill::Policy::default()
    };
    let mut fleet = Fleet::of(TestApp::with_skills(policy).await, "work").await;
    fleet.default_worker(|config| config.skills_root = root.path().to_owned()).await;
    for (shard, mode) in [(WORKS, "work"), (COMMITS, "commit"), (REWORKS, "rework")] {
        fleet.log_in(shard).await;
        let model = fleet.model.base_url(mode);
        let change = |config: &mut moorline_worker::config::Config| {
            config.skills_root = root.path().to_owned();
            config.codex_config = vec![format!("openai_base_url={model:?}")];
            // An API key serves several at once.
            config.api_key_capacity = 3;
        };
        fleet.shard_worker(shard, change).await;
    }
    fleet
}

async fn create(fleet: &Fleet, case: &Case) -> v1::Run {
    let request = v1::CreateRunRequest {
        feature_key: case.feature.to_owned(),
        codex_queue: format!("codex-{}", case.shard),
        ..fleet.request(&case.origin)
    };
    fleet.app.create_with(request).await.expect("a run")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_repository_comes_to_the_same_both_ways() {
    let root = Root::new();
    let fleet = fleet(&root, 100).await;
    let mut runs = Vec::new();
    for case in repositories::all() {
        runs.push((true, create(&fleet, &case).await, case));
    }
    let direct_first = v1::UpdateSkillPolicyRequest {
        canary_percent: Some(0),
        ..Default::default()
    };
    fleet.app.skills().update_skill_policy(direct_first).await.expect("a version");
    for case in repositories::all().into_iter().filter(|case| BOTH_ROUNDS.contains(&case.name)) {
        runs.push((false, create(&fleet, &case).await, case));
    }
    let mut trees = std::collections::BTreeMap::<&str, String>::new();
    for (by_skill, run, case) in runs {
        let view = ended(&fleet.app, &run.run_id).await;
        let what = format!("{}, the {} way first", case.name, if by_skill { "skill's" } else { "built-in" });
        came_to(&view, &case, by_skill, &what);
        agree(&fleet, &view, &what).await;
        if case.end == End::Published {
            let tree = tree(&case.origin, &run.branch_name);
            let other = trees.entry(case.name).or_insert_with(|| tree.clone());
            assert_eq!(*other, tree, "{what}: what was pushed differs from the other round's");
        }
    }
}

/// Checks what has come of a run.
fn came_to(view: &v1::GetRunResponse, case: &Case, by_skill: bool, what: &str) {
    let run = view.run.as_ref().expect("a run");
    let branches = case.origin.branches().unwrap();
    match case.end {
        End::Published => {
            assert_eq!(run.status(), RunStatus::Succeeded, "{what}: {:?}", run.failure);
            assert_eq!(
                case.origin.log(&run.branch_name).unwrap().len(),
                2,
                "{what}: one commit is pushed, by the way that counts"
            );
            assert_eq!(branches.len(), 2, "{what}: {branches:?}");
        }
        End::NoWork => assert_eq!((run.status(), branches.len()), (RunStatus::NoWork, 1), "{what}: {:?}", run.failure),
        End::Fails(code) => {
            let failure = failure(view);
            let own = match by_skill {
                true => failure.details.get("skill_code").cloned().unwrap_or_default(),
                false => failure.code.clone(),
            };
            assert_eq!((own.as_str(), branches.len()), (code, 1), "{what}: {failure:?}");
        }
    }
}

/// Checks that the shadow of each stage that was run has come to the same.
async fn agree(fleet: &Fleet, view: &v1::GetRunResponse, what: &str) {
    let ran = view.jobs.iter().filter(|job| job.started_at.is_some());
    for job in ran {
        let shadow = job.execution.as_ref().and_then(|execution| execution.shadow.clone());
        let shadow = shadow.unwrap_or_else(|| panic!("{what}: {:?} had no shadow: {job:?}", job.stage()));
        if shadow.status() != ShadowStatus::Same {
            let document = drift(&fleet.app, view, job.stage()).await;
            panic!("{what}: {:?} drifts: {}\n{document:#}", job.stage(), shadow.detail);
        }
    }
}

/// The tree of a branch.
fn tree(origin: &SampleRepository, branch: &str) -> String {
    let name = format!("refs/heads/{branch}^{{tree}}");
    let output = Command::new("git")
        .arg("-C")
        .arg(origin.origin())
        .args(["rev-parse", &name])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
