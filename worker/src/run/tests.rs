//! The whole loop against a server that the test plays by hand, with real git repositories.

use std::{collections::BTreeMap, net::TcpListener, os::unix::fs::PermissionsExt, path::Path};

use moorline_proto::v1::{connect_request::Frame, connect_response::Frame as Answer, finished::Outcome, report::News};
use tempfile::TempDir;
use tokio::task::JoinHandle;

use super::*;
use crate::{
    engine::{Container, ContainerSpec, Limits, process::ProcessEngine},
    stage::RunFolder,
    testing::{Idle, Line, Server, Shelf, calm, patient, sh},
};

struct Place {
    server: Server,
    dir: TempDir,
    shutdown: Shutdown,
    welcomed: watch::Receiver<bool>,
    running: JoinHandle<Result<(), Error>>,
    /// Takes connections of git and never answers.
    silent: TcpListener,
}

impl Place {
    async fn new() -> Self {
        Self::with(|_| Arc::new(Idle)).await
    }

    /// A worker with settings and an engine of the test's own.
    async fn with(change: impl FnOnce(&mut Config) -> Arc<dyn Engine>) -> Self {
        let (server, dir) = (Server::start().await, TempDir::new().expect("a folder"));
        let script = "git init -q --bare -b main origin.git; git init -q -b main seed; cd seed; mkdir -p specs/001-x
            printf '## Phase 1: Setup\\n- [ ] T001 Do it\\n' > specs/001-x/tasks.md
            git add -A; git -c user.name=A -c user.email=a@b commit -qm seed; git push -q ../origin.git HEAD:main";
        sh(dir.path(), script);
        let mut config = Config::try_parse_from(args(&server, &dir)).expect("settings");
        let engine = change(&mut config);
        let (shutdown, on_welcome) = (Shutdown::default(), watch::Sender::new(false));
        let welcomed = on_welcome.subscribe();
        let running = tokio::spawn(started(config, engine, shutdown.clone(), on_welcome));
        let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
        Self {
            server,
            dir,
            shutdown,
            welcomed,
            running,
            silent,
        }
    }

    /// A discover job that ends by itself.
    fn quick(&self, token: i64) -> v1::Offer {
        self.offer(token, format!("file://{}", self.dir.path().join("origin.git").display()))
    }

    /// A discover job that waits for ever.
    fn slow(&self, token: i64) -> v1::Offer {
        self.offer(token, format!("git://{}/x", self.silent.local_addr().expect("an address")))
    }

    fn offer(&self, token: i64, repository: String) -> v1::Offer {
        v1::Offer {
            job_id: "job-1".to_owned(),
            run_id: "run-1".to_owned(),
            lease_token: token,
            stage: v1::Stage::Discover.into(),
            attempt: 1,
            queue: "default".to_owned(),
            timeout: Some(prost_types::Duration { seconds: 60, nanos: 0 }),
            spec: Some(v1::JobSpec {
                repository,
                feature_key: "001-x".to_owned(),
                ..Default::default()
            }),
            traceparent: String::new(),
            decision: None,
        }
    }

    /// Begins a slow job on a new line; it is at work when this returns.
    async fn at_work(&mut self, token: i64) -> Line {
        let mut line = self.server.welcomed().await;
        line.until(is_credit).await;
        line.send(Answer::Offer(self.slow(token))).await;
        line.until(|frame| matches!(frame, Frame::Report(_))).await;
        line
    }

    fn args(&self) -> Vec<String> {
        args(&self.server, &self.dir)
    }

    fn spool(&self) -> std::path::PathBuf {
        self.dir.path().join("work/spool/w")
    }

    /// Ends the worker as it is: nothing is said or tidied.
    async fn killed(&mut self) {
        self.running.abort();
        assert!((&mut self.running).await.expect_err("an abort").is_cancelled());
    }

    /// Another process of the same worker. Whoever wrote for the one before has let go by then.
    async fn start_again(&mut self) {
        let config = Config::try_parse_from(self.args()).expect("settings");
        let started = started(config, Arc::new(Idle), self.shutdown.clone(), watch::Sender::new(false));
        self.running = tokio::spawn(started);
    }

    async fn spool_is_empty(&self) {
        let empty = || {
            let names = std::fs::read_dir(self.spool())
                .expect("the spool")
                .map(|entry| entry.expect("an entry").file_name());
            names.eq(["lock"])
        };
        patient(async {
            while !empty() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
    }

    async fn gone(&mut self) -> Result<(), Error> {
        patient(&mut self.running).await.expect("no panic")
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.running.abort();
    }
}

fn args(server: &Server, dir: &TempDir) -> Vec<String> {
    let root = dir.path().join("work").display().to_string();
    let args = [
        "moorline-worker",
        "--worker-name",
        "w",
        "--server",
        &server.url,
        "--work-root",
        &root,
        "--slots",
        "2",
        "--git-protocols",
        "file:git",
    ];
    args.map(str::to_owned).into()
}

async fn started(config: Config, engine: Arc<dyn Engine>, shutdown: Shutdown, on_welcome: watch::Sender<bool>) -> Result<(), Error> {
    let left = Left::find(&config, engine.as_ref(), open_spool(&config).await?).await?;
    let vitals = Vitals::new(&config.name, config.slots);
    serve(
        Arc::new(config),
        engine,
        startup::Ready::default(),
        left,
        vitals,
        shutdown,
        on_welcome,
    )
    .await
}

fn names(frames: &[Frame]) -> Vec<String> {
    let name = |frame: &Frame| match frame {
        Frame::Credit(credit) => format!("credit {} {}", credit.queue, credit.jobs),
        Frame::Accept(accept) => format!("accept {}", accept.lease_token),
        Frame::Reject(reject) => format!("reject {}: {}", reject.lease_token, reject.reason),
        Frame::Report(report) => format!("report {}.{}", report.lease_token, report.sequence),
        Frame::Draining(_) => "draining".to_owned(),
        other => format!("{other:?}"),
    };
    frames.iter().map(name).collect()
}

fn outcome(report: &v1::Report) -> &Outcome {
    match &report.news {
        Some(News::Finished(v1::Finished {
            outcome: Some(outcome), ..
        })) => outcome,
        other => panic!("no end: {other:?}"),
    }
}

fn code(report: &v1::Report) -> &str {
    match outcome(report) {
        Outcome::Failure(failure) => &failure.code,
        other => panic!("no failure: {other:?}"),
    }
}

fn is_credit(frame: &Frame) -> bool {
    matches!(frame, Frame::Credit(_))
}

#[tokio::test]
async fn a_job_is_accepted_done_reported_and_its_slot_offered_again() {
    let mut place = Place::new().await;
    let mut line = place.server.welcomed().await;
    assert_eq!(names(&[line.heard().await]), ["credit default 2"]);
    assert!(*place.welcomed.wait_for(|welcomed| *welcomed).await.expect("a worker"));
    line.send(Answer::Offer(place.quick(7))).await;
    assert_eq!(names(&[line.heard().await, line.heard().await]), ["accept 7", "report 7.1"]);
    let end = line.finished().await;
    match outcome(&end) {
        Outcome::Result(v1::JobResult {
            result: Some(v1::job_result::Result::Discover(found)),
        }) => {
            assert_eq!(found.phase.as_ref().expect("a phase").tasks[0].task_id, "T001");
        }
        other => panic!("not found: {other:?}"),
    }
    line.acknowledge(&end).await;
    assert_eq!(names(&[line.heard().await]), ["credit default 1"]);
    assert!(
        !place.dir.path().join("work/git/run-1/job-1").exists(),
        "the job's folder is removed"
    );
}

#[tokio::test]
async fn a_cancelled_job_stops_and_says_so() {
    let mut place = Place::new().await;
    let mut line = place.at_work(7).await;
    line.send(Answer::Cancel(v1::Cancel {
        job_id: "job-1".to_owned(),
        lease_token: 7,
        reason: "the client asks".to_owned(),
    }))
    .await;
    let end = line.finished().await;
    assert!(matches!(outcome(&end), Outcome::Stopped(stopped) if stopped.how == "stopped"));
    line.acknowledge(&end).await;
    assert_eq!(names(&[line.heard().await]), ["credit default 1"]);
}

/// The same offer by a skill that the worker doesn't have.
fn by_skill(offer: v1::Offer) -> v1::Offer {
    let mut decision = v1::StageDecision {
        selected_skill: "speckit".to_owned(),
        fallback_enabled: true,
        ..Default::default()
    };
    decision.set_execution_path(v1::ExecutionPath::Skill);
    v1::Offer {
        decision: Some(decision),
        ..offer
    }
}

fn execution(report: &v1::Report) -> &v1::StageExecution {
    match &report.news {
        Some(News::Finished(v1::Finished {
            execution: Some(execution),
            ..
        })) => execution,
        other => panic!("no way is told: {other:?}"),
    }
}

#[tokio::test]
async fn a_job_that_was_stopped_before_its_skill_says_how_far_it_went() {
    let mut place = Place::new().await;
    let mut line = place.server.welcomed().await;
    line.until(is_credit).await;
    line.send(Answer::Offer(by_skill(place.slow(7)))).await;
    line.until(|frame| matches!(frame, Frame::Report(_))).await;
    line.send(Answer::Cancel(v1::Cancel {
        job_id: "job-1".to_owned(),
        lease_token: 7,
        reason: "the client asks".to_owned(),
    }))
    .await;
    let end = line.finished().await;
    let way = execution(&end);
    assert_eq!((way.stage(), way.selected_skill.as_str()), (v1::Stage::Discover, "speckit"));
    assert_eq!((way.execution_path(), way.used_skills), (v1::ExecutionPath::Skill, false));
}

#[tokio::test]
async fn the_way_that_a_job_went_outlives_its_worker() {
    let mut place = Place::new().await;
    let mut line = place.server.welcomed().await;
    line.until(is_credit).await;
    line.send(Answer::Offer(by_skill(place.quick(7)))).await;
    let end = line.finished().await;
    assert!(matches!(outcome(&end), Outcome::Result(_)), "the built-in way took over: {end:?}");
    let way = execution(&end).clone();
    assert_eq!(
        (way.execution_path(), way.used_skills, way.used_fallback),
        (v1::ExecutionPath::DirectFallback, true, true)
    );
    assert_eq!(
        way.skill_failure.as_ref().map(|failure| failure.code.as_str()),
        Some("SKILL_MISSING")
    );
    place.killed().await;
    drop(line);
    place.start_again().await;
    let mut line = place.server.line().await;
    let keep = vec![v1::HeldJob {
        last_sequence: end.sequence - 1,
        ..line.hello.inventory[0].clone()
    }];
    line.send(Answer::Welcome(v1::Welcome { keep, ..calm() })).await;
    let again = line.finished().await;
    assert_eq!(execution(&again), &way);
}

#[tokio::test]
async fn a_fenced_job_stops_and_reports_nothing() {
    let mut place = Place::new().await;
    let mut line = place.at_work(7).await;
    line.send(Answer::Fenced(v1::Fenced {
        job_id: "job-1".to_owned(),
        lease_token: 7,
        reason: "claimed elsewhere".to_owned(),
    }))
    .await;
    let frames = line.until(is_credit).await;
    assert_eq!(names(&frames), ["credit default 1"]);
}

#[tokio::test]
async fn a_job_goes_on_while_the_line_is_down() {
    let mut place = Place::new().await;
    let mut line = place.server.welcomed().await;
    line.send(Answer::Offer(place.quick(7))).await;
    line.until(|frame| matches!(frame, Frame::Accept(_))).await;
    drop(line);
    let mut line = place.server.welcomed().await;
    assert_eq!(
        (line.hello.inventory[0].job_id.as_str(), line.hello.inventory[0].lease_token),
        ("job-1", 7)
    );
    let end = line.finished().await;
    assert!(matches!(outcome(&end), Outcome::Result(_)));
}

#[tokio::test]
async fn an_offer_that_comes_twice_is_accepted_twice_and_done_once() {
    let mut place = Place::new().await;
    let mut line = place.at_work(7).await;
    line.send(Answer::Offer(place.slow(7))).await;
    assert_eq!(names(&[line.heard().await]), ["accept 7"]);
    // A newer claim replaces the older one, and waits for its end.
    line.send(Answer::Offer(place.quick(8))).await;
    let end = line.finished().await;
    assert_eq!(end.lease_token, 8);
    assert!(matches!(outcome(&end), Outcome::Result(_)));
}

#[tokio::test]
async fn offers_beyond_the_worker_s_room_are_refused() {
    let mut place = Place::new().await;
    let mut line = place.server.welcomed().await;
    line.heard().await;
    let strange = v1::Offer {
        queue: "codex-0".to_owned(),
        ..place.quick(1)
    };
    let escaping = v1::Offer {
        run_id: "../..".to_owned(),
        ..place.quick(2)
    };
    line.send(Answer::Offer(strange)).await;
    line.send(Answer::Offer(escaping)).await;
    let heard = [line.heard().await, line.heard().await];
    assert_eq!(
        names(&heard),
        [
            "reject 1: the worker has no room in that queue",
            "reject 2: the offer bears no valid ids"
        ]
    );
}

#[tokio::test]
async fn a_stage_that_takes_too_long_fails() {
    let mut place = Place::new().await;
    let mut line = place.server.welcomed().await;
    let hasty = v1::Offer {
        timeout: Some(prost_types::Duration {
            seconds: 0,
            nanos: 50_000_000,
        }),
        ..place.slow(7)
    };
    line.send(Answer::Offer(hasty)).await;
    assert_eq!(code(&line.finished().await), "STAGE_TIMED_OUT");
}

#[tokio::test]
async fn a_worker_that_was_told_to_go_finishes_its_jobs_first() {
    let mut place = Place::new().await;
    let mut line = place.at_work(7).await;
    place.shutdown.drain.cancel();
    assert_eq!(names(&[line.heard().await]), ["draining"]);
    line.send(Answer::Offer(v1::Offer {
        job_id: "job-2".to_owned(),
        ..place.quick(8)
    }))
    .await;
    assert_eq!(names(&[line.heard().await]), ["reject 8: the worker is going"]);
    line.send(Answer::Cancel(v1::Cancel {
        job_id: "job-1".to_owned(),
        lease_token: 7,
        ..Default::default()
    }))
    .await;
    let end = line.finished().await;
    assert!(!place.running.is_finished(), "the end isn't acknowledged yet");
    line.acknowledge(&end).await;
    line.left().await;
    drop(line);
    place.gone().await.expect("a clean end");
}

#[tokio::test]
async fn jobs_that_outlast_the_time_to_drain_are_stopped() {
    let mut place = Place::with(|config| {
        config.drain_grace = Duration::from_millis(50);
        Arc::new(Idle)
    })
    .await;
    let mut line = place.at_work(7).await;
    place.shutdown.drain.cancel();
    let end = line.finished().await;
    assert_eq!(code(&end), "WORKER_STOPPED");
    line.acknowledge(&end).await;
    line.left().await;
    drop(line);
    place.gone().await.expect("a clean end");
}

#[tokio::test]
async fn a_worker_that_was_told_to_go_waits_for_no_shadow() {
    for at_once in [false, true] {
        let shelf = Shelf(Arc::default());
        let engine = shelf.clone();
        let mut place = Place::with(|_| Arc::new(engine)).await;
        let mut line = place.server.welcomed().await;
        line.until(is_credit).await;
        // The shadow waits for it to be gone, and it never is.
        let labels = [("moorline.job", "job-1"), ("moorline.worker", "w")];
        shelf.0.lock().expect("the shelf").push(Container {
            id: "first".to_owned(),
            labels: labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
        });
        let mut offer = by_skill(place.quick(7));
        if let Some(decision) = &mut offer.decision {
            (decision.fallback_enabled, decision.shadow_mode) = (false, true);
        }
        line.send(Answer::Offer(offer)).await;
        line.until(|frame| matches!(frame, Frame::Report(v1::Report { news: Some(News::Progress(said)), .. }) if said.message.contains("in the shadow")))
            .await;
        match at_once {
            true => place.shutdown.stop.cancel(),
            false => place.shutdown.drain.cancel(),
        }
        let end = line.finished().await;
        assert_eq!(code(&end), "SKILL_MISSING");
        let told = execution(&end).shadow.clone().expect("a shadow");
        assert_eq!(told.status(), v1::ShadowStatus::NotCompared);
        assert_eq!(told.detail, "the worker was stopped");
        line.acknowledge(&end).await;
        line.left().await;
        drop(line);
        place.gone().await.expect("a clean end");
    }
}

#[tokio::test]
async fn an_idle_worker_says_that_it_goes_before_it_does() {
    let mut place = Place::new().await;
    let mut line = place.server.welcomed().await;
    assert_eq!(names(&[line.heard().await]), ["credit default 2"]);
    place.shutdown.drain.cancel();
    assert_eq!(names(&[line.heard().await]), ["draining"]);
    line.left().await;
}

#[tokio::test]
async fn an_idle_worker_goes_at_once_even_without_a_server() {
    let mut place = Place::new().await;
    place.shutdown.drain.cancel();
    place.gone().await.expect("a clean end");
}

#[tokio::test]
async fn without_a_server_for_most_of_its_lease_a_worker_stops_its_jobs() {
    let mut place = Place::new().await;
    let mut line = place.server.line().await;
    let lease_duration = Some(prost_types::Duration { seconds: 1, nanos: 0 });
    line.send(Answer::Welcome(v1::Welcome { lease_duration, ..calm() })).await;
    line.send(Answer::Offer(place.slow(7))).await;
    line.until(|frame| matches!(frame, Frame::Report(_))).await;
    drop(line);
    // It dials again at once, but a server that doesn't welcome it is no contact.
    let mut line = place.server.line().await;
    let git = place.dir.path().join("work/git/run-1/job-1");
    patient(async {
        while git.exists() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    line.send(Answer::Welcome(calm())).await;
    assert_eq!(code(&line.finished().await), "LOST_CONTACT");
}

#[tokio::test]
async fn a_server_that_answers_and_renews_nothing_costs_the_worker_its_jobs_in_time() {
    let mut place = Place::new().await;
    let mut line = place.server.line().await;
    let welcome = v1::Welcome {
        lease_duration: Some(prost_types::Duration { seconds: 1, nanos: 0 }),
        ping_interval: Some(prost_types::Duration {
            seconds: 0,
            nanos: 20_000_000,
        }),
        ..calm()
    };
    line.send(Answer::Welcome(welcome)).await;
    line.send(Answer::Offer(place.slow(7))).await;
    // Pongs come all the time; the lease was renewed with the Hello, and never since.
    let began = tokio::time::Instant::now();
    let end = patient(line.finished_while_pinging(|| Some(began.elapsed()))).await;
    assert_eq!(code(&end), "LOST_CONTACT");
    assert!(began.elapsed() >= Duration::from_millis(700), "{:?}", began.elapsed());
}

#[tokio::test]
async fn an_offer_of_a_lease_that_may_be_over_is_not_answered() {
    let mut place = Place::new().await;
    let mut line = place.server.line().await;
    let lease_duration = Some(prost_types::Duration {
        seconds: 0,
        nanos: 1_000_000,
    });
    line.send(Answer::Welcome(v1::Welcome { lease_duration, ..calm() })).await;
    line.until(is_credit).await;
    tokio::time::sleep(Duration::from_millis(5)).await;
    line.send(Answer::Offer(place.quick(7))).await;
    line.send(Answer::Command(v1::Command::default())).await;
    let answered = line.heard().await;
    assert!(
        matches!(answered, Frame::CommandResult(_)),
        "it has come past the offer: {answered:?}"
    );
    // A worker that had begun the job would say so before it goes.
    place.shutdown.drain.cancel();
    assert_eq!(names(&line.rest().await), ["draining"]);
}

#[tokio::test]
async fn a_worker_drains_when_the_server_asks_it_to_however_often() {
    let mut place = Place::new().await;
    let mut line = place.at_work(7).await;
    let ask = |id: &str| {
        let drain = v1::command::Command::Drain(v1::DrainCommand {
            reason: "a new disk".to_owned(),
        });
        Answer::Command(v1::Command {
            command_id: id.to_owned(),
            command: Some(drain),
        })
    };
    line.send(ask("one")).await;
    line.send(ask("two")).await;
    let said = |frame: &Frame| match frame {
        Frame::Draining(draining) => draining.reason.clone(),
        Frame::CommandResult(v1::CommandResult {
            command_id,
            result: Some(v1::command_result::Result::DrainBegun(begun)),
        }) => format!("{command_id}: {} running", begun.running),
        other => format!("{other:?}"),
    };
    let heard = [line.heard().await, line.heard().await, line.heard().await];
    assert_eq!(
        heard.each_ref().map(said),
        ["the worker was told to drain: a new disk", "one: 1 running", "two: 1 running"]
    );
    line.send(Answer::Cancel(v1::Cancel {
        job_id: "job-1".to_owned(),
        lease_token: 7,
        ..Default::default()
    }))
    .await;
    let end = line.finished().await;
    line.acknowledge(&end).await;
    line.left().await;
    drop(line);
    place.gone().await.expect("a clean end");
}

#[tokio::test]
async fn an_end_that_was_not_acknowledged_is_sent_by_the_next_process() {
    let mut place = Place::new().await;
    let mut line = place.server.welcomed().await;
    line.send(Answer::Offer(place.quick(7))).await;
    let end = line.finished().await;
    // As after kill -9: what ran is gone, what is on the disk stays.
    place.killed().await;
    drop(line);
    place.start_again().await;
    let mut line = place.server.line().await;
    let held = &line.hello.inventory;
    assert_eq!((held.len(), held[0].finished, held[0].last_sequence), (1, true, end.sequence));
    let keep = vec![v1::HeldJob {
        last_sequence: end.sequence - 1,
        ..held[0].clone()
    }];
    line.send(Answer::Welcome(v1::Welcome { keep, ..calm() })).await;
    let again = line.finished().await;
    assert_eq!(again, end);
    line.acknowledge(&again).await;
    place.spool_is_empty().await;
    place.killed().await;
    drop(line);
    place.start_again().await;
    assert_eq!(place.server.line().await.hello.inventory, []);
}

#[tokio::test]
async fn a_job_that_an_earlier_process_had_not_ended_is_not_claimed_and_leaves_the_spool() {
    let mut place = Place::new().await;
    let line = place.at_work(7).await;
    place.killed().await;
    drop(line);
    place.start_again().await;
    let mut line = place.server.line().await;
    assert_eq!(line.hello.inventory, []);
    line.send(Answer::Welcome(calm())).await;
    line.until(is_credit).await;
    place.spool_is_empty().await;
}

#[tokio::test]
async fn what_a_welcome_kills_leaves_the_spool() {
    let mut place = Place::new().await;
    let mut line = place.server.welcomed().await;
    line.send(Answer::Offer(place.quick(7))).await;
    line.finished().await;
    place.killed().await;
    drop(line);
    place.start_again().await;
    let mut line = place.server.line().await;
    let kill = line.hello.inventory.clone();
    assert_eq!(kill.len(), 1);
    line.send(Answer::Welcome(v1::Welcome { kill, ..calm() })).await;
    assert_eq!(names(&[line.heard().await]), ["credit default 2"], "no report of it is sent");
    place.spool_is_empty().await;
}

#[tokio::test]
async fn a_job_that_can_not_be_kept_on_the_disk_is_not_begun() {
    let mut place = Place::new().await;
    let mut line = place.server.welcomed().await;
    assert_eq!(names(&[line.heard().await]), ["credit default 2"]);
    // A folder in the way of the file that is written first.
    let in_the_way = place.spool().join("job-1-7.offer.part");
    std::fs::create_dir(&in_the_way).expect("a folder");
    line.send(Answer::Offer(place.quick(7))).await;
    assert_eq!(
        names(&[line.heard().await]),
        ["reject 7: the worker can't write its spool: see its log"]
    );
    std::fs::remove_dir(&in_the_way).expect("removed");
    // It looks again by itself, and gives the credit back.
    assert_eq!(names(&[line.heard().await]), ["credit default 1"]);
    line.send(Answer::Offer(place.quick(8))).await;
    assert!(matches!(outcome(&line.finished().await), Outcome::Result(_)));
}

#[tokio::test]
async fn a_full_spool_takes_no_job_until_there_is_room() {
    let mut place = Place::with(|config| {
        // Room for one offer and one end.
        config.spool_bytes = 2 * config.spool_record_bytes;
        Arc::new(Idle)
    })
    .await;
    let mut line = place.server.welcomed().await;
    assert_eq!(names(&[line.heard().await]), ["credit default 1"], "of two slots");
    line.send(Answer::Offer(place.quick(7))).await;
    let end = line.finished().await;
    line.acknowledge(&end).await;
    assert_eq!(names(&[line.heard().await]), ["credit default 1"]);
}

#[tokio::test]
async fn a_second_process_of_one_name_waits_for_the_first() {
    let mut place = Place::new().await;
    let _line = place.server.welcomed().await;
    let config = Config::try_parse_from(place.args().iter().map(String::as_str)).expect("settings");
    let opening = open_spool(&config);
    tokio::pin!(opening);
    tokio::select! {
        biased;
        _ = &mut opening => panic!("two processes have one spool"),
        () = tokio::time::sleep(Duration::from_millis(200)) => {}
    }
    place.shutdown.drain.cancel();
    patient(opening).await.expect("the spool is free");
}

#[tokio::test]
async fn a_worker_without_a_volume_says_so_when_asked_to_check_one() {
    let mut place = Place::new().await;
    let mut line = place.server.welcomed().await;
    let check = v1::command::Command::CheckVolume(v1::CheckVolumeCommand {
        probe: false,
        volume: "codex_auth_0".to_owned(),
    });
    line.send(Answer::Command(v1::Command {
        command_id: "c".to_owned(),
        command: Some(check),
    }))
    .await;
    let frames = line.until(|frame| matches!(frame, Frame::CommandResult(_))).await;
    let Some(Frame::CommandResult(v1::CommandResult {
        result: Some(v1::command_result::Result::Failure(failure)),
        ..
    })) = frames.last()
    else {
        panic!("no failure: {frames:?}");
    };
    assert_eq!(failure.code, "VOLUME_NOT_HELD");
}

#[tokio::test]
async fn a_worker_that_is_told_twice_stops_its_jobs() {
    let mut place = Place::new().await;
    let mut line = place.at_work(7).await;
    place.shutdown.drain.cancel();
    assert_eq!(names(&[line.heard().await]), ["draining"]);
    place.shutdown.stop.cancel();
    let end = line.finished().await;
    assert_eq!(code(&end), "WORKER_STOPPED");
    line.acknowledge(&end).await;
    line.left().await;
    drop(line);
    place.gone().await.expect("a clean end");
}

/// Starts a container as an earlier worker would have, with its run's folder.
async fn left_behind(engine: &dyn Engine, root: &Path, run: &str, worker: &str, volume: &str) {
    let label = |name: &str, value: &str| (format!("moorline.{name}"), value.to_owned());
    let spec = ContainerSpec {
        name: format!("moorline-{run}"),
        image: String::new(),
        argv: ["sleep", "1000"].map(str::to_owned).into(),
        env: BTreeMap::new(),
        labels: [
            label("run", run),
            label("job", "job-1"),
            label("lease", "7"),
            label("worker", worker),
            label("volume", volume),
        ]
        .into(),
        run_dir: None,
        workdir: None,
        volume: None,
        limits: Limits {
            memory_bytes: 1 << 28,
            cpu_millis: 1000,
            pids: 64,
            time: Duration::from_secs(60),
        },
        network: "none".to_owned(),
        stdin: None,
        stdout: None,
        stderr: None,
    };
    engine.start(&spec).await.expect("a container");
    let folder = RunFolder::below(root, run, "job-1");
    folder.create_private().expect("a folder");
    std::fs::create_dir_all(&folder.repo).expect("a folder");
}

#[tokio::test]
async fn what_an_earlier_start_has_left_is_cleared_before_any_job_is_taken() {
    let dir = TempDir::new().expect("a folder");
    std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o755)).expect("permissions");
    let (root, processes) = (dir.path().join("work"), dir.path().join("processes"));
    let engine: Arc<dyn Engine> = Arc::new(ProcessEngine::new(&dir.path().join("volumes"), &processes, "1000:1000").expect("an engine"));
    left_behind(&*engine, &root, "mine", "w", "codex_auth_0").await;
    left_behind(&*engine, &root, "of-my-login", "other", "codex_auth_1").await;
    left_behind(&*engine, &root, "stranger", "other", "codex_auth_2").await;
    // Another server's worker of the same name, on the same engine.
    left_behind(&*engine, &dir.path().join("elsewhere"), "namesake", "w", "codex_auth_0").await;
    let left = async || {
        let listed = engine.list(&BTreeMap::new()).await.expect("a list");
        let mut ids: Vec<String> = listed.into_iter().map(|container| container.id).collect();
        ids.sort();
        ids
    };

    let mut place = Place::with(|config| {
        (config.name, config.volume, config.work_root) = ("w".to_owned(), Some("codex_auth_1".to_owned()), root.clone());
        engine.clone()
    })
    .await;
    let mut line = place.server.line().await;
    assert_eq!(
        left().await.len(),
        4,
        "nothing is touched before the server has agreed to name and volume"
    );
    line.send(Answer::Welcome(calm())).await;
    assert_eq!(names(&[line.heard().await]), ["credit default 2"]);
    assert_eq!(left().await, ["moorline-namesake", "moorline-stranger"]);
    let folders = |run| RunFolder::below(&root, run, "job-1");
    for run in ["mine", "of-my-login"] {
        assert!(!folders(run).root.exists() && !folders(run).private().exists(), "{run}");
    }
    assert!(folders("stranger").root.exists() && folders("stranger").private().exists());

    for container in engine.list(&BTreeMap::new()).await.expect("a list") {
        engine.stop(&container, Duration::ZERO).await.expect("stopped");
        engine.remove(&container).await.expect("removed");
    }
}

#[tokio::test]
async fn folders_of_a_job_that_had_no_container_are_removed_by_the_next_start() {
    let mut place = Place::new().await;
    drop(place.at_work(7).await);
    let folder = RunFolder::below(&place.dir.path().join("work"), "run-1", "job-1");
    place.killed().await;
    assert!(folder.private().exists(), "a kill leaves it");
    place.start_again().await;
    let mut line = place.server.welcomed().await;
    line.until(is_credit).await;
    assert!(!folder.private().exists());
}

mod adopting;
mod logins;

fn refuse(place: &Place, reason: &str) {
    let mut details = tonic_types::ErrorDetails::new();
    details.set_error_info(reason, "moorline", std::collections::HashMap::new());
    let status = <tonic::Status as tonic_types::StatusExt>::with_error_details(tonic::Code::AlreadyExists, "words of the server", details);
    place.server.store().refusals.push_back(status);
}

#[tokio::test]
async fn a_worker_whose_volume_another_holds_stops_what_is_at_work() {
    let mut place = Place::new().await;
    let line = place.at_work(7).await;
    refuse(&place, "VOLUME_HELD");
    drop(line);
    let mut line = place.server.welcomed().await;
    assert_eq!(code(&line.finished().await), "LOST_CONTACT");
}

#[tokio::test]
async fn a_worker_that_is_refused_for_good_stops_its_jobs_first() {
    let mut place = Place::new().await;
    let line = place.at_work(7).await;
    let git = place.dir.path().join("work/git/run-1/job-1");
    assert!(git.exists());
    refuse(&place, "UNKNOWN_QUEUE");
    drop(line);
    let error = place.gone().await.expect_err("refused");
    assert!(error.to_string().contains("UNKNOWN_QUEUE"), "{error}");
    assert!(!git.exists(), "its job has ended");
}
