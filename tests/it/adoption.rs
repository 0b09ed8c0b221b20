//! Agents outlive their worker: one that starts again under the same name goes on with them, where the server lets it.
//!
//! Real workers as processes, killed by `kill -9`; real containers; the real Codex CLI in a conversation with a model that waits.

use std::time::{Duration, Instant};

use moorline_proto::v1::{self, JobStatus, RunStatus, Stage};
use moorline_server::flow::Timers;
use moorline_tests::repo::SampleRepository;
use moorline_worker::{config::Config, engine::Container};
use rustix::process::Signal;

use crate::support::{Fleet, Process, TestApp, eventually, fleet::repository};

/// A fleet with a default worker, a login for shard 0, and a repository.
struct Site {
    fleet: Fleet,
    origin: SampleRepository,
    /// The shard's worker.
    config: Config,
}

impl Site {
    async fn new() -> Self {
        let mut fleet = Fleet::new("wait").await;
        fleet.default_worker(|_| {}).await;
        fleet.log_in(0).await;
        Self::of(fleet)
    }

    fn of(fleet: Fleet) -> Self {
        let mut config = fleet.config("codex-worker", "codex-0");
        config.volume = Some(fleet.volume(0));
        Self {
            fleet,
            origin: repository(SampleRepository::builder()),
            config,
        }
    }

    /// A run whose agent has asked the model, and the worker that has started it.
    async fn at_work(&self) -> (v1::Run, Process) {
        let worker = start(&self.config);
        let run = self.fleet.app.create_with(self.fleet.request(&self.origin)).await.unwrap();
        self.talking(1, &worker).await;
        // Said once the agent is noted: a worker that is killed before has not begun for good.
        worker.says(" works on ").await;
        (run, worker)
    }

    /// Waits until so many agents have begun to talk with the model. On a busy machine a container takes its time to come to that.
    async fn talking(&self, agents: usize, worker: &Process) {
        let deadline = Instant::now() + Duration::from_secs(150);
        while self.conversations() < agents {
            assert!(Instant::now() < deadline, "no question to the model: {}", worker.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// How many agents have begun to talk with the model: each begins once without the output of a tool.
    fn conversations(&self) -> usize {
        let requests = self.fleet.model.requests();
        let begins = requests
            .iter()
            .filter(|request| request.prompt.is_some() && request.tool_outputs.is_empty());
        begins.count()
    }

    async fn containers(&self, run: &v1::Run) -> Vec<Container> {
        let labels = [("moorline.run".to_owned(), run.run_id.clone())].into();
        self.fleet.engine().await.list(&labels).await.unwrap()
    }

    /// Starts the worker again; returns how long it took until it went on with the job.
    async fn adopted(&self) -> (Process, Duration) {
        let began = Instant::now();
        let worker = start(&self.config);
        worker.says("job adopted").await;
        (worker, began.elapsed())
    }

    /// The run has succeeded by its first attempt and one conversation, and nothing is left of it.
    async fn succeeded_at_once(&self, run: &v1::Run, worker: &Process) {
        let view = self.fleet.app.finished(&run.run_id).await;
        assert_eq!(view.run.as_ref().unwrap().status(), RunStatus::Succeeded, "{view:?}");
        assert_eq!(submits(&view), [(1, JobStatus::Succeeded, String::new())]);
        assert_eq!(self.conversations(), 1, "the model saw one conversation");
        assert_eq!(self.origin.log(&view.run.as_ref().unwrap().branch_name).unwrap().len(), 2);
        self.told_once(run).await;
        worker.says("job succeeded").await;
        eventually("nothing is left", async || self.containers(run).await.is_empty().then_some(())).await;
    }

    /// Each line of progress of the agent came once, and so did each byte of its output.
    async fn told_once(&self, run: &v1::Run) {
        let events = self.fleet.app.events(&run.run_id).await;
        let mut lines: Vec<String> = events
            .into_iter()
            .filter_map(|event| match event.event {
                Some(v1::run_event::Event::Progress(progress)) if progress.stage() == Stage::Submit => Some(progress.message),
                _ => None,
            })
            .collect();
        assert!(lines.iter().any(|line| line.contains("the worker has started anew")), "{lines:?}");
        let all = lines.len();
        lines.sort();
        lines.dedup();
        assert_eq!(lines.len(), all, "{lines:?}");
        let request = v1::StreamRunLogsRequest {
            run_id: run.run_id.clone(),
            ..Default::default()
        };
        let mut pieces = self.fleet.app.runs().stream_run_logs(request).await.unwrap().into_inner();
        let mut output = Vec::new();
        while let Some(piece) = pieces.message().await.unwrap() {
            output.extend_from_slice(&piece.content);
        }
        let output = String::from_utf8(output).unwrap();
        assert_eq!(output.matches("thread.started").count(), 1, "{output}");
        assert_eq!(output.matches("turn.completed").count(), 1, "{output}");
    }
}

/// A worker's process.
fn start(config: &Config) -> Process {
    let variables = [
        ("MOORLINE_SERVER", config.server.clone()),
        ("MOORLINE_WORKER_NAME", config.name.clone()),
        ("MOORLINE_QUEUES", config.queues.join(",")),
        ("CODEX_VOLUME_NAME", config.volume.clone().unwrap_or_default()),
        ("MOORLINE_WORK_ROOT", config.work_root.display().to_string()),
        ("MOORLINE_VOLUME_ROOT", config.volume_root.display().to_string()),
        ("MOORLINE_ENGINE", format!("{:?}", config.engine).to_lowercase()),
        ("MOORLINE_SKILLS_ROOT", config.skills_root.display().to_string()),
        ("SPEC_AUTOMATION_JOB_IMAGE", config.job_image.clone()),
        ("MOORLINE_CODEX_PROGRAM", config.codex_program.clone()),
        ("MOORLINE_SPECKIT_PROGRAM", config.speckit_program.clone()),
        ("DEFAULT_EMBEDDING_PROVIDER", config.embedding.provider.name().to_owned()),
        ("MOORLINE_CODEX_CONFIG", config.codex_config.join("\n")),
        ("MOORLINE_GIT_PROTOCOLS", config.git_protocols.clone()),
        ("MOORLINE_DRAIN_SECONDS", config.drain_grace.as_secs().to_string()),
        ("MOORLINE_LEAVE_AGENTS", u8::from(config.leave_agents).to_string()),
    ];
    Process::start(env!("CARGO_BIN_EXE_moorline-worker-under-test"), &variables)
}

/// How the attempts of a run's submit ended, in their order.
fn submits(view: &v1::GetRunResponse) -> Vec<(i32, JobStatus, String)> {
    let submits = view.jobs.iter().filter(|job| job.stage() == Stage::Submit);
    let code = |job: &v1::Job| job.failure.as_ref().map(|failure| failure.code.clone()).unwrap_or_default();
    submits.map(|job| (job.attempt, job.status(), code(job))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_was_killed_goes_on_with_its_agent() {
    let site = Site::new().await;
    let (run, mut worker) = site.at_work().await;
    worker.kill().await;
    let (worker, took) = site.adopted().await;
    println!("adopted after {} ms", took.as_millis());
    assert!(took < Duration::from_secs(2), "adopted only after {took:?}");
    site.fleet.model.go_on();
    site.succeeded_at_once(&run, &worker).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_ends_while_its_worker_is_away_has_worked_for_good() {
    let site = Site::new().await;
    let (run, mut worker) = site.at_work().await;
    worker.kill().await;
    site.fleet.model.go_on();
    let left = site.containers(&run).await.pop().expect("its container");
    // By itself: nobody is there to end it.
    site.fleet.engine().await.wait(&left).await.unwrap();
    assert_eq!(site.fleet.app.get(&run.run_id).await.run.unwrap().status(), RunStatus::Running);
    let (worker, _) = site.adopted().await;
    site.succeeded_at_once(&run, &worker).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_cancelled_while_its_worker_is_away_is_stopped_when_it_comes_back() {
    let site = Site::new().await;
    let (run, mut worker) = site.at_work().await;
    worker.kill().await;
    let cancel = v1::CancelRunRequest {
        run_id: run.run_id.clone(),
        reason: "no longer needed".to_owned(),
    };
    site.fleet.app.runs().cancel_run(cancel).await.unwrap();
    let (worker, _) = site.adopted().await;
    worker.says("job stopped").await;
    let view = site.fleet.app.finished(&run.run_id).await;
    assert_eq!(view.run.as_ref().unwrap().status(), RunStatus::Cancelled, "{view:?}");
    assert_eq!(submits(&view), [(1, JobStatus::Cancelled, String::new())]);
    eventually("nothing is left", async || site.containers(&run).await.is_empty().then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_comes_back_after_its_lease_stops_its_agent_and_says_so() {
    let timers = Timers {
        lease: Duration::from_secs(4),
        ping_interval: Duration::from_millis(500),
        ping_timeout: Duration::from_millis(1500),
        poll: Duration::from_millis(100),
        ..Timers::default()
    };
    let mut fleet = Fleet::of(TestApp::with_timers(timers).await, "wait").await;
    fleet.default_worker(|_| {}).await;
    fleet.log_in(0).await;
    let site = Site::of(fleet);
    let (run, mut worker) = site.at_work().await;
    worker.kill().await;
    assert_eq!(site.containers(&run).await.len(), 1);

    // As on another host: it doesn't see the first one's containers.
    let elsewhere = crate::support::fleet::open_folder();
    let mut config = site.config.clone();
    (config.name, config.work_root) = ("standby".to_owned(), elsewhere.path().to_owned());
    let standby = start(&config);
    standby.says("the server has welcomed this worker").await;

    // The first agent still has the lock in the volume: the standby's can't begin before it is gone.
    let back = start(&site.config);
    let said = back.says("nobody goes on with").await;
    for fact in [&run.run_id, "codex-worker", "held by another worker"] {
        assert!(said.contains(fact), "{fact} is not in {said}");
    }
    eventually("its agent is gone", async || site.containers(&run).await.is_empty().then_some(())).await;
    site.talking(2, &standby).await;
    site.fleet.model.go_on();
    let view = site.fleet.app.finished(&run.run_id).await;
    assert_eq!(view.run.as_ref().unwrap().status(), RunStatus::Succeeded, "{view:?}");
    let submits = submits(&view);
    assert_eq!(submits[0], (1, JobStatus::Failed, "WORKER_LOST".to_owned()));
    assert_eq!(submits.last().unwrap().1, JobStatus::Succeeded, "{submits:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_was_told_to_leave_its_agents_goes_on_with_them() {
    let mut site = Site::new().await;
    (site.config.leave_agents, site.config.drain_grace) = (true, Duration::ZERO);
    let (run, worker) = site.at_work().await;
    worker.signal(Signal::TERM);
    worker.says("left to the next start of this worker").await;
    worker.says("the worker has stopped").await;
    let (worker, _) = site.adopted().await;
    site.fleet.model.go_on();
    site.succeeded_at_once(&run, &worker).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_docker_too_a_worker_that_was_killed_goes_on_with_its_agent() {
    let site = Site::of(Fleet::in_docker("wait").await);
    let (run, mut worker) = site.at_work().await;
    worker.kill().await;
    let (worker, took) = site.adopted().await;
    println!("adopted after {} ms", took.as_millis());
    // Half a second on a quiet machine; an engine that is busy with other tests takes seconds for each answer.
    assert!(took < Duration::from_secs(10), "adopted only after {took:?}");
    site.fleet.model.go_on();
    site.succeeded_at_once(&run, &worker).await;
}
