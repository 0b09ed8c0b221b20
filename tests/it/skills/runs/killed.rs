//! A worker that dies while a shadow is at work: what the first way has come to is reported all the same. Only submit waits for its worker to come back;
//! the other stages are offered elsewhere at once, and begin anew.

use moorline_proto::v1::{self, JobStatus, RunStatus, ShadowStatus, Stage};
use moorline_server::domain::skill;
use moorline_tests::repo::SampleRepository;
use moorline_worker::config::Config;

use super::allowing;
use crate::{
    skills::{
        root::Root,
        view::{ended, execution, job},
    },
    support::{Fleet, Process, TestApp, eventually, fleet::repository, process},
};

/// The built-in way first, and in its shadow a program that doesn't end by itself.
struct Site {
    fleet: Fleet,
    root: Root,
    origin: SampleRepository,
}

impl Site {
    async fn new() -> Self {
        let policy = skill::Policy {
            canary_percent: 0,
            shadow_mode: true,
            ..allowing(&["lasts"])
        };
        Self {
            fleet: Fleet::of(TestApp::with_skills(policy).await, "work").await,
            root: Root::new().with("lasts", &["discover", "submit"], "time.sleep(600)\n"),
            origin: repository(SampleRepository::builder()),
        }
    }

    fn config(&self, name: &str, shard: Option<u32>) -> Config {
        let config = match shard {
            Some(index) => self.fleet.shard_config(name, index),
            None => self.fleet.config(name, "default"),
        };
        Config {
            skills_root: self.root.path().to_owned(),
            ..config
        }
    }

    /// A run with that program in the shadow of one stage.
    async fn run(&self, stage: Stage) -> v1::Run {
        let request = v1::CreateRunRequest {
            options: Some(v1::RunOptions {
                stage_skills: vec![v1::StageSkill {
                    stage: stage.into(),
                    skill: "lasts".to_owned(),
                }],
                ..Default::default()
            }),
            ..self.fleet.request(&self.origin)
        };
        self.fleet.app.create_with(request).await.expect("a run")
    }

    /// Kills the worker in the shadow of the stage, starts it again, and returns the run's end.
    async fn killed(&self, config: Config, stage: Stage) -> (v1::GetRunResponse, Process) {
        let mut worker = process::worker(&config).await;
        let run = self.run(stage).await;
        worker.says("skill started").await;
        // The server has taken all of it that was said, so that the numbers of reports have gone on.
        eventually("the shadow is told of", async || {
            self.told(&run, "in the shadow it goes by its skill").await.then_some(())
        })
        .await;
        worker.kill().await;
        assert_eq!(self.containers(&run).await, 1, "the shadow outlives its worker");
        let worker = process::worker(&config).await;
        let view = ended(&self.fleet.app, &run.run_id).await;
        eventually("nothing is left", async || (self.containers(&run).await == 0).then_some(())).await;
        (view, worker)
    }

    async fn told(&self, run: &v1::Run, words: &str) -> bool {
        let request = v1::WatchRunRequest {
            run_id: run.run_id.clone(),
            after_sequence: 0,
        };
        let mut events = self.fleet.app.runs().watch_run(request).await.unwrap().into_inner();
        while let Ok(Ok(Some(message))) = tokio::time::timeout(std::time::Duration::from_millis(200), events.message()).await {
            if let Some(v1::run_event::Event::Progress(progress)) = message.event.unwrap().event
                && progress.message.contains(words)
            {
                return true;
            }
        }
        false
    }

    async fn containers(&self, run: &v1::Run) -> usize {
        let labels = [("moorline.run".to_owned(), run.run_id.clone())].into();
        self.fleet.engine().await.list(&labels).await.unwrap().len()
    }
}

/// The stage has the end that its first way came to, by its first attempt.
fn reported(view: &v1::GetRunResponse, stage: Stage) {
    assert_eq!(view.run.as_ref().unwrap().status(), RunStatus::Succeeded, "{view:?}");
    let job = job(view, stage);
    assert_eq!((job.attempt, job.status()), (1, JobStatus::Succeeded), "{job:?}");
    let shadow = execution(view, stage).shadow.unwrap();
    assert_eq!(
        (shadow.status(), shadow.detail.as_str()),
        (ShadowStatus::NotCompared, "the worker ended before the shadow did")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_submit_whose_worker_is_killed_in_its_shadow_has_its_result() {
    let mut site = Site::new().await;
    site.fleet.log_in(0).await;
    let root = site.root.path().to_owned();
    site.fleet.default_worker(|config| config.skills_root = root).await;
    let (view, _worker) = site.killed(site.config("codex-worker-0", Some(0)), Stage::Submit).await;
    reported(&view, Stage::Submit);
    // One agent has worked; that of the shadow was never asked anything.
    assert_eq!(site.origin.log(&view.run.unwrap().branch_name).unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_cancelled_in_a_shadow_stops_at_once() {
    let mut site = Site::new().await;
    site.fleet.log_in(0).await;
    let root = site.root.path().to_owned();
    site.fleet.shard_worker(0, |config| config.skills_root = root).await;
    let worker = process::worker(&site.config("default-1", None)).await;
    let run = site.run(Stage::Discover).await;
    worker.says("skill started").await;
    let cancel = v1::CancelRunRequest {
        run_id: run.run_id.clone(),
        reason: "test".to_owned(),
    };
    site.fleet.app.runs().cancel_run(cancel).await.unwrap();
    let view = ended(&site.fleet.app, &run.run_id).await;
    assert_eq!(view.run.unwrap().status(), RunStatus::Cancelled);
    eventually("nothing is left", async || (site.containers(&run).await == 0).then_some(())).await;
}
