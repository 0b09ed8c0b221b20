//! A skill that does things its own way: the comparison would find any that does.

use moorline_proto::v1::{self, RunStatus, ShadowStatus, Stage};
use moorline_tests::repo::SampleRepository;
use serde_json::json;

use super::{Root, drift, fleet};
use crate::{
    skills::view::{ended, execution, way},
    support::fleet::repository,
};

/// Finds another phase, does half of the work and something else, and writes other texts.
const DRIFTING: &str = "
if request['stage'] == 'discover':
    task = {'task_id': 'T001', 'description': 'Describe the greeting', 'parallel': True, 'story': '', 'line': 7}
    done({'phase': {'number': '1', 'title': 'Set up', 'depends_on': [], 'tasks': [task]}, 'checklists': []})
elif request['stage'] == 'submit':
    os.chdir(payload['checkout'])
    os.makedirs('docs', exist_ok=True)
    open('docs/other.md', 'w').write('other\\n')
    path = 'specs/001-greeting/tasks.md'
    text = open(path).read().replace('- [ ] T001', '- [x] T001')
    open(path, 'w').write(text)
    done({})
else:
    done({'branch_name': payload['branch_name'], 'commit_message': 'Other words', 'pull_request': {'title': 'Other', 'body': 'words'}})
";

#[tokio::test(flavor = "multi_thread")]
async fn a_skill_that_drifts_is_found_and_changes_nothing() {
    let root = Root::new().with("drifting", &["discover", "submit", "publish"], DRIFTING);
    let fleet = fleet(&root, 0).await;
    let origin = repository(SampleRepository::builder());
    let skills = [Stage::Discover, Stage::Submit, Stage::Publish].map(|stage| v1::StageSkill {
        stage: stage.into(),
        skill: "drifting".to_owned(),
    });
    let request = v1::CreateRunRequest {
        options: Some(v1::RunOptions {
            stage_skills: skills.to_vec(),
            ..Default::default()
        }),
        ..fleet.request(&origin)
    };
    let run = fleet.app.create_with(request).await.expect("a run");
    let view = ended(&fleet.app, &run.run_id).await;
    assert_eq!(view.run.as_ref().unwrap().status(), RunStatus::Succeeded, "{view:?}");

    let status = |stage| execution(&view, stage).shadow.unwrap().status();
    assert_eq!(
        [Stage::Discover, Stage::Submit, Stage::Publish].map(status),
        [ShadowStatus::Drift, ShadowStatus::Drift, ShadowStatus::Same],
        "words of a commit may differ"
    );
    let found = drift(&fleet.app, &view, Stage::Discover).await;
    let fields: Vec<&str> = found["fields"]
        .as_array()
        .unwrap()
        .iter()
        .map(|field| field["name"].as_str().unwrap())
        .collect();
    assert_eq!(
        fields,
        [
            "phase.title",
            "phase.tasks",
            "phase.tasks.T001.description",
            "phase.tasks.T001.parallel"
        ]
    );
    assert_eq!(
        (&found["primary"]["path"], &found["shadow"]["path"]),
        (&json!("direct_only"), &json!("skill"))
    );
    let work = drift(&fleet.app, &view, Stage::Submit).await;
    let files: Vec<&str> = work["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|file| file["path"].as_str().unwrap())
        .collect();
    let mine = [
        "docs/001-greeting-T001.md",
        "docs/001-greeting-T002.md",
        "docs/other.md",
        "specs/001-greeting/tasks.md",
    ];
    assert_eq!(files, mine);
    assert_eq!(work["files"][2]["primary"], json!(null));
    assert_eq!(work["fields"][0]["name"], "tasks_done");
    // The command-line tool fetches it as well.
    let artifact = execution(&view, Stage::Submit).shadow.unwrap().artifact_id;
    let fetched = tokio::process::Command::new(env!("CARGO_BIN_EXE_moorline-under-test"))
        .args(["run", "download", "--server", &fleet.app.url(), &artifact, "--out", "-"])
        .output()
        .await
        .unwrap();
    assert!(fetched.status.success(), "{}", String::from_utf8_lossy(&fetched.stderr));
    assert_eq!(serde_json::from_slice::<serde_json::Value>(&fetched.stdout).unwrap(), work);
    let words = drift(&fleet.app, &view, Stage::Publish).await;
    assert!(
        words["fields"].as_array().unwrap().iter().all(|field| field["tolerated"] == true),
        "{words:#}"
    );

    // Nothing of the shadow has gone out.
    for stage in [Stage::Discover, Stage::Submit, Stage::Publish] {
        assert_eq!(way(&view, stage), "direct_only used=false fallback=false");
    }
    let log = origin.log(&run.branch_name).unwrap();
    assert_eq!(
        (log.len(), log[0].subject.as_str()),
        (2, "001-greeting: Setup (Shared Infrastructure)")
    );
    assert!(origin.show(&run.branch_name, "docs/other.md").is_err());
    let stored = |kind| view.artifacts.iter().filter(|artifact| artifact.r#type() == kind).count();
    assert_eq!(
        (stored(v1::ArtifactType::CodexPatch), stored(v1::ArtifactType::ShadowPatch)),
        (1, 1)
    );
    assert_eq!(stored(v1::ArtifactType::ShadowDrift), 3);
}
