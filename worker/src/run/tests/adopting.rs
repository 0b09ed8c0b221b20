//! What becomes of an agent that an earlier process has left at work, as the server says.

use moorline_proto::v1::HeldJob;
use tokio::time::Instant;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use super::*;
use crate::{engine::Container, link::Lease, run::contact::Contact};

/// A worker `w` of volume `v` that starts after another process of it was killed with an agent at work.
struct Left {
    place: Place,
    engine: Arc<dyn Engine>,
    /// The folder around work root and engine.
    _dir: TempDir,
}

impl Left {
    /// The earlier process had its last contact so long ago, of a lease that is relied on for a minute.
    async fn at_work(contact: Duration) -> Self {
        let dir = TempDir::new().expect("a folder");
        std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o755)).expect("permissions");
        let (root, processes) = (dir.path().join("work"), dir.path().join("processes"));
        let engine: Arc<dyn Engine> =
            Arc::new(ProcessEngine::new(&dir.path().join("volumes"), &processes, "1000:1000").expect("an engine"));
        left_behind(&*engine, &root, "run-1", "w", "v").await;
        let mut config = Config::try_parse_from(["moorline-worker"]).expect("settings");
        (config.name, config.volume, config.work_root) = ("w".to_owned(), Some("v".to_owned()), root.clone());
        let (spool, _) = Spool::open(config.spool()).await.expect("a spool");
        let offer = v1::Offer {
            job_id: "job-1".to_owned(),
            run_id: "run-1".to_owned(),
            lease_token: 7,
            stage: v1::Stage::Submit.into(),
            queue: "default".to_owned(),
            spec: Some(v1::JobSpec {
                feature_key: "001-x".to_owned(),
                ..Default::default()
            }),
            ..Default::default()
        };
        spool.accept(&Lease::new("job-1", 7), &offer).await.expect("an accepted job");
        drop(spool);
        let noted = r#"{"lease_token":7,"base_commit":"c0ffee","branch":"main","began":{"boot":"","uptime":{"secs":1,"nanos":0}}}"#;
        let folder = RunFolder::below(&root, "run-1", "job-1");
        std::fs::write(folder.private().join("at-work.json"), noted).expect("a note");
        let renewed = Instant::now().checked_sub(contact).expect("a time");
        Contact::of(&config).note(renewed, Duration::from_secs(60));
        let shared = engine.clone();
        let place = Place::with(|config| {
            (config.name, config.volume, config.work_root) = ("w".to_owned(), Some("v".to_owned()), root);
            shared
        })
        .await;
        Self { place, engine, _dir: dir }
    }

    async fn containers(&self) -> Vec<Container> {
        self.engine.list(&BTreeMap::new()).await.expect("a list")
    }

    /// Waits until the agent's container is gone.
    async fn gone(&self) {
        patient(async {
            while !self.containers().await.is_empty() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await;
    }

    /// The next line's Hello claims this.
    async fn claiming(&mut self, leases: usize) -> Line {
        let line = self.place.server.line().await;
        assert_eq!(line.hello.inventory.len(), leases, "{:?}", line.hello.inventory);
        line
    }
}

fn held() -> HeldJob {
    HeldJob {
        job_id: "job-1".to_owned(),
        lease_token: 7,
        finished: false,
        last_sequence: 5,
    }
}

#[tokio::test]
async fn what_the_server_keeps_goes_on_and_its_reports_are_numbered_on() {
    let mut left = Left::at_work(Duration::ZERO).await;
    let mut line = left.claiming(1).await;
    let keep = vec![held()];
    line.send(Answer::Welcome(v1::Welcome { keep, ..calm() })).await;
    // Credit comes when the rest has been cleared up.
    let mut heard = names(&line.until(is_credit).await);
    if heard.len() == 1 {
        heard.insert(0, names(&[line.heard().await]).remove(0));
    }
    assert_eq!(heard, ["report 7.6", "credit default 1"]);
    assert_eq!(left.containers().await.len(), 1, "it is spared when the rest is cleared up");
    line.send(Answer::Fenced(v1::Fenced {
        job_id: "job-1".to_owned(),
        lease_token: 7,
        reason: "claimed elsewhere".to_owned(),
    }))
    .await;
    left.gone().await;
}

#[tokio::test]
async fn a_cancel_that_comes_with_the_welcome_stops_it() {
    let mut left = Left::at_work(Duration::ZERO).await;
    let mut line = left.claiming(1).await;
    let keep = vec![held()];
    line.send(Answer::Welcome(v1::Welcome { keep, ..calm() })).await;
    line.send(Answer::Cancel(v1::Cancel {
        job_id: "job-1".to_owned(),
        lease_token: 7,
        ..Default::default()
    }))
    .await;
    let end = line.finished().await;
    assert!(
        matches!(outcome(&end), Outcome::Stopped(stopped) if stopped.how == "stopped"),
        "{end:?}"
    );
    left.gone().await;
}

#[tokio::test]
async fn what_the_server_does_not_keep_is_stopped_before_any_job_is_taken() {
    let mut left = Left::at_work(Duration::ZERO).await;
    let mut line = left.claiming(1).await;
    let kill = vec![held()];
    line.send(Answer::Welcome(v1::Welcome { kill, ..calm() })).await;
    line.until(is_credit).await;
    assert_eq!(left.containers().await, []);
    drop(line);
    // And it is claimed no more.
    left.claiming(0).await;
}

#[tokio::test]
async fn a_worker_whose_volume_another_holds_stops_its_agent() {
    let mut left = Left::at_work(Duration::ZERO).await;
    let line = left.claiming(1).await;
    let mut details = ErrorDetails::new();
    details.set_error_info("VOLUME_HELD", "moorline", std::collections::HashMap::new());
    let held = Status::with_error_details(Code::AlreadyExists, "volume v is held by another", details);
    left.place.server.store().refusals.push_back(held);
    drop(line);
    left.gone().await;
    left.claiming(0).await;
}

#[tokio::test]
async fn a_worker_that_reaches_no_server_stops_its_agent_before_its_lease_is_over() {
    let mut left = Left::at_work(Duration::from_secs(55)).await;
    // Dialled, and never answered.
    let _line = left.claiming(1).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(left.containers().await.len(), 1, "the server is given time to answer");
    left.gone().await;
}

#[tokio::test]
async fn a_claim_that_was_given_up_while_the_server_was_asked_is_claimed_no_more() {
    let mut left = Left::at_work(Duration::from_secs(55)).await;
    let mut line = left.claiming(1).await;
    left.gone().await;
    let keep = vec![held()];
    line.send(Answer::Welcome(v1::Welcome { keep, ..calm() })).await;
    line.left().await;
    let mut line = left.claiming(0).await;
    line.send(Answer::Welcome(calm())).await;
    line.until(is_credit).await;
}
