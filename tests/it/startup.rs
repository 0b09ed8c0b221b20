//! The worker's program with each of its prerequisites missing in turn: 001/US4, 007/FR-004. Each says what to set, and all that is missing at once.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, chown},
    path::PathBuf,
    process::{Command, Output},
    time::Instant,
};

use moorline_proto::v1;
use tempfile::TempDir;

use super::support::{Fleet, fleet::open_folder, program};

/// Machine and settings of a shard's worker that lacks nothing.
struct Site {
    root: TempDir,
    settings: Vec<(&'static str, String)>,
}

impl Site {
    fn new() -> Self {
        let root = open_folder();
        let path = |name: &str| root.path().join(name).display().to_string();
        let settings = [
            ("PATH", std::env::var("PATH").unwrap_or_default()),
            ("MOORLINE_WORKER_NAME", "w".to_owned()),
            ("MOORLINE_ENGINE", "process".to_owned()),
            ("MOORLINE_SERVER", "http://127.0.0.1:1".to_owned()),
            ("MOORLINE_WORK_ROOT", path("work")),
            ("MOORLINE_VOLUME_ROOT", path("volumes")),
            ("MOORLINE_SKILLS_ROOT", path("skills")),
            ("MOORLINE_CODEX_PROGRAM", program("MOORLINE_CODEX_PROGRAM", "codex")),
            ("MOORLINE_SPECKIT_PROGRAM", program("MOORLINE_SPECKIT_PROGRAM", "specify")),
            ("CODEX_QUEUE", "codex-0".to_owned()),
            ("CODEX_VOLUME_NAME", "codex_auth_0".to_owned()),
            ("GEMINI_API_KEY", "key-0123456789-very-secret".to_owned()),
        ];
        let site = Self {
            root,
            settings: settings.to_vec(),
        };
        moorline::bundle::lay(&site.root.path().join("skills")).unwrap();
        fs::create_dir_all(site.volume()).unwrap();
        site.give(1000);
        site
    }

    fn volume(&self) -> PathBuf {
        self.root.path().join("volumes/codex_auth_0")
    }

    /// Gives the volume to a user, where these tests may.
    fn give(&self, uid: u32) {
        if rustix::process::geteuid().is_root() {
            chown(self.volume(), Some(uid), Some(uid)).unwrap();
        }
    }

    /// With a variable set to something else; to nothing it is unset.
    fn with(mut self, name: &'static str, value: &str) -> Self {
        self.settings.retain(|(set, _)| *set != name);
        let value = value.replace("ROOT", &self.root.path().display().to_string());
        self.settings.extend((!value.is_empty()).then_some((name, value)));
        self
    }

    /// With a file, which can be run.
    fn file(self, name: &str, content: &str) -> Self {
        let path = self.root.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        self
    }

    /// With skills that a script has changed in their root.
    fn skills(self, script: &str) -> Self {
        let script = format!("set -e; cd skills; chmod -R u+w .; {script}");
        let mut command = Command::new("sh");
        let done = command.arg("-c").arg(&script).current_dir(self.root.path()).status().unwrap();
        assert!(done.success(), "{script}");
        self
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_moorline-worker-under-test"));
        command.args(arguments).env_clear().envs(self.settings.iter().cloned());
        command.env("MOORLINE_LOG", "error").output().unwrap()
    }

    /// Starts the worker, which must not start; what it says is missing.
    fn missing(&self, what: &str) -> String {
        let began = Instant::now();
        let output = self.run(&[]);
        eprintln!("{what}: {} ms to fail", began.elapsed().as_millis());
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(78), "{what}: {said}");
        assert!(!said.contains("very-secret"), "{said}");
        let said = said.replace(&self.root.path().display().to_string(), "ROOT");
        let lines = said.lines().skip_while(|line| !line.contains("the worker can't start")).skip(1);
        lines.map(|line| format!("{line}\n")).collect()
    }
}

#[test]
fn each_prerequisite_that_is_missing_stops_the_start_and_says_what_to_set() {
    let script = |says: &str| format!("#!/bin/sh\necho '{says}'\n");
    let new = Site::new;
    let cases = [
        ("volume unnamed", new().with("CODEX_VOLUME_NAME", "")),
        (
            "volume missing",
            new().with("CODEX_QUEUE", "codex-7").with("CODEX_VOLUME_NAME", "codex_auth_7"),
        ),
        ("volume of another shard", new().with("CODEX_QUEUE", "codex-1")),
        ("volume not mounted", new().with("CODEX_VOLUME_PATH", "ROOT/volumes/codex_auth_0")),
        ("Codex missing", new().with("MOORLINE_CODEX_PROGRAM", "no-such-codex")),
        (
            "Codex too old",
            new()
                .file("old", &script("codex-cli 0.9.1"))
                .with("MOORLINE_CODEX_PROGRAM", "ROOT/old"),
        ),
        ("Spec Kit missing", new().with("MOORLINE_SPECKIT_PROGRAM", "no-such-specify")),
        (
            "Spec Kit odd",
            new().file("odd", &script("hello")).with("MOORLINE_SPECKIT_PROGRAM", "ROOT/odd"),
        ),
        ("embedding key missing", new().with("GEMINI_API_KEY", "")),
        ("template missing", new().with("CODEX_TEMPLATE_PATH", "ROOT/none.toml")),
        (
            "template asks",
            new()
                .file("asks.toml", "approval_policy = \"on-request\"\n")
                .with("CODEX_TEMPLATE_PATH", "ROOT/asks.toml"),
        ),
        ("skills missing", new().with("MOORLINE_SKILLS_ROOT", "ROOT/none")),
        ("skill missing", new().skills("rm -r .codex/skills/speckit .agents/skills/speckit")),
        ("skill in one mirror", new().skills("rm -r .agents/skills/speckit")),
        ("skill not the same", new().skills("echo >> .agents/skills/speckit/SKILL.md; chmod -x .agents/skills/speckit/scripts/stage")),
        (
            "skill broken",
            new().skills("for mirror in .codex .agents; do echo '# Only text' > $mirror/skills/speckit/SKILL.md; done"),
        ),
        (
            "skill unwell",
            new().skills("for mirror in .codex .agents; do printf '#!/bin/sh\\necho no python >&2; exit 3\\n' > $mirror/skills/speckit/scripts/health; done"),
        ),
        ("settings broken", new().file("volumes/codex_auth_0/config.toml", "a = 1\na = 2\n")),
    ];
    let said: String = cases.map(|(what, site)| format!("{what}\n{}", site.missing(what))).concat();
    insta::assert_snapshot!(said, @r#"
    volume unnamed
    - queues: codex-0 needs its login: set CODEX_VOLUME_NAME to the volume that holds it
    volume missing
    - codex_volume: the volume codex_auth_7 does not exist: create it and log in, or set CODEX_VOLUME_NAME to the one that holds the login
    volume of another shard
    - queues: codex-1 and the volume codex_auth_0 are of two shards: set CODEX_VOLUME_NAME=codex_auth_1, or CODEX_QUEUE=codex-0
    volume not mounted
    - codex_volume: CODEX_VOLUME_PATH is ROOT/volumes/codex_auth_0, where nothing is mounted in this worker: mount the volume codex_auth_0 there (in compose `volumes: ["codex_auth_0:ROOT/volumes/codex_auth_0"]`), set the path where it is (usually /home/app/.codex), or unset CODEX_VOLUME_PATH
    Codex missing
    - codex_cli: no-such-codex was not found: install Codex CLI 0.163.0 or later where jobs run (`npm install -g @openai/codex`, or `pip install openai-codex-cli-bin`), or set MOORLINE_CODEX_PROGRAM
    Codex too old
    - codex_cli: Codex CLI 0.9.1 is too old: install Codex CLI 0.163.0 or later where jobs run (`npm install -g @openai/codex`, or `pip install openai-codex-cli-bin`), or set MOORLINE_CODEX_PROGRAM
    Spec Kit missing
    - speckit_cli: no-such-specify was not found: install Spec Kit CLI 1.2.0 or later where jobs run (`pip install specify-cli`), or set MOORLINE_SPECKIT_PROGRAM
    Spec Kit odd
    - speckit_cli: `ROOT/odd --version` says "hello", which is no version that is understood: install Spec Kit CLI 1.2.0 or later where jobs run (`pip install specify-cli`), or set MOORLINE_SPECKIT_PROGRAM
    embedding key missing
    - embedding: the provider google needs a key: set GOOGLE_API_KEY or GEMINI_API_KEY (or a file that holds it by GOOGLE_API_KEY_FILE or GEMINI_API_KEY_FILE), another DEFAULT_EMBEDDING_PROVIDER, or none where agents use no embeddings
    template missing
    - codex_policy: CODEX_TEMPLATE_PATH names ROOT/none.toml, which can't be read (No such file or directory (os error 2)): set a TOML file that the worker may read, or unset it
    template asks
    - codex_policy: CODEX_TEMPLATE_PATH names ROOT/asks.toml, which does not set approval_policy to "never": nobody can answer an agent that asks, so write approval_policy = "never", or leave the key out
    skills missing
    - speckit_skill: the skill speckit is not in the worker's root ROOT/none: take a job image that has it (now moorline-job; with local processes it is this machine), put it into .codex/skills and .agents/skills there, or set MOORLINE_SKILLS_ROOT to the folder that has these
    skill missing
    - speckit_skill: the skill speckit is not in the worker's root ROOT/skills: take a job image that has it (now moorline-job; with local processes it is this machine), put it into .codex/skills and .agents/skills there, or set MOORLINE_SKILLS_ROOT to the folder that has these
    skill in one mirror
    - speckit_skill: the skill speckit of the worker's root ROOT/skills can't be used: it is missing from .agents/skills: copy it there from .codex/skills, with its modes
    skill not the same
    - speckit_skill: the skill speckit of the worker's root ROOT/skills can't be used: SKILL.md is not the same in both mirrors: copy the one that is right to the other, with its modes; scripts/stage is executable in .codex/skills alone: give it the same mode in both
    skill broken
    - speckit_skill: the skill speckit of the worker's root ROOT/skills can't be used: SKILL.md does not begin with front matter: begin it with a line `---`, then `name:` and `description:`, then a line `---`
    skill unwell
    - speckit_skill: the skill speckit of the worker's root ROOT/skills can't be used: its health check scripts/health ended with code 3 (no python): mend what it says, or take the skill out of the root
    settings broken
    - codex_policy: config.toml in the volume codex_auth_0 is no TOML (duplicate key in line 2): mend the file in the volume, or remove it
    "#);
}

#[test]
fn what_the_system_says_is_passed_on() {
    let root = Site::new()
        .file("file", "")
        .with("MOORLINE_WORK_ROOT", "ROOT/file/work")
        .missing("work root closed");
    assert!(
        root.contains("- work_root: ROOT/file/work can't be written (Not a directory"),
        "{root}"
    );
    let login = Site::new().with("MOORLINE_REQUIRE_LOGIN", "1").missing("login required");
    assert!(login.starts_with("- codex_login: ") && login.contains("codex_auth_0"), "{login}");
    let down = Site::new()
        .with("MOORLINE_EMBEDDING_PROBE", "1")
        .with("MOORLINE_GOOGLE_EMBEDDING_URL", "http://127.0.0.1:1");
    let down = down.missing("embedding endpoint down");
    assert!(
        down.starts_with("- embedding: http://127.0.0.1:1 can't be reached (") && down.contains("refused"),
        "{down}"
    );
}

#[test]
fn a_volume_of_another_user_and_a_git_that_is_too_old_stop_the_start() {
    let site = Site::new();
    let path = format!("ROOT/bin:{}", std::env::var("PATH").unwrap_or_default());
    let site = site.file("bin/git", "#!/bin/sh\necho git version 2.1.0\n").with("PATH", &path);
    site.give(4242);
    let said = site.missing("git too old, volume of another user");
    assert!(said.contains("- git: git version 2.1.0 is too old"), "{said}");
    if rustix::process::geteuid().is_root() {
        assert!(said.contains("belongs to user 4242, and jobs run as user 1000"), "{said}");
    }
}

#[test]
fn all_that_is_missing_is_told_at_once_and_also_without_an_engine() {
    let lacking = |site: Site| {
        site.with("MOORLINE_CODEX_PROGRAM", "no-such-codex")
            .with("MOORLINE_SPECKIT_PROGRAM", "no-such-specify")
            .with("CODEX_TEMPLATE_PATH", "ROOT/none.toml")
            .with("MOORLINE_SKILLS_ROOT", "ROOT/none")
            .with("GEMINI_API_KEY", "")
            .with("CODEX_QUEUE", "codex-7")
    };
    let names = |said: &str| -> Vec<String> {
        let name = |line: &str| Some(line.strip_prefix("- ")?.split_once(": ")?.0.to_owned());
        said.lines().filter_map(name).collect()
    };
    let said = lacking(Site::new()).missing("much");
    assert_eq!(
        names(&said),
        ["queues", "codex_cli", "speckit_cli", "codex_policy", "speckit_skill", "embedding"],
        "{said}"
    );
    let docker = lacking(Site::new())
        .with("MOORLINE_ENGINE", "docker")
        .with("DOCKER_HOST", "unix://ROOT/no.sock");
    let said = docker.missing("much, and no engine");
    assert_eq!(names(&said), ["engine", "queues", "codex_policy", "embedding"], "{said}");
}

#[test]
fn a_gemini_worker_needs_its_own_cli_and_not_that_of_codex() {
    let site = Site::new()
        .with("CODEX_QUEUE", "")
        .with("CODEX_VOLUME_NAME", "")
        .with("MOORLINE_QUEUES", "gemini")
        .with("MOORLINE_CODEX_PROGRAM", "no-such-codex")
        .with("MOORLINE_GEMINI_PROGRAM", "no-such-gemini")
        .with("GEMINI_API_KEY", "");
    let said = site.missing("Gemini missing");
    for needed in ["- gemini_cli: no-such-gemini was not found", "- embedding: ", "- gemini_"] {
        assert!(said.contains(needed), "{said}");
    }
    assert!(!said.contains("codex_cli") && !said.contains("speckit_cli"), "{said}");
}

#[test]
fn check_shows_everything_and_leaves_the_policy_in_the_volume() {
    let site = Site::new();
    let output = site.run(&["check"]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{said}");
    let names: Vec<&str> = said.lines().filter_map(|line| line.split_whitespace().nth(1)).collect();
    assert_eq!(
        names,
        [
            "engine",
            "work_root",
            "git",
            "job_user",
            "queues",
            "job_network",
            "codex_volume",
            "codex_cli",
            "speckit_cli",
            "codex_policy",
            "codex_login",
            "speckit_skill",
            "skills",
            "embedding"
        ],
        "{said}"
    );
    assert!(said.contains("gemini_api_key") && !said.contains("very-secret"), "{said}");
    let settings = fs::read_to_string(site.volume().join("config.toml")).unwrap();
    assert_eq!(settings, "approval_policy = \"never\"\n");
    let bad = site.with("GEMINI_API_KEY", "").run(&["check"]);
    let (shown, missing) = (String::from_utf8(bad.stdout).unwrap(), String::from_utf8(bad.stderr).unwrap());
    assert_eq!(bad.status.code(), Some(78));
    assert!(shown.contains("failed  embedding  ") && shown.contains("ok      git  "), "{shown}");
    assert!(missing.contains("- embedding: ") && !missing.contains("- git"), "{missing}");
}

#[test]
fn another_skill_that_is_broken_is_told_and_stops_nothing() {
    let broken = "rm .agents/skills/conventional-commits/SKILL.md; mkdir .codex/skills/other";
    let site = Site::new().skills(broken);
    let shown = |site: &Site| {
        let output = site.run(&["check"]);
        let said = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(0), "{said}");
        let lines = said.lines().filter(|line| line.contains("skill"));
        lines
            .map(|line| format!("{}\n", line.replace(&site.root.path().display().to_string(), "ROOT")))
            .collect::<String>()
    };
    let shard = shown(&site);
    let default = site.with("CODEX_QUEUE", "").with("CODEX_VOLUME_NAME", "");
    let empty = Site::new()
        .with("CODEX_QUEUE", "")
        .with("CODEX_VOLUME_NAME", "")
        .with("MOORLINE_SKILLS_ROOT", "ROOT/none");
    insta::assert_snapshot!([shard, shown(&default), shown(&empty)].join("\n"), @"
    ok      speckit_skill  speckit 1.0.0 in ROOT/skills
    failed  skills  conventional-commits: SKILL.md is missing from .agents/skills: copy it there from .codex/skills, with its modes | other: it is missing from .agents/skills: copy it there from .codex/skills, with its modes; its folder has no SKILL.md: write one, with front matter and text

    failed  skills  conventional-commits: SKILL.md is missing from .agents/skills: copy it there from .codex/skills, with its modes | other: it is missing from .agents/skills: copy it there from .codex/skills, with its modes; its folder has no SKILL.md: write one, with front matter and text

    failed  skills  there are none in ROOT/none where jobs run: stages that go by skills are left to other workers; set MOORLINE_SKILLS_ROOT, or take a job image that has some
    ");
}

#[test]
fn programs_of_a_skill_that_jobs_may_not_run_stop_the_start() {
    if !rustix::process::geteuid().is_root() {
        return eprintln!("not looked at: jobs run as the user of these tests, who owns the skills");
    }
    let shut = "chmod 700 .codex/skills/speckit/scripts/stage .agents/skills/speckit/scripts/stage";
    let said = Site::new().skills(shut).missing("skill shut");
    assert!(said.contains("scripts/stage can't be run by the user of jobs: give it"), "{said}");
}

#[test]
fn skills_of_a_job_image_are_looked_at_where_jobs_run() {
    // Who is not root has to be the user of jobs.
    let (uid, gid) = (rustix::process::geteuid(), rustix::process::getegid());
    let user = if uid.is_root() {
        "1000:1000".to_owned()
    } else {
        format!("{}:{}", uid.as_raw(), gid.as_raw())
    };
    let docker = || {
        let site = Site::new().with("MOORLINE_ENGINE", "docker").with("MOORLINE_SKILLS_ROOT", "");
        site.with("SPEC_AUTOMATION_JOB_IMAGE", &program("MOORLINE_TEST_JOB_IMAGE", "moorline-job"))
            .with("MOORLINE_JOB_USER", &user)
    };
    let output = docker().with("CODEX_QUEUE", "").with("CODEX_VOLUME_NAME", "").run(&["check"]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(
        output.status.code(),
        Some(0),
        "this test needs a Docker engine and the job image: {said}"
    );
    assert!(
        said.contains("ok      skills  conventional-commits 1.") && said.contains("speckit 1."),
        "{said}"
    );
    let said = docker()
        .with("MOORLINE_SKILLS_ROOT", "/opt/nowhere")
        .missing("no skills in the image");
    let image = program("MOORLINE_TEST_JOB_IMAGE", "moorline-job");
    let skill = said.lines().find(|line| line.starts_with("- speckit_skill: ")).unwrap_or_default();
    assert!(
        skill.contains("/opt/nowhere") && skill.contains(&image) && skill.contains("MOORLINE_SKILLS_ROOT"),
        "{said}"
    );
    let said = docker()
        .with("SPEC_AUTOMATION_JOB_IMAGE", "moorline-test-no-such-image:1")
        .missing("no image");
    assert!(
        said.contains("the image moorline-test-no-such-image:1 is not on this machine"),
        "{said}"
    );
}

#[test]
fn settings_and_secrets_that_cannot_be_read_end_with_64() {
    let site = Site::new().with("GEMINI_API_KEY_FILE", "ROOT/none");
    let output = site.run(&[]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(64), "{said}");
    assert!(
        said.contains("GEMINI_API_KEY_FILE is set, and so is GEMINI_API_KEY: unset one of them"),
        "{said}"
    );
    let output = site.with("GEMINI_API_KEY", "").run(&[]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(64), "{said}");
    assert!(
        said.contains("GEMINI_API_KEY_FILE names ") && said.contains("can't be read"),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_workers_profile_is_shown_by_the_server() {
    let mut fleet = Fleet::start("work").await;
    let ask = |name: &str| v1::GetWorkerRequest {
        worker_name: name.to_owned(),
    };
    let shown = fleet.app.fleet().get_worker(ask("codex-worker-0")).await.unwrap().into_inner();
    assert_eq!(shown.worker.unwrap().volume, "codex_auth_0");
    let profile = shown.profile.unwrap();
    let tools: Vec<_> = profile.tools.iter().map(|tool| (tool.name.as_str(), tool.supported)).collect();
    assert_eq!(tools, [("codex", true), ("speckit", true)]);
    let skills: Vec<_> = profile
        .skills
        .iter()
        .map(|skill| (skill.name.as_str(), skill.ready, skill.stages.len()))
        .collect();
    assert_eq!(skills, [("conventional-commits", true, 1), ("speckit", true, 3)]);
    assert_eq!(profile.policy.unwrap().approval_policy, "never");
    let embedding = profile.embedding.unwrap();
    assert_eq!(
        (embedding.provider.as_str(), embedding.credential_source.as_str()),
        ("none", "none")
    );
    assert!(
        profile.checks.iter().all(|check| check.ok && check.duration.is_some()),
        "{:?}",
        profile.checks
    );
    // One without an agent needs none of it.
    let shown = fleet.app.fleet().get_worker(ask("default-1")).await.unwrap().into_inner();
    let profile = shown.profile.unwrap();
    assert_eq!((profile.tools.len(), profile.embedding, profile.policy), (0, None, None));
    // But the stages that it does may go by skills.
    assert_eq!(profile.skills.len(), 2);
    let nobody = fleet.app.fleet().get_worker(ask("nobody")).await.unwrap_err();
    assert_eq!(nobody.code(), tonic::Code::NotFound);
    fleet.stop().await;
}
