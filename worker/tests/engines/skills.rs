//! Stages that go by a skill, on each engine: small skills of the repository, and what becomes of stages whose skills fail.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use moorline_proto::v1::{self, ArtifactType, ExecutionPath, FailureClass};
use moorline_worker::stage::{self, Course};

use crate::{
    failing::Failing,
    submits::{BEGIN, END, Job},
    world::{World, eventually},
};

/// What every program of these tests begins with: it reads the request, and has a word for a result.
const HEAD: &str = r#"#!/bin/sh
request=$(cat)
field() { printf '%s\n' "$request" | sed -n "s/^ *\"$1\": \"\(.*\)\",\{0,1\}\$/\1/p" | head -n 1; }
run=$(field run_id) stage=$(field stage) skill=$(field requested_skill_id)
result() {
  printf '{"run_id":"%s","stage":"%s","selected_skill_id":"%s","execution_path":"skill","status":"succeeded","duration_ms":1,"artifacts":%s,"error":null}\n' \
    "$run" "$stage" "$skill" "$1"
}
"#;

/// What a result of discover says.
const PHASE: &str = r#"result '{"phase":{"number":"7","title":"By the skill","depends_on":["1"],"tasks":[{"task_id":"T002","description":"Write hello.txt","parallel":true,"story":"","line":9}]},"checklists":[{"name":"ux","total":2,"done":1}]}'
"#;

/// An agent that ticks the task and writes a file.
const TICKS: &str = r"printf hello >hello.txt; sed -i 's/- \[ \] T002/- [x] T002/' specs/001-hello/tasks.md
";

/// A job whose repository has the skill `demo`, which carries its stage so.
struct Case {
    job: Job,
    stage: v1::Stage,
}

impl Case {
    async fn new(world: World, stage: v1::Stage, stages: &str, program: &str, work: &str) -> Self {
        let mut job = Job::new(world, work).await;
        let origin = job.site.world.root.path().join("origin");
        for mirror in [".codex", ".agents"] {
            let folder = origin.join(mirror).join("skills/demo");
            fs::create_dir_all(folder.join("scripts")).unwrap();
            let text = format!(
                "---\nname: demo\ndescription: Does the stages of a test.\nmetadata:\n  version: \"1.2\"\n  moorline-stages: \"{stages}\"\n---\n\n\
                 The words of demo, with {{tasks}} left alone.\n"
            );
            fs::write(folder.join("SKILL.md"), text).unwrap();
            fs::write(folder.join("scripts/stage"), format!("{HEAD}{program}")).unwrap();
            fs::set_permissions(folder.join("scripts/stage"), PermissionsExt::from_mode(0o755)).unwrap();
        }
        git(&origin, &["add", "."]);
        git(
            &origin,
            &["-c", "user.name=t", "-c", "user.email=t@t", "commit", "-q", "-m", "Add a skill"],
        );
        let mut decision = v1::StageDecision {
            stage: stage.into(),
            selected_skill: "demo".to_owned(),
            use_skills: true,
            fallback_enabled: true,
            repository_skill: true,
            policy_version: 3,
            ..v1::StageDecision::default()
        };
        decision.set_execution_path(ExecutionPath::Skill);
        job.context.offer.decision = Some(decision);
        job.context.offer.set_stage(stage);
        let mut case = Self { job, stage };
        case.begin_anew();
        case
    }

    /// As the next attempt would find it.
    fn begin_anew(&mut self) {
        self.job.context.course = Course::of(&self.job.context.offer);
    }

    /// The same without the built-in way behind it.
    fn without_fallback(mut self) -> Self {
        self.job.context.offer.decision.as_mut().unwrap().fallback_enabled = false;
        self
    }

    async fn run(&self) -> Result<v1::JobResult, stage::Error> {
        let done = stage::run(self.job.context.clone()).await;
        self.cleared().await;
        done
    }

    /// What happens at a job's end, after which nothing of it is left.
    async fn cleared(&self) {
        stage::clear(&self.job.context).await;
        let labels = BTreeMap::from([("moorline.run".to_owned(), self.job.context.offer.run_id.clone())]);
        assert_eq!(
            self.job.site.world.engine.list(&labels).await.unwrap(),
            [],
            "its containers are gone"
        );
    }

    async fn fail(&self) -> v1::Failure {
        match self.run().await {
            Err(stage::Error::Failed(failure)) => failure,
            other => panic!("{other:?}"),
        }
    }

    async fn discovered(&self) -> v1::DiscoverResult {
        match self.run().await.unwrap().result {
            Some(v1::job_result::Result::Discover(found)) => found,
            other => panic!("{other:?}"),
        }
    }

    async fn submitted(&self) -> v1::SubmitResult {
        submit(self.run().await.unwrap())
    }

    /// How it went: path, whether a skill was tried, whether the built-in way took over, the code of the skill's failure.
    fn went(&self) -> (ExecutionPath, bool, bool, Option<String>) {
        let said = self.job.context.course.so_far();
        assert_eq!((said.stage(), said.selected_skill.as_str()), (self.stage, "demo"));
        (
            said.execution_path(),
            said.used_skills,
            said.used_fallback,
            said.skill_failure.map(|failure| failure.code),
        )
    }

    fn progress(&self) -> String {
        self.job.outlet.progress.lock().unwrap().join("\n")
    }

    fn output(&self) -> String {
        self.job.outlet.output.lock().unwrap().clone()
    }

    fn origin(&self, args: &[&str]) -> String {
        git(&self.job.site.world.root.path().join("origin"), args)
    }
}

fn submit(done: v1::JobResult) -> v1::SubmitResult {
    match done.result {
        Some(v1::job_result::Result::Submit(done)) => done,
        other => panic!("{other:?}"),
    }
}

fn git(folder: &Path, args: &[&str]) -> String {
    let done = Command::new("git").arg("-C").arg(folder).args(args).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap().trim_end().to_owned()
}

fn skill() -> (ExecutionPath, bool, bool, Option<String>) {
    (ExecutionPath::Skill, true, false, None)
}

fn fell_back(code: &str) -> (ExecutionPath, bool, bool, Option<String>) {
    (ExecutionPath::DirectFallback, true, true, Some(code.to_owned()))
}

pub async fn a_program_finds_the_phase_within_its_walls(world: World) {
    let look = "env | sort >&2; pwd >&2; ls specs/001-hello >&2; cat \"$MOORLINE_SKILL_DIR/SKILL.md\" >&2
        touch \"$MOORLINE_SKILL_DIR/mine\" 2>/dev/null && echo CHANGED >&2
        printf '%s\\n' \"$request\" >&2; echo 'token ghp_0123456789abcdefghij0123' >&2\n";
    let case = Case::new(world, v1::Stage::Discover, "discover=scripts/stage", &format!("{look}{PHASE}"), "").await;
    let found = case.discovered().await;
    let phase = found.phase.unwrap();
    assert_eq!(
        (phase.number.as_str(), phase.title.as_str(), phase.depends_on[0].as_str()),
        ("7", "By the skill", "1")
    );
    assert_eq!((found.checklists[0].name.as_str(), found.checklists[0].done), ("ux", 1));
    assert_eq!(
        (found.base_ref.as_str(), found.base_commit),
        ("main", case.origin(&["rev-parse", "main"]))
    );
    assert_eq!(case.went(), skill());
    assert_eq!(case.job.context.course.so_far().skill_digest.len(), 64);
    let (output, root) = (case.output(), case.job.context.folder.root.display().to_string());
    for line in [
        format!("HOME={root}/home\n"),
        format!("MOORLINE_SKILL_DIR={root}/skills/demo\n"),
        format!("{root}/repo\ntasks.md\n"),
        "The words of demo".to_owned(),
        format!("\"checkout\": \"{root}/repo\""),
        "\"policy_version\": 3".to_owned(),
        "token [redacted]".to_owned(),
    ] {
        assert!(output.contains(&line), "{line} is not in {output}");
    }
    for name in ["CODEX_HOME", "TOKEN=", "KEY=", "CHANGED"] {
        assert!(!output.contains(name), "{name} is in {output}");
    }
    assert!(
        case.progress().contains("discover goes by the skill demo 1.2: its program"),
        "{}",
        case.progress()
    );
}

/// Programs that are no good, and how each fails.
const BAD: [(&str, &str, &str); 9] = [
    ("echo hello, world", "SKILL_NO_RESULT", "`hello, world`"),
    ("exit 3", "SKILL_FAILED", "exit code 3"),
    (
        "echo it is broken >&2; exit 1",
        "SKILL_FAILED",
        "its last words were `it is broken`",
    ),
    ("yes", "SKILL_RESULT_TOO_LARGE", "more than 4 MiB"),
    ("head -c 5000000 /dev/zero", "SKILL_RESULT_TOO_LARGE", "more than 4 MiB"),
    (
        "run=another; result '{\"phase\":null,\"checklists\":[]}'",
        "SKILL_RESULT_MISMATCH",
        "`another`",
    ),
    ("result '{\"phase\":null}'", "SKILL_NO_RESULT", "`checklists`"),
    (
        "result {} | sed 's/succeeded/failed/; s/\"error\":null/\"error\":{\"code\":\"NO_SPEC\",\"message\":\"no spec.md\"}/'",
        "SKILL_FAILED",
        "NO_SPEC: no spec.md",
    ),
    // Where its output is, something else is by the end.
    (
        "result {}; cd ../artifacts; rm skill-result.json; ln -s /etc/passwd skill-result.json",
        "SKILL_NO_RESULT",
        "no regular file",
    ),
];

pub async fn what_a_program_gets_wrong_is_told_and_made_up_for(world: World) {
    let mut program = String::from("case $(cat specs/001-hello/which) in\n");
    for (number, (script, ..)) in BAD.iter().enumerate() {
        program.push_str(&format!("{number}) {script} ;;\n"));
    }
    program.push_str("esac\n");
    let mut case = Case::new(world, v1::Stage::Discover, "discover=scripts/stage", &program, "").await;
    let which = case.job.site.world.root.path().join("origin/specs/001-hello/which");
    for (number, (script, code, why)) in BAD.iter().enumerate() {
        fs::write(&which, number.to_string()).unwrap();
        case.origin(&["add", "."]);
        case.origin(&["-c", "user.name=t", "-c", "user.email=t@t", "commit", "-q", "-m", script]);
        case.begin_anew();
        let found = case.discovered().await;
        assert_eq!(found.phase.unwrap().title, "Core", "{script}");
        assert_eq!(case.went(), fell_back(code), "{script}");
        let failure = case.job.context.course.so_far().skill_failure.unwrap();
        assert!(failure.message.contains(why), "{script}: {}", failure.message);
        assert!(case.progress().contains("the built-in way takes over"), "{}", case.progress());
        case.job.outlet.progress.lock().unwrap().clear();
    }
}

pub async fn without_a_fallback_a_skills_failure_is_the_stages(world: World) {
    let case = Case::new(world, v1::Stage::Discover, "discover=scripts/stage", "exit 3", "")
        .await
        .without_fallback();
    let failure = case.fail().await;
    assert_eq!((failure.code.as_str(), failure.class()), ("SKILL_FAILED", FailureClass::Job));
    assert_eq!(case.went(), (ExecutionPath::Skill, true, false, Some("SKILL_FAILED".to_owned())));
}

pub async fn a_program_that_hangs_is_ended_in_time_for_the_built_in_way(world: World) {
    let mut case = Case::new(world, v1::Stage::Discover, "discover=scripts/stage", "sleep 1000", "").await;
    case.job.context.offer.timeout = Some(prost_types::Duration { seconds: 12, nanos: 0 });
    case.begin_anew();
    assert_eq!(case.discovered().await.phase.unwrap().title, "Core");
    assert_eq!(case.went(), fell_back("SKILL_TIMED_OUT"));
}

pub async fn both_ways_failing_keeps_both_reasons(world: World) {
    let case = Case::new(world, v1::Stage::Discover, "submit", "", "").await;
    case.origin(&["rm", "-q", "specs/001-hello/tasks.md"]);
    case.origin(&[
        "-c",
        "user.name=t",
        "-c",
        "user.email=t@t",
        "commit",
        "-q",
        "-m",
        "Take the tasks away",
    ]);
    let failure = case.fail().await;
    assert_eq!(
        (failure.code.as_str(), failure.class()),
        ("SKILL_AND_FALLBACK_FAILED", FailureClass::Job)
    );
    assert_eq!(
        (failure.details["skill"].as_str(), failure.details["skill_code"].as_str()),
        ("demo", "SKILL_MISSING")
    );
    assert_eq!(failure.details["direct_code"], "TASKS_MISSING");
    assert!(
        failure.details["skill_message"].contains("doesn't carry the stage discover"),
        "{failure:?}"
    );
    assert!(
        failure.message.contains("doesn't carry") && failure.message.contains("tasks.md does not exist"),
        "{failure:?}"
    );
    assert_eq!(case.went(), fell_back("SKILL_MISSING"));
}

pub async fn an_engine_that_fails_starts_no_built_in_way(world: World) {
    let mut case = Case::new(world, v1::Stage::Discover, "discover=scripts/stage", "sleep 1000", "").await;
    case.job.context.engine = Arc::new(Failing::new(&case.job.site.world.engine, 1, 0, 0));
    let failure = case.fail().await;
    assert_eq!(
        (failure.code.as_str(), failure.class()),
        ("ENGINE_FAILED", FailureClass::Environment)
    );
    assert_eq!(case.went(), skill());
}

pub async fn a_program_that_is_told_to_stop_is_no_failure(world: World) {
    let case = Case::new(world, v1::Stage::Discover, "discover=scripts/stage", "touch up; sleep 1000", "").await;
    let (up, stop) = (case.job.context.folder.repo.join("up"), case.job.context.stop.clone());
    let stopping = async {
        eventually("the program works", async || up.exists().then_some(())).await;
        stop.cancel();
    };
    let (ended, ()) = tokio::join!(case.run(), stopping);
    assert!(matches!(ended, Err(stage::Error::Stopped("stopped"))), "{ended:?}");
    assert_eq!(case.went(), skill());
}

pub async fn an_agent_works_by_a_skills_instructions(world: World) {
    let work = format!("{BEGIN}cat >prompt-as-read.txt; cat ../skills/demo/scripts/stage >script-as-read.txt\n{TICKS}{END}");
    let case = Case::new(world, v1::Stage::Submit, "submit", "", &work).await;
    let done = case.submitted().await;
    assert_eq!((done.files_changed, done.tasks_done), (4, vec!["T002".to_owned()]));
    assert_eq!(case.went(), skill());
    let patch = case.job.outlet.artifact(ArtifactType::CodexPatch).unwrap();
    for line in [
        "+Work on the feature `001-hello` of this repository by the skill `demo`.",
        "+The words of demo, with {tasks} left alone.",
        "+Phase 2: Core",
        "+- T002 [P] Write hello.txt",
        "+request=$(cat)",
    ] {
        assert!(patch.contains(line), "{line} is not in {patch}");
    }
    assert!(case.job.log().contains("turn.completed"));
    assert_eq!(case.output(), case.job.log());
    assert_eq!(case.job.outlet.preflights.lock().unwrap().len(), 1);
    assert!(
        case.progress().contains("submit goes by the skill demo 1.2: its instructions"),
        "{}",
        case.progress()
    );
}

pub async fn a_program_works_in_the_agents_place(world: World) {
    let program = format!("echo at work >&2\n{TICKS}result '{{}}'\n");
    let case = Case::new(world, v1::Stage::Submit, "submit=scripts/stage", &program, "exit 1").await;
    // It needs no login, so that a bad one is nothing to it.
    case.job.site.answer(1, "Not logged in\n").await;
    let done = case.submitted().await;
    assert_eq!((done.files_changed, done.tasks_done), (2, vec!["T002".to_owned()]));
    assert_eq!(case.went(), skill());
    assert_eq!((case.output().as_str(), case.job.log().as_str()), ("at work\n", "at work\n"));
    assert!(case.job.outlet.preflights.lock().unwrap().is_empty());
}

/// An agent that changes nothing by a skill, and works by the built-in words, after `meanwhile`.
fn only_direct(by_skill: &str, direct: &str) -> String {
    format!(
        "{BEGIN}if grep -q '<skill name=\"demo\">'; then echo by the skill; {by_skill}\nelse echo by itself; {direct}\n{TICKS}fi\n{END}"
    )
}

pub async fn an_agent_that_fails_by_a_skill_is_followed_by_the_built_in_way(world: World) {
    let case = Case::new(
        world,
        v1::Stage::Submit,
        "submit",
        "",
        &only_direct("touch ../home/left; true", "ls ../home"),
    )
    .await;
    let done = case.submitted().await;
    assert_eq!((done.files_changed, done.tasks_done), (2, vec!["T002".to_owned()]));
    assert_eq!(case.went(), fell_back("NO_CHANGES"));
    let of_skill = case.job.outlet.artifact(ArtifactType::ShadowLogs).unwrap();
    let log = case.job.log();
    assert!(of_skill.contains("by the skill") && !of_skill.contains("by itself"), "{of_skill}");
    assert!(
        log.contains("by itself") && !log.contains("by the skill") && !log.contains("left"),
        "{log}"
    );
    assert_eq!(
        case.output(),
        format!("{of_skill}{log}"),
        "the job's output has both, one after the other"
    );
    assert_eq!(
        case.job.outlet.preflights.lock().unwrap().len(),
        2,
        "no agent is started without a check"
    );
}

pub async fn a_bad_login_or_no_time_starts_no_built_in_way(world: World) {
    let mut case = Case::new(world, v1::Stage::Submit, "submit", "", &only_direct("true", "true")).await;
    case.job.context.offer.timeout = Some(prost_types::Duration { seconds: 50, nanos: 0 });
    let failure = case.fail().await;
    assert_eq!(failure.code, "NO_CHANGES");
    assert!(
        failure.message.contains("less than 60 s of the stage's time were left"),
        "{}",
        failure.message
    );
    assert_eq!(case.went(), (ExecutionPath::Skill, true, false, Some("NO_CHANGES".to_owned())));
    assert!(case.job.log().contains("by the skill"));
    case.job.context.offer.timeout = None;
    case.job.site.answer(1, "Not logged in\n").await;
    case.begin_anew();
    let failure = case.fail().await;
    assert_eq!((failure.code.as_str(), failure.class()), ("NOT_LOGGED_IN", FailureClass::Login));
    assert_eq!(case.went(), skill());
}

/// What a result of publish says, of this branch.
fn texts(branch: &str) -> String {
    let message =
        r#""commit_message":"Add hello\n\nBy demo.\n\nMoorline-Run: another","pull_request":{"title":"Hello","body":"All of it"}"#;
    format!("cat hello.txt >&2; grep -c . \"$(field patch)\" >&2\nresult \"$(printf '%s' '{{\"branch_name\":\"{branch}\",{message}}}')\"\n")
}

impl Case {
    /// As a run that has come so far, with a patch that changes the skill as well.
    async fn publishing(world: World, program: &str) -> Self {
        let mut case = Self::new(world, v1::Stage::Publish, "publish=scripts/stage", program, "").await;
        let copy = case.job.site.world.root.path().join("copy");
        let origin: PathBuf = case.job.site.world.root.path().join("origin");
        git(
            case.job.site.world.root.path(),
            &["clone", "-q", &origin.display().to_string(), &copy.display().to_string()],
        );
        fs::write(copy.join("hello.txt"), "hello\n").unwrap();
        fs::write(copy.join(".codex/skills/demo/scripts/stage"), "#!/bin/sh\necho taken over\n").unwrap();
        git(&copy, &["add", "."]);
        let patch = git(&copy, &["diff", "--cached", "--binary", "--full-index"]);
        *case.job.outlet.patch.lock().unwrap() = Some(format!("{patch}\n"));
        let base = case.origin(&["rev-parse", "main"]);
        let spec = case.job.context.offer.spec.as_mut().unwrap();
        spec.branch_name = "moorline/001-hello/1".to_owned();
        spec.submit = Some(v1::SubmitResult {
            base_commit: base,
            patch_artifact_id: "patch".to_owned(),
            tasks_done: vec!["T002".to_owned()],
            ..v1::SubmitResult::default()
        });
        case
    }

    fn published(&self) -> String {
        self.origin(&["log", "-1", "--format=%B", "moorline/001-hello/1"])
    }
}

pub async fn a_program_writes_what_is_published(world: World) {
    let case = Case::publishing(world, &texts("moorline/001-hello/1")).await;
    case.run().await.unwrap();
    let run_id = &case.job.context.offer.run_id;
    assert_eq!(case.published(), format!("Add hello\n\nBy demo.\n\nMoorline-Run: {run_id}"));
    assert_eq!(case.origin(&["show", "moorline/001-hello/1:hello.txt"]), "hello");
    assert_eq!(case.went(), skill());
    let output = case.output();
    assert!(output.starts_with("hello\n"), "the patch is applied in its checkout: {output}");
}

pub async fn texts_of_another_branch_are_not_published(world: World) {
    let case = Case::publishing(world, &texts("main")).await;
    case.run().await.unwrap();
    let run_id = &case.job.context.offer.run_id;
    assert_eq!(
        case.published(),
        format!("001-hello: changes by an agent\n\nMoorline-Run: {run_id}")
    );
    assert_eq!(case.went(), fell_back("SKILL_RESULT_MISMATCH"));
}

/// Waits for a word.
const WAIT: &str = "while [ ! -e ../go ]; do sleep 0.05; done";

impl Case {
    /// The worker is killed while the skill's program works, which has said so by the file `up`.
    async fn program_at_work(&mut self) -> stage::submit::Adopted {
        let (folder, at_work) = (self.job.context.folder.clone(), self.job.outlet.at_work.clone());
        let noticing = tokio::spawn(async move {
            while !folder.repo.join("up").exists() || !folder.private().join("at-work.json").exists() {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
            at_work.cancel();
        });
        let adopted = self.job.killed_at_work().await;
        noticing.await.unwrap();
        adopted
    }

    /// Goes on with what an earlier process has left.
    async fn resumed(&self, adopted: stage::submit::Adopted) -> v1::SubmitResult {
        let done = stage::resume(self.job.context.clone(), adopted).await;
        self.cleared().await;
        submit(done.unwrap())
    }
}

pub async fn a_skills_agent_that_outlives_its_worker_is_gone_on_with_and_made_up_for(world: World) {
    let mut case = Case::new(world, v1::Stage::Submit, "submit", "", &only_direct(WAIT, "true")).await;
    let adopted = case.job.killed_at_work().await;
    assert_eq!(adopted.at_work.leg, stage::Leg::Skill);
    assert_eq!(case.went(), (ExecutionPath::Skill, false, false, None), "it is another process");
    case.job.go();
    let done = case.resumed(adopted).await;
    assert_eq!(done.tasks_done, ["T002"]);
    assert_eq!(case.went(), fell_back("NO_CHANGES"));
    assert_eq!(case.job.context.course.so_far().skill_digest.len(), 64);
    assert!(case.job.log().contains("by itself"));
    assert!(case.job.outlet.artifact(ArtifactType::ShadowLogs).unwrap().contains("by the skill"));
}

pub async fn a_built_in_agent_that_took_over_outlives_its_worker(world: World) {
    let says = r#"echo '{"type":"item.started","item":{"type":"command_execution","command":"second","status":"in_progress"}}'"#;
    let mut case = Case::new(
        world,
        v1::Stage::Submit,
        "submit",
        "",
        &only_direct("true", &format!("{says}; {WAIT}")),
    )
    .await;
    // The agent of the skill is at work first: only the second's line counts.
    let outlet = Arc::new(crate::outlet::Kept::of_line("$ second"));
    (case.job.outlet, case.job.context.outlet) = (outlet.clone(), outlet);
    let adopted = case.job.killed_at_work().await;
    assert_eq!(adopted.at_work.leg, stage::Leg::Fallback);
    case.job.go();
    let done = case.resumed(adopted).await;
    assert_eq!(done.tasks_done, ["T002"]);
    assert_eq!(case.went(), fell_back("NO_CHANGES"), "what failed before is known again");
    let (log, output) = (case.job.log(), case.output());
    assert!(log.contains("by itself") && !log.contains("by the skill"), "{log}");
    assert!(output.contains("by the skill") && output.ends_with(&log), "{output}");
    assert!(
        case.job.outlet.preflights.lock().unwrap().is_empty(),
        "the login is not checked again"
    );
}

pub async fn a_program_that_outlives_its_worker_is_gone_on_with(world: World) {
    let program = format!("echo at work >&2; touch up; {WAIT}; rm up\n{TICKS}result '{{}}'\n");
    let mut case = Case::new(world, v1::Stage::Submit, "submit=scripts/stage", &program, "exit 1").await;
    let adopted = case.program_at_work().await;
    assert_eq!(adopted.at_work.leg, stage::Leg::Program);
    case.job.go();
    let done = case.resumed(adopted).await;
    assert_eq!((done.files_changed, done.tasks_done), (2, vec!["T002".to_owned()]));
    assert_eq!(case.went(), skill());
    assert_eq!(case.job.log(), "at work\n");
}

pub async fn a_program_that_goes_with_its_machine_is_not_at_fault(world: World) {
    // As Docker tells of a container that it found dead, and as the kernel tells of a process.
    let end = if world.docker { "exit 255" } else { "kill -9 $$" };
    let program = format!("touch up; {WAIT}; {end}\n");
    let mut case = Case::new(world, v1::Stage::Submit, "submit=scripts/stage", &program, "exit 1").await;
    let adopted = case.program_at_work().await;
    case.job.go();
    let done = stage::resume(case.job.context.clone(), adopted).await;
    case.cleared().await;
    let Err(stage::Error::Failed(failure)) = done else {
        panic!("{done:?}")
    };
    assert_eq!((failure.code.as_str(), failure.class()), ("SKILL_FAILED", FailureClass::LostWorker));
    assert_eq!(case.went(), skill());
}

impl Case {
    /// Has somebody else put a commit with this message on the run's branch, between the worker's look at it and its push.
    fn overtake(&self, message: &str) {
        let hook = self.job.site.world.root.path().join("origin/.git/hooks/pre-receive");
        let commit = format!("git -c user.name=t -c user.email=t@t commit-tree -m '{message}' main^{{tree}}");
        let script = format!(
            "#!/bin/sh\nunset GIT_QUARANTINE_PATH GIT_OBJECT_DIRECTORY GIT_ALTERNATE_OBJECT_DIRECTORIES\nrm \"$0\"\n\
             git update-ref refs/heads/moorline/001-hello/1 $({commit})\n"
        );
        fs::create_dir_all(hook.parent().unwrap()).unwrap();
        fs::write(&hook, script.replace("$0", "hooks/pre-receive")).unwrap();
        fs::set_permissions(&hook, PermissionsExt::from_mode(0o755)).unwrap();
    }
}

pub async fn another_publisher_of_the_run_is_replaced_and_a_stranger_is_not(world: World) {
    let mut case = Case::publishing(world, &texts("moorline/001-hello/1")).await;
    let run_id = case.job.context.offer.run_id.clone();
    case.overtake(&format!("Other words\n\nMoorline-Run: {run_id}"));
    case.run().await.unwrap();
    assert_eq!(case.published(), format!("Add hello\n\nBy demo.\n\nMoorline-Run: {run_id}"));
    case.origin(&["branch", "-D", "moorline/001-hello/1"]);
    case.overtake("By somebody else");
    case.begin_anew();
    let failure = case.fail().await;
    assert_eq!(failure.code, "PUSH_REJECTED");
    assert!(failure.message.contains("which this run did not make"), "{}", failure.message);
    assert_eq!(case.published(), "By somebody else");
}

pub async fn a_repositorys_skill_is_no_process_of_the_workers_own_user(world: World) {
    if world.docker {
        return;
    }
    let mut case = Case::new(world, v1::Stage::Discover, "discover=scripts/stage", PHASE, "").await;
    Arc::make_mut(&mut case.job.context.config).job_user = "0:0".to_owned();
    assert_eq!(case.discovered().await.phase.unwrap().title, "Core");
    assert_eq!(case.went(), fell_back("SKILL_INVALID"));
    let failure = case.job.context.course.so_far().skill_failure.unwrap();
    assert!(failure.message.contains("MOORLINE_JOB_USER"), "{}", failure.message);
}
