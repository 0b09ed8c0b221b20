//! The submit stage on each engine, with a stand-in that does what an agent does: it changes files and prints events.

use std::{collections::BTreeMap, path::Path, process::Command, sync::Arc, time::Duration};

use moorline_proto::v1::{self, ArtifactType, FailureClass};
use moorline_worker::stage::{
    self, AgentEnded, Context, Course, Owner, RunFolder,
    submit::{Adopted, AtWork},
};
use tokio_util::sync::CancellationToken;

use crate::{
    agent::Site,
    failing::Failing,
    outlet::Kept,
    world::{World, eventually},
};

const KEY: &str = r#"{"auth_mode":"apikey","OPENAI_API_KEY":"sk-test-0123456789abcdefghij"}"#;
const TASKS: &str = "# Tasks\n\n## Phase 1: Setup\n\n- [x] T001 Begin\n\n## Phase 2: Core\n\n- [ ] T002 [P] Write hello.txt\n";
pub const BEGIN: &str = r#"echo '{"type":"thread.started","thread_id":"thread-1"}'
echo '{"type":"item.started","item":{"type":"command_execution","command":"/bin/bash -lc \"make\"","status":"in_progress"}}'
"#;
pub const END: &str = r#"echo '{"type":"turn.completed","usage":{"input_tokens":20,"output_tokens":10}}'
"#;

/// A job on a repository of its own.
pub struct Job {
    pub site: Site,
    pub outlet: Arc<Kept>,
    pub context: Context,
}

impl Job {
    /// A file of the volume.
    pub async fn kept(&self, name: &str) -> Option<String> {
        use secrecy::ExposeSecret;
        let content = self.site.world.engine.read_volume_file(&self.site.volume, name).await.unwrap()?;
        Some(String::from_utf8(content.expose_secret().to_vec()).unwrap())
    }

    /// A job whose agent does this, on a volume with a login.
    pub async fn new(world: World, work: &str) -> Self {
        let site = Site::new(world).await;
        site.answer(0, "Logged in using an API key - sk-test-***fghij\n").await;
        site.put("auth.json", KEY, "600").await;
        site.put("work", work, "644").await;
        let origin = site.world.root.path().join("origin");
        repository(&origin);
        let run_id = uuid::Uuid::now_v7().to_string();
        let offer = v1::Offer {
            job_id: uuid::Uuid::now_v7().to_string(),
            run_id: run_id.clone(),
            lease_token: 7,
            attempt: 2,
            stage: v1::Stage::Submit.into(),
            queue: "codex-0".to_owned(),
            spec: Some(v1::JobSpec {
                repository: format!("file://{}", origin.display()),
                feature_key: "001-hello".to_owned(),
                volume: site.volume.clone(),
                ..v1::JobSpec::default()
            }),
            ..v1::Offer::default()
        };
        let folder = RunFolder::below(&site.config.work_root, &run_id, &offer.job_id);
        let outlet = Arc::new(Kept::default());
        let course = Course::of(&offer);
        let context = Context {
            config: Arc::new(site.config.clone()),
            engine: site.world.engine.clone(),
            offer,
            folder,
            outlet: outlet.clone(),
            stop: CancellationToken::new(),
            leaving: CancellationToken::new(),
            going: CancellationToken::new(),
            agent_ended: AgentEnded::default(),
            course,
            holding: None,
            skills: Arc::default(),
        };
        context.folder.prepare(&context).unwrap();
        Self { site, outlet, context }
    }

    pub async fn run(&self) -> Result<v1::SubmitResult, stage::Error> {
        let done = stage::submit::run(&self.context).await;
        stage::clear(&self.context).await;
        let labels = BTreeMap::from([("moorline.run".to_owned(), self.context.offer.run_id.clone())]);
        assert_eq!(self.site.world.engine.list(&labels).await.unwrap(), [], "its container is gone");
        done
    }

    pub async fn fail(&self) -> v1::Failure {
        match self.run().await.unwrap_err() {
            stage::Error::Failed(failure) => failure,
            stage::Error::Stopped(how) => panic!("stopped: {how}"),
        }
    }

    pub fn log(&self) -> String {
        self.outlet.artifact(ArtifactType::CodexLogs).expect("the log is stored")
    }
}

fn repository(origin: &Path) {
    std::fs::create_dir_all(origin.join("specs/001-hello")).unwrap();
    std::fs::write(origin.join("specs/001-hello/tasks.md"), TASKS).unwrap();
    let git = |args: &[&str]| {
        let done = Command::new("git").arg("-C").arg(origin).args(args).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    };
    git(&["init", "-q", "-b", "main"]);
    git(&["add", "."]);
    git(&["-c", "user.name=t", "-c", "user.email=t@t", "commit", "-q", "-m", "Begin"]);
}

pub async fn an_agents_work_becomes_a_patch_and_a_log(world: World) {
    let work = format!(
        "{BEGIN}cat >prompt-as-read.txt; printf hello >hello.txt; sed -i 's/- \\[ \\] T002/- [x] T002/' specs/001-hello/tasks.md\n\
         env >&2; ls -a $HOME >&2\n{END}"
    );
    let job = Job::new(world, &work).await;
    let done = job.run().await.unwrap();
    assert_eq!((done.codex_task_id.as_str(), done.files_changed), ("thread-1", 3));
    assert_eq!((done.input_tokens, done.output_tokens), (20, 10));
    assert_eq!(done.base_commit.len(), 40);
    let patch = job.outlet.artifact(ArtifactType::CodexPatch).unwrap();
    assert!(
        patch.contains("+hello") && patch.contains("+- [x] T002 [P] Write hello.txt"),
        "{patch}"
    );
    // The prompt, as the agent got it.
    assert!(
        patch.contains("+Phase 2: Core") && patch.contains("+- T002 [P] Write hello.txt"),
        "{patch}"
    );
    assert!(!patch.contains("T001 Begin\n+"), "{patch}");
    let progress = job.outlet.progress.lock().unwrap().join("\n");
    assert!(progress.contains("$ make") && progress.contains("3 files changed"), "{progress}");
    assert_eq!(job.outlet.preflights.lock().unwrap().len(), 1);
    assert!(job.outlet.volumes.lock().unwrap()[0].exists);
    let log = job.log();
    let home = job.context.folder.home.display().to_string();
    for line in [
        format!("CODEX_HOME={home}/.codex"),
        format!("HOME={home}"),
        "GIT_TERMINAL_PROMPT=0".to_owned(),
    ] {
        assert!(log.contains(&line), "{line} is not in {log}");
    }
    assert_eq!(*job.outlet.output.lock().unwrap(), log, "what was followed is what was stored");
    // Its login was locked while it worked, and is looked after since.
    let held = format!("acquire {}-7 agent 0 w1\n", job.context.offer.job_id);
    let lock = job.kept(".moorline/lock.log").await.unwrap();
    assert!(
        lock.contains(&held) && lock.contains(&format!("release {}-7 0\n", job.context.offer.job_id)),
        "{lock}"
    );
    assert_eq!(job.kept(".moorline/snapshot/auth.json").await.as_deref(), Some(KEY));
    assert!(job.kept(".moorline/state.json").await.unwrap().contains("proven"));
}

pub async fn an_agent_that_is_stopped_leaves_its_login_looked_after(world: World) {
    let renew = r#"echo "{\"OPENAI_API_KEY\":\"sk-other-0123456789abcdefghij\"}" >"$CODEX_HOME/auth.json"; touch up; sleep 1000"#;
    let job = Job::new(world, &format!("{BEGIN}{renew}")).await;
    let up = job.context.folder.repo.join("up");
    let stop = async {
        eventually("the agent works", async || up.exists().then_some(())).await;
        job.context.stop.cancel();
    };
    let (ended, ()) = tokio::join!(job.run(), stop);
    assert!(matches!(ended, Err(stage::Error::Stopped("stopped"))), "{ended:?}");
    let snapshot = job.kept(".moorline/snapshot/auth.json").await.unwrap();
    assert!(snapshot.contains("sk-other"), "the last good one");
    let lock = job.kept(".moorline/lock.log").await.unwrap();
    assert!(lock.contains("-7 143\n") && lock.contains(" snapshot "), "{lock}");
    assert!(job.kept(".moorline/doubt").await.unwrap().contains("ended with code 143"));
}

pub async fn a_job_of_an_older_lease_does_not_get_the_volume(world: World) {
    let mut job = Job::new(world, &format!("{BEGIN}touch \"$CODEX_HOME/started\"\n{END}")).await;
    job.context.offer.spec.as_mut().unwrap().volume_generation = 4;
    assert_eq!(job.fail().await.code, "NO_CHANGES");
    job.site.put("started", "", "600").await;
    job.context.offer.spec.as_mut().unwrap().volume_generation = 3;
    let failure = job.fail().await;
    assert_eq!((failure.code.as_str(), failure.class()), ("FENCED", FailureClass::Environment));
    assert_eq!(job.outlet.preflights.lock().unwrap().len(), 1, "nothing was learnt of the login");
}

pub async fn an_agent_is_not_started_on_a_bad_login(world: World) {
    let job = Job::new(world, &format!("{BEGIN}touch \"$CODEX_HOME/started\"\n{END}")).await;
    job.site.answer(1, "Not logged in\n").await;
    let failure = job.fail().await;
    assert_eq!((failure.code.as_str(), failure.class()), ("NOT_LOGGED_IN", FailureClass::Login));
    let reported = job.outlet.preflights.lock().unwrap()[0].clone();
    assert_eq!(
        (reported.status(), &reported.message),
        (v1::PreflightStatus::Failed, &failure.message)
    );
    assert!(job.outlet.artifacts.lock().unwrap().is_empty());
    let started = job.site.world.engine.read_volume_file(&job.site.volume, "started").await;
    assert!(started.unwrap().is_none());
}

pub async fn a_login_that_dies_at_work_is_told_with_its_remedy(world: World) {
    let refused = r#"echo '{"type":"turn.failed","error":{"message":"unexpected status 401 Unauthorized: key sk-test-0123456789abcdefghij"}}'; exit 1"#;
    let job = Job::new(world, &format!("{BEGIN}{refused}")).await;
    let failure = job.fail().await;
    assert_eq!((failure.code.as_str(), failure.class()), ("REVOKED", FailureClass::Login));
    assert!(
        failure.message.contains(&job.site.volume) && failure.message.contains("moorline volume login"),
        "{}",
        failure.message
    );
    assert!(!format!("{failure:?}{}", job.log()).contains("sk-test"), "{failure:?}");
    let reported = job.outlet.preflights.lock().unwrap().clone();
    let [before, after] = reported.as_slice() else {
        panic!("{reported:?}")
    };
    assert_eq!(before.status(), v1::PreflightStatus::Passed);
    assert_eq!(
        (after.status(), after.rung(), &after.message, &after.volume),
        (
            v1::PreflightStatus::Failed,
            v1::PreflightRung::Revoked,
            &failure.message,
            &job.site.volume
        )
    );
    assert!(job.outlet.artifact(ArtifactType::CodexPatch).is_none());
    // The CLI still says that a login is stored.
    let again = job.fail().await;
    assert_eq!(again.code, "REVOKED");
    assert!(
        again.message.contains("unexpected status 401 Unauthorized: key [redacted]"),
        "{}",
        again.message
    );
    assert_eq!(
        job.outlet.preflights.lock().unwrap().len(),
        3,
        "this time it is the check that says so"
    );
}

pub async fn an_account_without_quota_is_reported_as_a_failed_check(world: World) {
    let refused = r#"echo '{"type":"turn.failed","error":{"message":"You have hit your usage limit. Try again in 2 hours."}}'; exit 1"#;
    let job = Job::new(world, &format!("{BEGIN}{refused}")).await;
    assert_eq!(job.fail().await.code, "RATE_LIMITED");
    let reported = job.outlet.preflights.lock().unwrap().last().cloned().unwrap();
    assert_eq!(
        (reported.status(), reported.rung()),
        (v1::PreflightStatus::Failed, v1::PreflightRung::RateLimited)
    );
    assert_eq!(reported.retry_after.unwrap().seconds, 7200);
}

pub async fn secrets_that_an_agent_prints_are_not_passed_on(world: World) {
    let cat = r#"cat "$CODEX_HOME/auth.json"; echo; cat "$CODEX_HOME/auth.json" >&2; echo x >x"#;
    let job = Job::new(world, &format!("{BEGIN}{cat}\n{END}")).await;
    job.run().await.unwrap();
    let log = job.log();
    assert!(log.contains("[redacted]") && !log.contains("sk-test"), "{log}");
    assert!(!job.outlet.output.lock().unwrap().contains("sk-test"));
}

pub async fn another_runs_folder_is_out_of_sight(world: World) {
    let world_is_docker = world.docker;
    let unprivileged = !world.docker && !rustix::process::geteuid().is_root();
    let look = "ls -d ../../*; ls ../../../git ../../../owners ../../../spool; cat ../../neighbour/repo/secret";
    let job = Job::new(world, &format!("{BEGIN}({look}) >seen 2>&1; printf '\\nlooked\\n' >>seen\n{END}")).await;
    let work_root = &job.site.config.work_root;
    let owner = Owner {
        job_id: "other".to_owned(),
        lease_token: 1,
    };
    let folder = RunFolder::below(work_root, "neighbour", "other");
    folder.create_private().unwrap();
    folder.create_shared("1000:1000", &owner).unwrap();
    std::fs::write(folder.repo.join("secret"), "of-another-run").unwrap();
    job.run().await.unwrap();
    let seen = job.outlet.artifact(ArtifactType::CodexPatch).unwrap();
    assert!(seen.contains("+looked"), "{seen}");
    // Local processes are one user: who knows where another run's folder is can read it, and only the list of them is closed.
    assert!(!world_is_docker || !seen.contains("of-another-run"), "{seen}");
    if !unprivileged {
        let names = seen
            .lines()
            .filter(|line| !line.contains("cannot") && !line.contains("denied") && !line.contains("No such file"));
        assert!(!names.clone().any(|line| line.contains("neighbour")), "{seen}");
    }
}

pub async fn an_agent_can_not_move_its_checkout_away(world: World) {
    let unprivileged = !world.docker && !rustix::process::geteuid().is_root();
    let swap = "cd ..; if mv repo moved 2>/dev/null; then ln -s /etc repo; fi; touch new 2>/dev/null; ls -d new moved 2>/dev/null; cd repo; echo x >x";
    let job = Job::new(world, &format!("{BEGIN}{swap}\n{END}")).await;
    if unprivileged {
        // Nothing keeps a job of the worker's own user from it; the link is refused all the same.
        assert_eq!(job.fail().await.code, "WORK_TREE_REPLACED");
        return;
    }
    assert_eq!(job.run().await.unwrap().files_changed, 1);
    assert!(!job.log().contains("new") && !job.log().contains("moved"), "{}", job.log());
}

pub async fn a_link_in_the_place_of_the_checkout_is_refused(world: World) {
    let job = Job::new(world, &format!("{BEGIN}while [ ! -L ../repo ]; do sleep 0.05; done\n{END}")).await;
    let elsewhere = job.site.world.root.path().join("elsewhere");
    std::fs::create_dir_all(elsewhere.join("a/.git")).unwrap();
    let (at_work, folder, link) = (job.outlet.at_work.clone(), job.context.folder.clone(), elsewhere.clone());
    tokio::spawn(async move {
        at_work.cancelled().await;
        std::fs::rename(&folder.repo, folder.root.join("moved")).unwrap();
        std::os::unix::fs::symlink(link, &folder.repo).unwrap();
    });
    let failure = job.fail().await;
    assert_eq!((failure.code.as_str(), failure.class()), ("WORK_TREE_REPLACED", FailureClass::Job));
    assert!(elsewhere.join("a/.git").is_dir(), "nothing behind the link is touched");
    assert!(job.outlet.artifact(ArtifactType::CodexPatch).is_none());
}

pub async fn an_engine_that_fails_at_work_leaves_no_agent_behind(world: World) {
    let mut job = Job::new(world, &format!("{BEGIN}sleep 1000")).await;
    job.context.engine = Arc::new(Failing::new(&job.site.world.engine, 1, 2, 2));
    let failure = job.fail().await;
    assert_eq!(
        (failure.code.as_str(), failure.class()),
        ("ENGINE_FAILED", FailureClass::Environment)
    );
}

pub async fn a_cancelled_job_has_stopped_though_its_engine_failed(world: World) {
    let mut job = Job::new(world, &format!("{BEGIN}sleep 1000")).await;
    job.context.engine = Arc::new(Failing::new(&job.site.world.engine, 0, 2, 1));
    let (at_work, stop) = (job.outlet.at_work.clone(), job.context.stop.clone());
    tokio::spawn(async move {
        at_work.cancelled().await;
        stop.cancel();
    });
    let ended = job.run().await;
    assert!(matches!(ended, Err(stage::Error::Stopped("killed"))), "{ended:?}");
}

pub async fn an_agent_that_prints_no_events_has_failed(world: World) {
    let job = Job::new(world, "echo hello; echo 'Error: Model provider `nope` not found' >&2; exit 1").await;
    let failure = job.fail().await;
    assert_eq!((failure.code.as_str(), failure.class()), ("AGENT_NO_OUTPUT", FailureClass::Job));
    assert!(failure.message.contains("Model provider `nope` not found"), "{}", failure.message);
    let log = job.log();
    assert!(log.starts_with("hello\n") && log.contains("moorline.stderr"), "{log}");
}

pub async fn an_agent_that_changes_nothing_has_failed(world: World) {
    let job = Job::new(world, &format!("{BEGIN}{END}")).await;
    let failure = job.fail().await;
    assert_eq!((failure.code.as_str(), failure.class()), ("NO_CHANGES", FailureClass::Job));
    assert!(job.log().contains("turn.completed"));
}

pub async fn an_agent_that_takes_too_long_is_ended_by_its_container(world: World) {
    let mut job = Job::new(world, &format!("{BEGIN}sleep 1000")).await;
    job.context.offer.timeout = Some(prost_types::Duration { seconds: 5, nanos: 0 });
    let failure = job.fail().await;
    assert_eq!(failure.code, "AGENT_TIMED_OUT");
    assert!(job.log().contains("thread.started"));
}

impl Job {
    /// The same with so much of the disk.
    pub fn with_disk(mut self, mib: u64) -> Self {
        let mut config = self.site.config.clone();
        config.walls.disk_bytes = mib << 20;
        self.context.config = Arc::new(config);
        self
    }

    /// Its agent has taken more than that.
    pub async fn fills_the_disk(&self) {
        let failure = tokio::time::timeout(Duration::from_secs(300), self.fail())
            .await
            .expect("nobody stopped it");
        assert_eq!((failure.code.as_str(), failure.class()), ("AGENT_DISK_FULL", FailureClass::Job));
        assert!(failure.message.contains("MOORLINE_JOB_DISK_MIB"), "{}", failure.message);
        assert!(self.log().contains("thread.started"), "its log is stored: {}", self.log());
        assert!(self.outlet.artifact(ArtifactType::CodexPatch).is_none());
        // As after any other end: the last good login is put aside, and the lock in the volume is free.
        assert_eq!(self.kept(".moorline/snapshot/auth.json").await.as_deref(), Some(KEY));
        assert!(self.kept(".moorline/lock.log").await.unwrap().contains(" release "));
        assert_eq!(self.kept("auth.json").await.as_deref(), Some(KEY));
    }
}

pub async fn an_agent_that_fills_the_disk_is_stopped(world: World) {
    let job = Job::new(world, &format!("{BEGIN}head -c 48M /dev/zero >much; sleep 1000")).await;
    job.with_disk(32).fills_the_disk().await;
}

pub async fn an_agent_that_fills_its_home_behind_a_shut_door_is_stopped(world: World) {
    let hide = "mkdir -p $HOME/in/side; head -c 48M /dev/zero >$HOME/in/side/much; chmod 0 $HOME/in; sleep 1000";
    let job = Job::new(world, &format!("{BEGIN}{hide}")).await;
    job.with_disk(32).fills_the_disk().await;
}

pub async fn an_agent_that_filled_the_disk_and_ended_leaves_no_patch(world: World) {
    let job = Job::new(world, &format!("{BEGIN}head -c 48M /dev/zero >much\n{END}")).await;
    job.with_disk(32).fills_the_disk().await;
}

pub async fn an_agent_within_its_disk_is_left_alone(world: World) {
    // A sparse file takes nothing, and what lies behind a link is not the job's.
    let job = Job::new(
        world,
        &format!("{BEGIN}truncate -s 1T ../home/sparse; ln -s / ../home/all; sleep 5; echo x >x\n{END}"),
    )
    .await;
    assert_eq!(job.with_disk(32).run().await.unwrap().files_changed, 1);
}

pub async fn a_stop_ends_the_agent(world: World) {
    let job = Job::new(world, &format!("{BEGIN}sleep 1000")).await;
    let (at_work, stop) = (job.outlet.at_work.clone(), job.context.stop.clone());
    tokio::spawn(async move {
        at_work.cancelled().await;
        stop.cancel();
    });
    let ended = tokio::time::timeout(Duration::from_secs(30), job.run()).await.unwrap();
    assert!(matches!(ended, Err(stage::Error::Stopped("stopped"))), "{ended:?}");
}

pub async fn a_stage_that_is_given_up_takes_its_container_with_it(world: World) {
    let job = Job::new(world, &format!("{BEGIN}sleep 1000")).await;
    let (context, at_work) = (job.context.clone(), job.outlet.at_work.clone());
    let stage = tokio::spawn(async move { stage::submit::run(&context).await });
    at_work.cancelled().await;
    stage.abort();
    let labels = BTreeMap::from([("moorline.run".to_owned(), job.context.offer.run_id.clone())]);
    crate::world::eventually("the container is gone", async || {
        job.site.world.engine.list(&labels).await.unwrap().is_empty().then_some(())
    })
    .await;
}

/// An agent that waits for a word, and what it says before and after.
const WAITS: &str = "while [ ! -e ../go ]; do sleep 0.05; done; echo hello >hello.txt\n\
    echo '{\"type\":\"item.started\",\"item\":{\"type\":\"command_execution\",\"command\":\"late\",\"status\":\"in_progress\"}}'\n";

impl Job {
    pub fn go(&self) {
        std::fs::write(self.context.folder.root.join("go"), "").unwrap();
    }

    /// Lets the agent get to work, and ends the worker as kill −9 does: nothing is told to anybody.
    pub async fn killed_at_work(&mut self) -> Adopted {
        let (context, at_work) = (self.context.clone(), self.outlet.at_work.clone());
        let stage = tokio::spawn(async move { stage::submit::run(&context).await });
        at_work.cancelled().await;
        self.context.leaving.cancel();
        stage.abort();
        assert!(stage.await.unwrap_err().is_cancelled());
        // Another process: nothing is known but what is on disk and with the engine.
        self.outlet = Arc::new(Kept::default());
        self.context.outlet = self.outlet.clone();
        self.context.engine = self.site.world.again();
        self.context.leaving = CancellationToken::new();
        (self.context.course, self.context.agent_ended) = (Course::of(&self.context.offer), AgentEnded::default());
        let labels = BTreeMap::from([("moorline.job".to_owned(), self.context.offer.job_id.clone())]);
        Adopted {
            share: None,
            container: self.context.engine.list(&labels).await.unwrap().pop().expect("it is still there"),
            at_work: AtWork::read(&self.context.folder).unwrap().expect("it is noted"),
        }
    }

    /// What came of it, as the result of a job that nobody interrupted.
    async fn resumed(&self, adopted: Adopted) {
        let base = adopted.at_work.base_commit.clone();
        let done = stage::submit::resume(&self.context, adopted.clone()).await.unwrap();
        assert_eq!((done.codex_task_id.as_str(), done.files_changed), ("thread-1", 1));
        assert_eq!((done.input_tokens, done.output_tokens), (20, 10));
        assert_eq!(done.base_commit, base);
        assert!(self.outlet.artifact(ArtifactType::CodexPatch).unwrap().contains("+hello"));
        assert!(
            self.log().contains("thread.started") && self.log().contains("late"),
            "{}",
            self.log()
        );
        assert_eq!(*self.outlet.output.lock().unwrap(), self.log());
        let progress = self.outlet.progress.lock().unwrap().clone();
        assert!(
            progress.contains(&"$ late".to_owned()) && !progress.contains(&"$ make".to_owned()),
            "what was told is not told again: {progress:?}"
        );
        assert!(self.outlet.preflights.lock().unwrap().is_empty(), "the login is not checked again");
        // Its end is not on record yet: a worker that is killed now goes on from here, and to the same end.
        let again = stage::submit::resume(&self.context, adopted).await.unwrap();
        assert_eq!(again, done);
        stage::clear(&self.context).await;
        let labels = BTreeMap::from([("moorline.job".to_owned(), self.context.offer.job_id.clone())]);
        assert_eq!(self.context.engine.list(&labels).await.unwrap(), []);
    }
}

pub async fn an_agent_that_outlives_its_worker_is_gone_on_with(world: World) {
    let mut job = Job::new(world, &format!("{BEGIN}{WAITS}{END}")).await;
    let adopted = job.killed_at_work().await;
    let go = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        job.go();
    };
    tokio::join!(job.resumed(adopted), go);
}

pub async fn an_agent_that_ended_while_no_worker_was_there_is_gone_on_with(world: World) {
    let mut job = Job::new(world, &format!("{BEGIN}{WAITS}{END}")).await;
    let adopted = job.killed_at_work().await;
    job.go();
    job.context.engine.wait(&adopted.container).await.unwrap();
    job.resumed(adopted).await;
}

pub async fn an_agent_that_was_killed_while_no_worker_was_there_was_lost(world: World) {
    let mut job = Job::new(world, &format!("{BEGIN}trap '' TERM; while :; do sleep 1; done")).await;
    let adopted = job.killed_at_work().await;
    job.context.engine.stop(&adopted.container, Duration::ZERO).await.unwrap();
    let failure = match stage::submit::resume(&job.context, adopted).await.unwrap_err() {
        stage::Error::Failed(failure) => failure,
        stage::Error::Stopped(how) => panic!("stopped: {how}"),
    };
    assert_eq!((failure.code.as_str(), failure.class()), ("AGENT_KILLED", FailureClass::LostWorker));
    assert!(job.log().contains("thread.started"));
    stage::clear(&job.context).await;
}

pub async fn an_adopted_agent_can_be_stopped(world: World) {
    let mut job = Job::new(world, &format!("{BEGIN}sleep 1000")).await;
    let adopted = job.killed_at_work().await;
    job.context.stop.cancel();
    let stopped = stage::submit::resume(&job.context, adopted).await;
    assert!(matches!(stopped, Err(stage::Error::Stopped("stopped"))), "{stopped:?}");
    stage::clear(&job.context).await;
}

pub async fn an_adopted_agent_keeps_its_own_limit(world: World) {
    let mut job = Job::new(world, &format!("{BEGIN}sleep 1000")).await;
    job.context.offer.timeout = Some(prost_types::Duration { seconds: 10, nanos: 0 });
    let adopted = job.killed_at_work().await;
    let ended = stage::submit::resume(&job.context, adopted).await;
    assert!(
        matches!(&ended, Err(stage::Error::Failed(failure)) if failure.code == "AGENT_TIMED_OUT"),
        "{ended:?}"
    );
    stage::clear(&job.context).await;
}

pub async fn what_is_left_with_a_login_is_ended_before_the_next_job_uses_it(world: World) {
    let pipe = world.pipe("pipe");
    let job = Job::new(world, &format!("{BEGIN}echo x >x\n{END}")).await;
    let mut left = job
        .site
        .world
        .script("exec 3>pipe; echo up >&3; trap '' TERM; while :; do sleep 1; done");
    left.labels.insert("moorline.volume".to_owned(), job.site.volume.clone());
    job.site.world.engine.start(&left).await.unwrap();
    let (up, closed) = crate::suite::up_and_closed(pipe);
    up.await.unwrap();
    job.run().await.unwrap();
    let closed = tokio::time::timeout(Duration::from_secs(1), closed).await;
    closed.expect("it still has the login").unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_not_be_done_is_refused_before_the_check() {
    let mut job = Job::new(World::process(), "").await;
    let spec = job.context.offer.spec.clone().unwrap();
    for (wrong, code) in [
        (
            v1::JobSpec {
                volume: "another".to_owned(),
                ..spec.clone()
            },
            "VOLUME_NOT_HELD",
        ),
        (
            v1::JobSpec {
                feature_key: "../x".to_owned(),
                ..spec.clone()
            },
            "FEATURE_KEY_INVALID",
        ),
        (
            v1::JobSpec {
                agent: v1::Agent::Gemini.into(),
                ..spec.clone()
            },
            "AGENT_UNSUPPORTED",
        ),
    ] {
        job.context.offer.spec = Some(wrong);
        assert_eq!(job.fail().await.code, code);
    }
    assert!(job.outlet.preflights.lock().unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_image_that_is_missing_is_the_environments_fault() {
    let Some(world) = World::docker().await else { return };
    let mut job = Job::new(world, "").await;
    let mut config = job.site.config.clone();
    config.login_check_image = Some(config.job_image.clone());
    config.job_image = "moorline-test-no-such-image:1".to_owned();
    job.context.config = Arc::new(config);
    let failure = job.fail().await;
    assert_eq!(
        (failure.code.as_str(), failure.class()),
        ("IMAGE_MISSING", FailureClass::Environment)
    );
    assert!(failure.message.contains("moorline-test-no-such-image:1"));
}
