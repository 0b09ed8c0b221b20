//! What is gone on with, and what isn't, with why.

use std::sync::{Arc, Mutex};

use tempfile::TempDir;

use super::*;
use crate::testing::Shelf;

/// A worker `w` with volume `v`, and what an earlier process of it left.
struct Site {
    dir: TempDir,
    config: Config,
    shelf: Shelf,
    recovered: Vec<Recovered>,
}

impl Site {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let mut config = Config::try_parse_from(["moorline-worker"]).unwrap();
        (config.name, config.volume, config.work_root) = ("w".to_owned(), Some("v".to_owned()), dir.path().to_owned());
        Self {
            dir,
            config,
            shelf: Shelf(Arc::new(Mutex::new(Vec::new()))),
            recovered: Vec::new(),
        }
    }

    /// A job of the spool.
    fn job(&mut self, job: &str, token: i64, stage: v1::Stage) {
        self.recovered.push(Recovered {
            lease: Lease::new(job, token),
            offer: v1::Offer {
                job_id: job.to_owned(),
                run_id: format!("run-{job}"),
                lease_token: token,
                stage: stage.into(),
                ..Default::default()
            },
            finished: None,
        });
    }

    /// A container with these labels.
    fn container(&self, job: &str, token: i64, worker: &str, volume: &str) {
        let label = |name: &str, value: &str| (format!("moorline.{name}"), value.to_owned());
        let labels = [
            label("run", &format!("run-{job}")),
            label("job", job),
            label("lease", &token.to_string()),
            label("worker", worker),
            label("volume", volume),
        ];
        self.shelf.0.lock().unwrap().push(Container {
            id: format!("{job}-{token}"),
            labels: labels.into(),
        });
    }

    /// What was noted when the job's agent had started.
    fn noted(&self, job: &str, token: i64) {
        let folder = RunFolder::below(self.dir.path(), &format!("run-{job}"), job);
        folder.create_private().unwrap();
        let noted = serde_json::json!({
            "lease_token": token, "base_commit": "c0ffee", "branch": "main",
            "began": {"boot": "", "uptime": {"secs": 1, "nanos": 0}},
        });
        std::fs::write(folder.private().join("at-work.json"), noted.to_string()).unwrap();
    }

    /// The same of a leg.
    fn noted_leg(&self, job: &str, token: i64, leg: &str) {
        self.noted(job, token);
        let file = RunFolder::below(self.dir.path(), &format!("run-{job}"), job)
            .private()
            .join("at-work.json");
        let mut noted: serde_json::Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        noted["leg"] = leg.into();
        std::fs::write(file, noted.to_string()).unwrap();
    }

    /// A container of a leg.
    fn container_of(&self, job: &str, token: i64, volume: &str, leg: &str) {
        self.container(job, token, "w", volume);
        let mut shelf = self.shelf.0.lock().unwrap();
        let container = shelf.last_mut().unwrap();
        container.id = format!("{job}-{token}-{leg}");
        container.labels.insert(Leg::LABEL.to_owned(), leg.to_owned());
    }

    async fn find(&self) -> Claims {
        find(&self.config, &self.shelf, &self.recovered).await.unwrap()
    }

    /// Why the one job isn't gone on with; `None` when it is.
    async fn why_not(&self) -> Option<&'static str> {
        let claims = self.find().await;
        assert_eq!(claims.waiting.len() + claims.given_up.len(), 1);
        claims.given_up.values().next().copied()
    }
}

#[tokio::test]
async fn a_job_with_offer_container_and_note_is_gone_on_with() {
    let mut site = Site::new();
    site.job("a", 7, v1::Stage::Submit);
    site.noted("a", 7);
    // Of an older lease of the job, and of another worker: neither is it.
    site.container("a", 6, "w", "v");
    site.container("a", 7, "other", "v");
    site.container("a", 7, "w", "v");
    let mut claims = site.find().await;
    assert_eq!(claims.leases().collect::<Vec<_>>(), [&Lease::new("a", 7)]);
    let kept = claims.kept();
    assert_eq!(
        (kept[0].adopted.container.id.as_str(), kept[0].adopted.at_work.base_commit.as_str()),
        ("a-7", "c0ffee")
    );
    assert!(claims.is_empty());
}

#[tokio::test]
async fn of_a_jobs_legs_the_one_that_was_noted_last_is_gone_on_with() {
    let mut site = Site::new();
    site.job("a", 7, v1::Stage::Submit);
    site.container_of("a", 7, "v", "skill");
    site.container_of("a", 7, "v", "fallback");
    site.container_of("a", 7, "v", "shadow");
    for leg in ["fallback", "skill"] {
        site.noted_leg("a", 7, leg);
        let kept = site.find().await.kept();
        assert_eq!(
            (kept[0].adopted.container.id.as_str(), kept[0].adopted.at_work.leg.name()),
            (&*format!("a-7-{leg}"), leg)
        );
    }
    // Of a worker that knew of no legs: the built-in way, which has no container here.
    site.noted("a", 7);
    assert_eq!(site.why_not().await, Some("the agent that was noted last is gone"));
    site.container("a", 7, "w", "v");
    assert_eq!(site.why_not().await, None);
}

#[tokio::test]
async fn a_program_that_has_no_login_is_gone_on_with_whatever_volume_the_worker_holds() {
    let mut site = Site::new();
    site.job("a", 7, v1::Stage::Submit);
    site.noted_leg("a", 7, "program");
    site.container_of("a", 7, "", "program");
    assert_eq!(site.why_not().await, None);
}

#[tokio::test]
async fn without_offer_container_or_note_nothing_is_gone_on_with() {
    let mut site = Site::new();
    site.job("a", 7, v1::Stage::Submit);
    assert_eq!(site.why_not().await, Some("its agent had not been started"));
    site.container("a", 6, "w", "v");
    assert_eq!(site.why_not().await, Some("its agent had not been started"));
    site.container("a", 7, "w", "v");
    assert_eq!(site.why_not().await, Some("what its agent began with was not noted"));
    site.noted("a", 6);
    assert_eq!(site.why_not().await, Some("what its agent began with was not noted"));
    site.noted("a", 7);
    assert_eq!(site.why_not().await, None);
    site.config.volume = Some("another".to_owned());
    assert_eq!(site.why_not().await, Some("it uses another volume than this worker holds now"));
    site.recovered[0].finished = Some(Vec::new());
    assert_eq!(site.why_not().await, Some("its end is on record already"));

    let mut site = Site::new();
    site.job("a", 7, v1::Stage::Discover);
    site.container("a", 7, "w", "v");
    assert_eq!(site.why_not().await, Some("its stage is cheap, and begins anew"));
}

#[tokio::test]
async fn what_the_server_does_not_keep_is_given_up() {
    let mut site = Site::new();
    for job in ["a", "b"] {
        site.job(job, 7, v1::Stage::Submit);
        site.noted(job, 7);
        site.container(job, 7, "w", "v");
    }
    let mut claims = site.find().await;
    assert!(claims.give_up(&Lease::new("a", 7), "its lease has passed on"));
    assert!(!claims.give_up(&Lease::new("a", 7), "again"));
    let kept: Vec<Lease> = claims.kept().into_iter().map(|claim| claim.lease).collect();
    assert_eq!(kept, [Lease::new("b", 7)]);
    assert_eq!(claims.given_up(), BTreeMap::from([(Lease::new("a", 7), "its lease has passed on")]));
}
