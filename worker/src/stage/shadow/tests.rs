//! Shadows whose skill is missing: what is told of them, and that they change nothing.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use moorline_proto::v1::{self, ArtifactType, ExecutionPath, FailureClass, ShadowStatus, Stage, finished::Outcome};

use super::{
    super::{
        Context, Course, Error, Outlet, failure, run,
        tests::{Memory, Place, kinds},
    },
    GOING, Second,
    first::First,
    outlet::Muted,
    take,
};
use crate::{
    config::Config,
    testing::{Stubborn, patient},
};

/// A job that goes this way, with a shadow, on a worker that has no skill.
fn job(place: &Place, stage: Stage, path: ExecutionPath, fallback: bool) -> (Context, Arc<Memory>) {
    let (mut context, memory) = place.context("w", place.spec(), place.patch("printf 'b\\n' > b.txt"));
    context.offer.stage = stage.into();
    context.offer.decision = Some(v1::StageDecision {
        stage: stage.into(),
        selected_skill: "speckit".to_owned(),
        execution_path: path.into(),
        use_skills: path == ExecutionPath::Skill,
        fallback_enabled: fallback,
        shadow_mode: true,
        ..v1::StageDecision::default()
    });
    context.course = Course::of(&context.offer);
    (context, memory)
}

fn shadow(context: &Context) -> v1::ShadowOutcome {
    context.course.so_far().shadow.expect("a shadow")
}

#[tokio::test]
async fn the_first_way_s_end_is_kept_before_the_other_one_begins_and_stays_what_it_is() {
    let place = Place::new();
    let (context, memory) = job(&place, Stage::Discover, ExecutionPath::DirectOnly, true);
    let done = run(context.clone()).await.expect("a phase");
    let told = shadow(&context);
    assert_eq!((told.execution_path(), told.status()), (ExecutionPath::Skill, ShadowStatus::Drift));
    assert_eq!(told.detail, "direct_only succeeded; skill failed, SKILL_MISSING");
    assert_eq!(kinds(&memory), [ArtifactType::ShadowDrift]);
    let foreseen = memory.foreseen.lock().unwrap().clone();
    assert_eq!(foreseen.len(), 1);
    assert_eq!(foreseen[0].outcome, Some(Outcome::Result(done)));
    let execution = foreseen[0].execution.clone().unwrap();
    assert_eq!(execution.shadow.unwrap().status(), ShadowStatus::NotCompared);
    assert!(!context.course.so_far().used_skills, "no skill was run for the stage's own sake");
    let lines = memory.lines.lock().unwrap().join("\n");
    assert!(lines.contains("in the shadow it goes by its skill as well"), "{lines}");
    assert!(
        lines.ends_with("in the shadow it went by its skill: drift, direct_only succeeded; skill failed, SKILL_MISSING"),
        "{lines}"
    );
}

#[tokio::test]
async fn a_skill_that_fails_without_a_fallback_is_compared_with_the_built_in_way() {
    let place = Place::new();
    let (context, memory) = job(&place, Stage::Discover, ExecutionPath::Skill, false);
    let failed = run(context.clone()).await.expect_err("it has no skill");
    assert!(
        matches!(&failed, Error::Failed(failure) if failure.code == "SKILL_MISSING"),
        "{failed:?}"
    );
    let told = shadow(&context);
    assert_eq!(
        (told.execution_path(), told.status()),
        (ExecutionPath::DirectOnly, ShadowStatus::Drift)
    );
    assert_eq!(told.detail, "skill failed, SKILL_MISSING; direct_only succeeded");
    let foreseen = memory.foreseen.lock().unwrap().pop().unwrap();
    assert!(matches!(foreseen.outcome, Some(Outcome::Failure(failure)) if failure.code == "SKILL_MISSING"));
}

#[tokio::test]
async fn where_the_stage_has_fallen_back_both_ways_are_there_already() {
    let place = Place::new();
    let (context, memory) = job(&place, Stage::Discover, ExecutionPath::Skill, true);
    run(context.clone()).await.expect("a phase, by the fallback");
    let told = shadow(&context);
    assert_eq!((told.execution_path(), told.status()), (ExecutionPath::Skill, ShadowStatus::Drift));
    assert_eq!(told.detail, "direct_fallback succeeded; skill failed, SKILL_MISSING");
    assert!(memory.foreseen.lock().unwrap().is_empty(), "nothing is taken a second time");
}

#[tokio::test]
async fn a_shadow_of_publish_pushes_nothing() {
    let place = Place::new();
    let (context, memory) = job(&place, Stage::Publish, ExecutionPath::DirectOnly, true);
    run(context.clone()).await.expect("it is published");
    assert_eq!(shadow(&context).status(), ShadowStatus::Drift);
    assert_eq!(
        kinds(&memory),
        [ArtifactType::ApplyOutput, ArtifactType::PushLog, ArtifactType::ShadowDrift],
        "what git said of the shadow's commit is nowhere"
    );
    assert_eq!(place.origin("git rev-list --count main..moorline/001-x/0123456789ab"), "1");
    let (context, memory) = job(&place, Stage::Publish, ExecutionPath::Skill, false);
    run(context.clone()).await.expect_err("it has no skill");
    assert_eq!(shadow(&context).detail, "skill failed, SKILL_MISSING; direct_only succeeded");
    assert!(
        !kinds(&memory).contains(&ArtifactType::PushLog),
        "the built-in way has pushed from the shadow"
    );
}

#[tokio::test]
async fn without_room_for_the_end_or_time_there_is_no_shadow() {
    let place = Place::new();
    let (context, memory) = job(&place, Stage::Discover, ExecutionPath::DirectOnly, true);
    memory.full.store(true, Ordering::Relaxed);
    run(context.clone()).await.expect("a phase");
    assert_eq!(shadow(&context).status(), ShadowStatus::NotCompared);
    assert!(shadow(&context).detail.contains("could not be kept"), "{:?}", shadow(&context));

    let (mut context, _) = job(&place, Stage::Discover, ExecutionPath::DirectOnly, true);
    context.offer.timeout = Some(prost_types::Duration { seconds: 0, nanos: 1 });
    run(context.clone()).await.expect("a phase");
    assert!(shadow(&context).detail.contains("time was over"), "{:?}", shadow(&context));
}

/// Takes connections of git and never answers.
fn silent() -> (std::net::TcpListener, String) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("git://{}/x", listener.local_addr().unwrap());
    (listener, url)
}

#[tokio::test]
async fn a_worker_that_goes_ends_its_shadows_and_begins_none() {
    let place = Place::new();
    let (listener, url) = silent();
    let (mut context, _) = job(&place, Stage::Discover, ExecutionPath::Skill, false);
    context.config = Arc::new(Config::try_parse_from(["moorline-worker", "--git-protocols", "file:git"]).unwrap());
    context.offer.spec.as_mut().unwrap().repository = url;
    let going = context.going.clone();
    let shadow_is_at_work = tokio::task::spawn_blocking(move || listener.accept().unwrap());
    let failed = Err(Error::Failed(failure("SKILL_FAILED", FailureClass::Job, "")));
    let first = First::of(&context, &failed, None).expect("a way to compare with");
    let second = Second::new(&context, &first).unwrap();
    let of_shadow = second.ctx.stop.clone();
    let running = tokio::spawn(async move { take(&context, second).await });
    let line = patient(shadow_is_at_work).await.unwrap();
    going.cancel();
    let why = patient(running).await.unwrap().expect_err("it never ends");
    assert_eq!(why, GOING);
    assert!(of_shadow.is_cancelled(), "what it runs is told to stop");
    drop(line);

    let (context, memory) = job(&place, Stage::Discover, ExecutionPath::DirectOnly, true);
    context.going.cancel();
    run(context.clone()).await.expect("a phase");
    assert_eq!(
        (shadow(&context).status(), shadow(&context).detail.as_str()),
        (ShadowStatus::NotCompared, GOING)
    );
    assert!(memory.foreseen.lock().unwrap().is_empty(), "none is begun");
}

#[tokio::test]
async fn an_engine_that_clears_nothing_up_holds_no_end_back() {
    let place = Place::new();
    let (mut context, memory) = job(&place, Stage::Discover, ExecutionPath::DirectOnly, true);
    context.engine = Arc::new(Stubborn::default());
    let running = tokio::spawn(run(context.clone()));
    patient(async {
        while memory.foreseen.lock().unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    assert!(matches!(context.course.known_end(), Some(Outcome::Result(_))));
    let told = Instant::now();
    context.stop.cancel();
    running.await.unwrap().expect("a phase");
    // As long as the engine is asked again, in tests: a minute otherwise, more than a stage is given to stop.
    assert!(told.elapsed() < Duration::from_secs(1), "{:?}", told.elapsed());
    assert_eq!(shadow(&context).detail, "the job was told to stop");
}

#[tokio::test]
async fn what_failed_by_no_fault_of_its_way_has_no_shadow() {
    let place = Place::new();
    let (context, memory) = job(&place, Stage::Submit, ExecutionPath::DirectOnly, true);
    for (code, class) in [
        ("NOT_LOGGED_IN", FailureClass::Login),
        ("ENGINE_FAILED", FailureClass::Environment),
        ("RATE_LIMITED", FailureClass::Job),
    ] {
        let done = Err(Error::Failed(failure(code, class, "")));
        assert!(First::of(&context, &done, None).is_none(), "{code}");
    }
    assert!(First::of(&context, &Err(Error::Stopped("stopped")), None).is_none());

    let (mut context, _) = job(&place, Stage::Discover, ExecutionPath::DirectOnly, true);
    context.offer.decision.as_mut().unwrap().shadow_mode = false;
    run(context.clone()).await.expect("a phase");
    assert_eq!(context.course.so_far().shadow, None, "none was asked for");

    let (context, _) = job(&place, Stage::Discover, ExecutionPath::DirectOnly, true);
    context.stop.cancel();
    run(context.clone()).await.expect_err("it was stopped");
    assert_eq!(context.course.so_far().shadow, None);
    assert!(memory.foreseen.lock().unwrap().is_empty());
}

#[tokio::test]
async fn of_a_shadow_only_a_dead_login_is_news() {
    let (memory, dir) = (Arc::new(Memory::default()), tempfile::TempDir::new().unwrap());
    let (outlet, file) = (Muted(memory.clone()), dir.path().join("file"));
    std::fs::write(&file, "x").unwrap();
    outlet.progress("nothing that anybody needs").await;
    for kind in [
        ArtifactType::CodexPatch,
        ArtifactType::CodexLogs,
        ArtifactType::PushLog,
        ArtifactType::ApplyOutput,
    ] {
        outlet.upload_artifact(kind, &file, "text/plain").await.unwrap();
    }
    assert_eq!(kinds(&memory), [ArtifactType::ShadowPatch, ArtifactType::ShadowLogs]);
    assert!(memory.lines.lock().unwrap().is_empty());
    for status in [v1::PreflightStatus::Passed, v1::PreflightStatus::Failed] {
        let mut preflight = v1::Preflight::default();
        preflight.set_status(status);
        outlet.preflight(preflight).await;
    }
    assert_eq!(*memory.checks.lock().unwrap(), [v1::PreflightStatus::Failed]);
}

#[test]
fn limits_of_an_account_and_of_time_are_no_way_s_own() {
    let own = |code, class| super::first::is_its_own(&failure(code, class, ""));
    assert!(own("NO_CHANGES", FailureClass::Job) && own("SKILL_FAILED", FailureClass::Job));
    assert!(!own("RATE_LIMITED", FailureClass::Job) && !own("AGENT_TIMED_OUT", FailureClass::Job));
    assert!(!own("NOT_LOGGED_IN", FailureClass::Login) && !own("ENGINE_FAILED", FailureClass::Environment));
}
