//! The stages on real repositories; the server's side of the outlet is kept in memory.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Mutex,
};

use tempfile::TempDir;

use super::*;
use crate::{
    git,
    testing::{Idle, sh},
};

/// Keeps what stages send, and has one patch to give.
#[derive(Debug, Default)]
pub(super) struct Memory {
    patch: Vec<u8>,
    pub(super) lines: Mutex<Vec<String>>,
    pub(super) stored: Mutex<Vec<(v1::ArtifactType, String)>>,
    pub(super) checks: Mutex<Vec<v1::PreflightStatus>>,
    pub(super) foreseen: Mutex<Vec<v1::Finished>>,
    /// Whether no end can be kept.
    pub(super) full: std::sync::atomic::AtomicBool,
}

#[async_trait]
impl Outlet for Memory {
    async fn progress(&self, message: &str) {
        self.lines.lock().expect("lines").push(message.to_owned());
    }
    async fn preflight(&self, preflight: v1::Preflight) {
        self.checks.lock().expect("checks").push(preflight.status());
    }
    async fn credential_audit(&self, _: v1::CredentialAudit) {}
    async fn volume_diagnostics(&self, _: v1::VolumeDiagnostics) {}
    async fn upload_artifact(&self, kind: v1::ArtifactType, file: &Path, _: &str) -> Result<v1::Artifact, v1::Failure> {
        let text = fs::read_to_string(file).expect("a file");
        self.stored.lock().expect("stored").push((kind, text));
        Ok(v1::Artifact::default())
    }
    async fn download_artifact(&self, _: &str, to: &Path) -> Result<(), v1::Failure> {
        fs::write(to, &self.patch).expect("a place for the patch");
        Ok(())
    }
    async fn foresee(&self, finished: v1::Finished) -> bool {
        self.foreseen.lock().expect("ends").push(finished);
        !self.full.load(std::sync::atomic::Ordering::Relaxed)
    }
    async fn follow_output(&self, _: &Path, _: CancellationToken) -> Result<(), v1::Failure> {
        Ok(())
    }
}

/// An origin whose feature `001-x` has one open task, and a folder for workers.
pub(super) struct Place {
    dir: TempDir,
    base: String,
}

const TASKS: &str = "## Phase 1: Setup\\n\\n- [ ] T001 Write b.txt\\n";

impl Place {
    pub(super) fn new() -> Self {
        let dir = TempDir::new().expect("a folder");
        sh(dir.path(), "git init -q --bare -b main origin.git && git init -q -b main seed");
        let script = format!("printf 'one\\ntwo\\nthree\\n' > a.txt; mkdir -p specs/001-x; printf '{TASKS}' > specs/001-x/tasks.md");
        let base = seed(dir.path(), &script);
        Self { dir, base }
    }

    fn url(&self) -> String {
        format!("file://{}", self.dir.path().join("origin.git").display())
    }

    fn seed(&self, script: &str) -> String {
        seed(self.dir.path(), script)
    }

    /// A patch of the base commit, made by a script.
    pub(super) fn patch(&self, script: &str) -> Vec<u8> {
        let script = format!(
            "rm -rf ../w; git clone -q ../origin.git ../w; cd ../w; git checkout -q {}; {script}; git add -A; git diff --cached --binary --full-index",
            self.base
        );
        let mut text = sh(&self.dir.path().join("seed"), &script).into_bytes();
        text.push(b'\n');
        text
    }

    pub(super) fn origin(&self, command: &str) -> String {
        sh(&self.dir.path().join("origin.git"), command)
    }

    pub(super) fn spec(&self) -> v1::JobSpec {
        v1::JobSpec {
            repository: self.url(),
            feature_key: "001-x".to_owned(),
            branch_name: "moorline/001-x/0123456789ab".to_owned(),
            run_started_at: Some(prost_types::Timestamp {
                seconds: 1_700_000_000,
                nanos: 5,
            }),
            submit: Some(v1::SubmitResult {
                base_commit: self.base.clone(),
                patch_artifact_id: "patch".to_owned(),
                ..Default::default()
            }),
            discover: Some(v1::DiscoverResult {
                base_ref: "main".to_owned(),
                base_commit: self.base.clone(),
                phase: Some(v1::TaskPhase {
                    number: "1".to_owned(),
                    title: "Setup".to_owned(),
                    tasks: vec![v1::Task {
                        task_id: "T001".to_owned(),
                        description: "Write b.txt".to_owned(),
                        ..Default::default()
                    }],
                    depends_on: Vec::new(),
                }),
                checklists: Vec::new(),
            }),
            ..Default::default()
        }
    }

    /// A worker of its own name, with folders of its own.
    pub(super) fn context(&self, name: &str, spec: v1::JobSpec, patch: Vec<u8>) -> (Context, Arc<Memory>) {
        let config = Config::try_parse_from(["moorline-worker", "--git-protocols", "file"]).expect("settings");
        let folder = RunFolder::below(&self.dir.path().join(name), "run-1", "job-1");
        folder.create_private().expect("folders");
        let memory = Arc::new(Memory {
            patch,
            ..Memory::default()
        });
        let offer = v1::Offer {
            run_id: "run-1".to_owned(),
            job_id: "job-1".to_owned(),
            spec: Some(spec),
            ..Default::default()
        };
        let context = Context {
            config: Arc::new(config),
            engine: Arc::new(Idle),
            offer,
            folder,
            outlet: memory.clone(),
            stop: CancellationToken::new(),
            leaving: CancellationToken::new(),
            going: CancellationToken::new(),
            agent_ended: AgentEnded::default(),
            course: Course::of(&v1::Offer::default()),
            holding: None,
            skills: Arc::default(),
        };
        (context, memory)
    }

    async fn discover(&self, feature_key: &str) -> Result<v1::DiscoverResult, v1::Failure> {
        let spec = v1::JobSpec {
            repository: self.url(),
            feature_key: feature_key.to_owned(),
            ..Default::default()
        };
        match discover::run(&self.context("d", spec, Vec::new()).0).await {
            Ok(result) => Ok(result),
            Err(Error::Failed(failure)) => Err(failure),
            Err(Error::Stopped(how)) => panic!("stopped: {how}"),
        }
    }

    async fn publish(&self, name: &str, patch: Vec<u8>) -> (Result<v1::PublishResult, v1::Failure>, Arc<Memory>) {
        let (context, memory) = self.context(name, self.spec(), patch);
        let result = match publish::run(&context).await.map(|(done, _)| done) {
            Ok(result) => Ok(result),
            Err(Error::Failed(failure)) => Err(failure),
            Err(Error::Stopped(how)) => panic!("stopped: {how}"),
        };
        (result, memory)
    }
}

fn seed(dir: &Path, script: &str) -> String {
    let push =
        "git add -A && git -c user.name=A -c user.email=a@b commit -qm seed && git push -q ../origin.git HEAD:main && git rev-parse HEAD";
    sh(&dir.join("seed"), &format!("{script}\n{push}"))
}

pub(super) fn kinds(memory: &Memory) -> Vec<v1::ArtifactType> {
    memory.stored.lock().expect("stored").iter().map(|(kind, _)| *kind).collect()
}

#[tokio::test]
async fn discover_finds_the_next_phase_and_the_branch_that_head_names() {
    let place = Place::new();
    let found = place.discover("001-x").await.expect("work");
    assert_eq!((found.base_ref.as_str(), &found.base_commit), ("main", &place.base));
    assert_eq!(found.phase.expect("a phase").tasks[0].task_id, "T001");
    place.seed("sed -i 's/\\[ \\]/[x]/' specs/001-x/tasks.md");
    assert_eq!(place.discover("001-x").await.expect("no work").phase, None);
}

#[tokio::test]
async fn discover_counts_the_checklists_and_follows_no_link_to_one() {
    let place = Place::new();
    let counted = async || {
        let found = place.discover("001-x").await.expect("work").checklists;
        let told = found.iter().map(|one| format!("{} {}/{}", one.name, one.done, one.total));
        told.collect::<Vec<_>>().join(", ")
    };
    assert_eq!(counted().await, "");
    place.seed(
        "mkdir -p specs/001-x/checklists/folder.md; cd specs/001-x/checklists; touch folder.md/x; ln -s ux.md link.md
        printf -- '- [ ] CHK001 a\\n- [x] CHK002 b\\n' > ux.md; printf -- '- [X] CHK001 a\\n' > 'an *odd* name.md'; printf -- '- [ ] a\\n' > notes.txt; cd ../../..",
    );
    assert_eq!(counted().await, "an *odd* name 1/1, ux 1/2");
    place.seed("mv specs/001-x/checklists specs/others; ln -s ../others specs/001-x/checklists");
    assert_eq!(counted().await, "");
}

#[tokio::test]
async fn discover_refuses_what_is_no_task_list_of_a_feature() {
    let place = Place::new();
    place.seed("mkdir -p specs/link specs/dir/tasks.md specs/bad specs/empty; ln -s /etc/passwd specs/link/tasks.md; touch specs/dir/tasks.md/x specs/empty/tasks.md; printf '## Phase 1: A\\n- [y] T001 x\\n' > specs/bad/tasks.md");
    let mut said = String::new();
    for key in ["002-none", "link", "dir", "bad", "empty", "..", "a/b", ""] {
        let failure = place.discover(key).await.expect_err("refused");
        said.push_str(&format!("{}: {}\n", failure.code, failure.message));
    }
    insta::assert_snapshot!(said, @r"
    TASKS_MISSING: specs/002-none/tasks.md does not exist on main: run the Spec Kit tasks step for this feature and push its files, or name another feature_key
    TASKS_NOT_A_FILE: specs/link/tasks.md is a symbolic link, not a file: put the task list itself there
    TASKS_NOT_A_FILE: specs/dir/tasks.md is a folder or a submodule, not a file: put the task list itself there
    TASKS_MALFORMED: tasks.md line 2: `[y]` is no checkbox: write `[ ]` for a task to do, `[x]` for one that is done
    TASKS_EMPTY: tasks.md is empty: write at least one `## Phase 1: Title` with a task line such as `- [ ] T001 Do this in that file`
    FEATURE_KEY_INVALID: the feature_key `..` names no folder of its own: give the name of one folder under specs/, such as 001-login
    FEATURE_KEY_INVALID: the feature_key `a/b` contains a slash: give the name of one folder under specs/, such as 001-login
    FEATURE_KEY_INVALID: the feature_key `` is empty: give the name of one folder under specs/, such as 001-login
    ");
}

#[tokio::test]
async fn two_publishers_make_one_commit_and_the_second_finds_it_there() {
    let place = Place::new();
    let patch = place.patch("printf 'b\\n' > b.txt");
    let first = place.publish("w1", patch.clone()).await.0.expect("published");
    let (second, memory) = place.publish("w2", patch).await;
    assert_eq!(first, second.expect("published"));
    assert_eq!(first.commit, place.origin("git rev-parse moorline/001-x/0123456789ab"));
    insta::assert_snapshot!(place.origin("git log -1 --format='%an <%ae> %aI %cI%n%B' moorline/001-x/0123456789ab"), @r"
    Moorline <moorline@localhost> 2023-11-14T22:13:20Z 2023-11-14T22:13:20Z
    001-x: Setup

    - T001 Write b.txt

    Moorline-Run: run-1
    ");
    assert_eq!(kinds(&memory), [v1::ArtifactType::ApplyOutput, v1::ArtifactType::PushLog]);
    assert!(
        memory
            .lines
            .lock()
            .expect("lines")
            .iter()
            .any(|line| line.contains("no known forge"))
    );
}

#[tokio::test]
async fn a_run_replaces_its_own_earlier_commit_but_nobody_elses() {
    let place = Place::new();
    place
        .publish("w1", place.patch("printf 'b\\n' > b.txt"))
        .await
        .0
        .expect("published");
    let second = place
        .publish("w2", place.patch("printf 'c\\n' > c.txt"))
        .await
        .0
        .expect("published again");
    assert_eq!(second.commit, place.origin("git rev-parse moorline/001-x/0123456789ab"));
    place.origin("git update-ref refs/heads/moorline/001-x/0123456789ab refs/heads/main");
    let (refused, memory) = place.publish("w3", place.patch("printf 'd\\n' > d.txt")).await;
    let failure = refused.expect_err("refused");
    assert_eq!(failure.code, "PUSH_REJECTED");
    assert!(failure.message.contains("this run did not make"), "{}", failure.message);
    assert_eq!(place.base, place.origin("git rev-parse moorline/001-x/0123456789ab"));
    assert_eq!(kinds(&memory), [v1::ArtifactType::ApplyOutput]);
}

#[tokio::test]
async fn a_merge_conflict_names_its_files_and_pushes_nothing() {
    let place = Place::new();
    let patch = place.patch("sed -i s/two/2/ a.txt; printf 'b\\n' > b.txt");
    place.seed("sed -i s/two/II/ a.txt");
    let failure = place.publish("w1", patch).await.0.expect_err("conflict");
    assert_eq!(
        (failure.code.as_str(), failure.details["conflicting_files"].as_str()),
        ("MERGE_CONFLICT", "a.txt")
    );
    assert_eq!(place.origin("git branch --list 'moorline/*'"), "");
}

#[tokio::test]
async fn a_base_that_moved_on_without_conflict_is_no_obstacle() {
    let place = Place::new();
    let patch = place.patch("printf 'b\\n' > b.txt");
    place.seed("printf 'other\\n' > other.txt");
    let published = place.publish("w1", patch).await.0.expect("published");
    assert_eq!(place.base, place.origin(&format!("git rev-parse {}^", published.commit)));
}

#[tokio::test]
async fn a_patch_of_something_else_does_not_apply_and_says_where() {
    let place = Place::new();
    let patch = String::from_utf8(place.patch("sed -i s/two/2/ a.txt"))
        .expect("text")
        .replace("-two", "-zwei");
    let (refused, memory) = place.publish("w1", patch.into_bytes()).await;
    let failure = refused.expect_err("conflict");
    assert_eq!(
        (failure.code.as_str(), failure.details["conflicting_files"].as_str()),
        ("PATCH_CONFLICT", "a.txt")
    );
    assert!(memory.stored.lock().expect("stored")[0].1.contains("patch failed: a.txt:1"));
}

#[tokio::test]
async fn a_push_that_a_hook_refuses_keeps_the_remotes_words() {
    let place = Place::new();
    let hook = place.dir.path().join("origin.git/hooks/pre-receive");
    fs::write(&hook, "#!/bin/sh\necho 'branches need a ticket' >&2\nexit 1\n").expect("a hook");
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).expect("a mode");
    let (refused, memory) = place.publish("w1", place.patch("printf 'b\\n' > b.txt")).await;
    let failure = refused.expect_err("refused");
    assert_eq!(failure.code, "PUSH_REJECTED");
    assert!(failure.message.contains("branches need a ticket"), "{}", failure.message);
    assert_eq!(kinds(&memory), [v1::ArtifactType::ApplyOutput, v1::ArtifactType::PushLog]);
}

#[tokio::test]
async fn without_a_patch_there_is_nothing_to_publish() {
    let place = Place::new();
    assert_eq!(place.publish("w1", Vec::new()).await.0.expect_err("empty").code, "NO_CHANGES");
    let (context, _) = place.context(
        "w2",
        v1::JobSpec {
            submit: None,
            ..place.spec()
        },
        Vec::new(),
    );
    assert!(matches!(publish::run(&context).await, Err(Error::Failed(failure)) if failure.code == "PATCH_MISSING"));
}

#[test]
fn a_link_that_an_agent_has_planted_is_not_followed() {
    let dir = TempDir::new().expect("a folder");
    let folder = RunFolder::below(dir.path(), "run-1", "job-1");
    folder.create_shared("1000:1000", &owner(7)).expect("folders");
    let secret: PathBuf = dir.path().join("secret");
    fs::write(&secret, "s").expect("a file");
    std::os::unix::fs::symlink(&secret, folder.artifacts.join("log")).expect("a link");
    std::os::unix::fs::symlink(dir.path(), folder.root.join("up")).expect("a link");
    fs::write(folder.artifacts.join("real"), "r").expect("a file");
    assert!(folder.open(&folder.artifacts.join("log")).is_err());
    assert!(folder.open(&folder.root.join("up/secret")).is_err());
    assert!(folder.open(&folder.root.join("../../secret")).is_err());
    assert!(folder.open(&folder.artifacts).is_err());
    assert!(folder.open(&folder.artifacts.join("real")).is_ok());
}

fn owner(lease_token: i64) -> Owner {
    Owner {
        job_id: "job-1".to_owned(),
        lease_token,
    }
}

#[test]
fn the_folder_of_a_run_is_removed_by_its_owner_alone() {
    let dir = TempDir::new().expect("a folder");
    let folder = RunFolder::below(dir.path(), "run-1", "job-1");
    let user = format!("{}:{}", rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    folder.create_shared(&user, &owner(7)).expect("folders");
    fs::write(folder.repo.join("of-seven"), "7").expect("a file");
    folder.create_shared(&user, &owner(8)).expect("a newer claim takes it over");
    assert!(!folder.repo.join("of-seven").exists(), "nothing of the earlier agent stays");
    folder.remove_shared(Some(&owner(7))).expect("left alone");
    folder.remove_shared(None).expect("left alone");
    assert!(folder.repo.exists(), "the one that was fenced does not touch it");
    assert!(folder.create_shared(&user, &owner(7)).is_err(), "nor does it take it back");
    assert!(folder.repo.exists());
    folder.remove_shared(Some(&owner(8))).expect("removed");
    assert!(!folder.root.exists());
    assert!(!dir.path().join("owners/run-1").exists(), "its mark goes with it");
}

#[test]
fn the_folder_of_a_run_is_not_the_jobs_to_rename_in() {
    use std::os::unix::fs::MetadataExt;
    let dir = TempDir::new().expect("a folder");
    let folder = RunFolder::below(dir.path(), "run-1", "job-1");
    folder.create_shared("4242:4243", &owner(7)).expect("folders");
    let of = |path: &Path| {
        let found = fs::metadata(path).expect("a folder");
        (found.uid(), found.gid(), found.mode() & 0o777)
    };
    let me = rustix::process::geteuid().as_raw();
    let (owner, _, mode) = of(&folder.root);
    assert_eq!((owner, mode & 0o022), (me, 0), "{mode:o}");
    if me == 0 {
        assert_eq!(of(&folder.root), (0, 4243, 0o710));
        for inside in [&folder.repo, &folder.home, &folder.artifacts] {
            assert_eq!(of(inside), (4242, 4243, 0o700));
        }
    }
}

#[test]
fn names_in_a_failure_are_few_short_and_on_one_line() {
    let files: Vec<String> = (0..60).map(|n| format!("{n}\n\0{}", "x".repeat(5000))).collect();
    let failure = git::Error::PatchConflict {
        files,
        output: String::new(),
    }
    .failure();
    let details = &failure.details["conflicting_files"];
    assert!(details.ends_with(" and 10 more") && details.split(',').count() == 50, "{details}");
    assert!(details.chars().count() < 51 * 201 && !details.contains(char::is_control));
    assert!(failure.message.chars().count() <= 2000 && !failure.message.contains(char::is_control));
    assert_eq!(named(&["a b".to_owned(), "c".to_owned()], 2, ","), "a b,c");
}
