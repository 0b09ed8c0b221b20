//! The operator's runbook and the quickstarts: their commands are run as they are written, on real parts.
//!
//! Contract: 001/FR-016, 001/FR-025, 001/FR-027, 007/FR-024.

mod document;
mod shell;
mod site;

use std::collections::BTreeSet;

use moorline_proto::v1::{AuthVolume, RunStatus, SetShardCountRequest, ShardStatus, VolumeStatus};
use moorline_tests::db::TestDb;
use moorline_worker::config::Config;

use self::{
    document::{Place, procedures},
    site::Site,
};

const RUNBOOK: &str = "docs/ops-runbook.md";

/// What every other procedure begins with.
const BEGIN: &str = "Before you begin";

/// What a key looks like; it must turn up nowhere.
const KEY: &str = "sk-test-runbook-recognisable-0123456789";

/// Procedures of the runbook that a test of this file runs.
const RUN: [&str; 10] = [
    BEGIN,
    "Log a new volume in",
    "Log a volume in with an API key",
    "Set Gemini up",
    "A shard that fails",
    "A login that was revoked or used elsewhere",
    "Add a shard",
    "Move a volume to another host",
    "Drain a shard",
    "With gRPC alone",
];

#[test]
fn every_procedure_of_the_runbook_is_run() {
    let written: BTreeSet<_> = procedures(RUNBOOK).into_iter().map(|procedure| procedure.heading).collect();
    let run = RUN.into_iter().chain(["What to watch"]).map(str::to_owned).collect();
    assert_eq!(written, run);
}

#[test]
fn the_ladder_in_the_runbook_is_the_workers_own() {
    let text = std::fs::read_to_string(std::path::Path::new(crate::architecture::ROOT).join(RUNBOOK)).unwrap();
    let (begin, end) = ("<!-- rungs:begin -->\n", "<!-- rungs:end -->");
    let written = text
        .split_once(begin)
        .and_then(|(_, rest)| rest.split_once(end))
        .expect("the marks")
        .0;
    let config = Config::try_parse_from(["moorline-worker"]).unwrap();
    assert_eq!(
        written,
        moorline_worker::preflight::table(&config),
        "copy the right side between the marks"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_volume_is_logged_in_and_its_shard_takes_work() {
    let site = Site::start().await;
    site.run(RUNBOOK, BEGIN, &[]).await;
    let shown = site.run(RUNBOOK, "Log a new volume in", &[]).await;
    assert!(shown.contains("PROVEN"), "{shown}");
    let volume = site.shard("codex-0").await.volume.expect("a volume");
    assert_eq!(
        (volume.status(), volume.notes.as_str()),
        (VolumeStatus::Ready, "account of the platform team")
    );
    for secret in site.issuer.secrets() {
        assert!(!shown.contains(&secret), "{shown}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_volume_takes_an_api_key_that_shows_up_nowhere() {
    let site = Site::with_shard().await;
    let key = site.root.path().join("openai.key");
    std::fs::write(&key, format!("{KEY}\n")).unwrap();
    let key = key.display().to_string();
    let shown = site.run(RUNBOOK, "Log a volume in with an API key", &[("KEY_FILE", &key)]).await;
    assert!(shown.contains("api_key") && !shown.contains(KEY), "{shown}");
    assert_eq!(site.shard("codex-0").await.volume.unwrap().status(), VolumeStatus::Ready);
}

#[tokio::test(flavor = "multi_thread")]
async fn gemini_is_set_up_and_carries_a_run() {
    const KEY: &str = "AIza-test-runbook-recognisable-0123456789";
    let site = Site::start().await;
    let key = site.root.path().join("gemini.key");
    std::fs::write(&key, format!("{KEY}\n")).unwrap();
    let key = key.display().to_string();
    let shown = site.run(RUNBOOK, "Set Gemini up", &[("KEY_FILE", &key)]).await;
    assert!(shown.contains("PROVEN") && shown.contains("succeeded (phase complete)"), "{shown}");
    assert!(!shown.contains(KEY), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_its_login_failed_succeeds_after_the_procedure() {
    let site = Site::with_shard().await;
    let failed = site.run_of_shard().await.run.unwrap();
    assert_eq!(failed.failure.as_ref().map(|failure| failure.code.as_str()), Some("NOT_LOGGED_IN"));
    site.run(RUNBOOK, "A shard that fails", &[("RUN", &failed.run_id)]).await;
    let run = site.app.get(&failed.run_id).await.run.unwrap();
    assert_eq!(run.status(), RunStatus::Succeeded, "{:?}", run.failure);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_is_done_with_grpc_alone() {
    let site = Site::with_shard().await;
    let failed = site.run_of_shard().await.run.unwrap();
    site.run(RUNBOOK, "With gRPC alone", &[("RUN", &failed.run_id)]).await;
    let run = site.app.get(&failed.run_id).await.run.unwrap();
    assert_eq!(run.status(), RunStatus::Succeeded, "{:?}", run.failure);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_login_is_found_and_replaced() {
    let site = Site::with_login().await;
    let shown = site.run(RUNBOOK, "A login that was revoked or used elsewhere", &[]).await;
    assert!(shown.contains("REVOKED"), "{shown}");
    let shard = site.shard("codex-0").await;
    assert_eq!(
        (shard.status(), shard.volume.unwrap().status()),
        (ShardStatus::Active, VolumeStatus::Ready)
    );
    let run = site.run_of_shard().await.run.unwrap();
    assert_eq!(run.status(), RunStatus::Succeeded, "{:?}", run.failure);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shard_is_added_and_carries_a_run() {
    let site = Site::start().await;
    let shown = site.run(RUNBOOK, "Add a shard", &[]).await;
    assert!(shown.contains("succeeded (phase complete)"), "{shown}");
    let shard = site.shard("codex-3").await;
    // Its worker has ended with the shell of the procedure.
    let login = shard.volume.as_ref().map(AuthVolume::status);
    assert!(shard.routed && login == Some(VolumeStatus::Ready), "{shard:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_volume_is_moved_and_its_login_works_there() {
    let site = Site::with_login().await;
    let new_root = site.root.path().join("elsewhere");
    let variables = [("NEW_ROOT", new_root.to_str().unwrap())];
    let shown = site.run(RUNBOOK, "Move a volume to another host", &variables).await;
    assert!(shown.contains("PROVEN"), "{shown}");
    assert!(new_root.join("codex_auth_0/auth.json").exists() && !site.volume("codex_auth_0").exists());
    assert_eq!(site.issuer.reused(), 0, "no copy was used");
    let shard = site.shard("codex-0").await;
    assert_eq!(shard.volume.unwrap().worker_affinity, "codex-worker-0-b");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shard_is_drained_and_opened_again() {
    let site = Site::with_login().await;
    let shown = site.run(RUNBOOK, "Drain a shard", &[]).await;
    assert!(shown.contains("SHARD_DRAINING"), "{shown}");
    assert_eq!(site.shard("codex-0").await.status(), ShardStatus::Active);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_there_is_to_watch_names_what_the_document_says() {
    let site = Site::with_shard().await;
    let shown = site.run(RUNBOOK, "What to watch", &[]).await;
    let text = std::fs::read_to_string(std::path::Path::new(crate::architecture::ROOT).join(RUNBOOK)).unwrap();
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let fields: Vec<_> = rows
        .filter(|cell| cell.bytes().all(|byte| b"abcdefghijklmnopqrstuvwxyz_.".contains(&byte)))
        // The tables of metrics are compared with their definitions.
        .filter(|cell| !cell.starts_with("moorline_") && !cell.starts_with("process_"))
        .collect();
    assert!(fields.len() > 5, "{fields:?}");
    for field in fields {
        for name in field.split('.') {
            assert!(shown.contains(&format!("\"{name}\":")), "{field}: {shown}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_quickstart_leads_to_a_run() {
    let site = Site::with_login().await;
    // One shard's worker is all that there is, and the hash would choose among three.
    let count = SetShardCountRequest { count: 1 };
    site.app.shards().set_shard_count(count).await.expect("one shard");
    let shown = site.run_whole("specs/001-celery-oauth-volumes/quickstart.md", &[]).await;
    for told in [
        "succeeded (phase complete)",
        "\n84f147a28320df01\n",
        "\n0\n",
        "PROVEN",
        "\"queue\": \"codex-0\"",
    ] {
        assert!(shown.contains(told), "{told}:\n{shown}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_second_quickstart_goes_from_nothing_to_a_run() {
    let site = Site::start().await;
    // Its server is one of its own.
    let database = TestDb::new().await.expect("a database");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address").to_string();
    drop(listener);
    let (url, artifacts) = (format!("http://{address}"), site.root.path().join("artifacts"));
    let variables = [
        ("MOORLINE_SERVER", url.as_str()),
        ("MOORLINE_LISTEN", &address),
        ("MOORLINE_HTTP_LISTEN", "off"),
        ("MOORLINE_DATABASE_URL", database.url()),
        ("SPEC_WORKFLOW_ARTIFACT_ROOT", artifacts.to_str().expect("a path")),
        ("SPEC_WORKFLOW_USE_SKILLS", "off"),
    ];
    let shown = site.run_whole("specs/007-scalable-codex-worker/quickstart.md", &variables).await;
    assert!(shown.contains("succeeded (phase complete)"), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn volumes_of_docker_are_made_and_moved() {
    let names = ["Log a new volume in", "Move a volume to another host"].map(|heading| document::procedure(RUNBOOK, heading));
    let volume = format!("moorline_test_{}", &uuid::Uuid::now_v7().simple().to_string()[20..]);
    let path = std::env::var("PATH").unwrap_or_default();
    let variables = [("PATH", path), ("VOLUME", volume.clone())].map(|(name, value)| (name.to_owned(), value));
    let _gone = Volume(volume);
    for procedure in names {
        shell::run(&procedure, Place::Docker, &variables, None).await;
    }
}

/// A volume of the engine that goes when this is dropped.
struct Volume(String);

impl Drop for Volume {
    fn drop(&mut self) {
        // A test that failed early has none.
        let _ = std::process::Command::new("docker")
            .args(["volume", "rm", "--force", &self.0])
            .output();
    }
}
