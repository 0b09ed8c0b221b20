//! The scripted model drives the real Codex CLI.

use std::{
    path::Path,
    process::{Output, Stdio},
    time::Duration,
};

use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    process::Command,
    time::timeout,
};

use super::*;

const KEY: &str = "sk-scripted-0123456789abcdef";
const TASKS: &str =
    "# Tasks\n\n## Phase 1: Setup\n\n- [ ] T001 Write the greeting\n- [ ] T0011 Another\n- [ ] T002 [P] It's \"quoted\" $HOME\n";
const PROMPT: &str =
    "Feature: 001-greeting\nTask list: specs/001-greeting/tasks.md\n\n- T001 Write the greeting\n- T002 [P] It's \"quoted\" $HOME\n";

async fn model() -> ScriptedModel {
    ScriptedModel::start("127.0.0.1:0".parse().unwrap()).await.unwrap()
}

/// A git repository with a task list, and a home of Codex with a login.
struct Desk {
    dir: TempDir,
}

impl Desk {
    async fn new() -> Self {
        let desk = Self {
            dir: tempfile::tempdir().unwrap(),
        };
        std::fs::create_dir(desk.home()).unwrap();
        std::fs::create_dir_all(desk.repo().join("specs/001-greeting")).unwrap();
        std::fs::write(desk.repo().join("specs/001-greeting/tasks.md"), TASKS).unwrap();
        for arguments in [
            &["init", "--quiet"][..],
            &["add", "."],
            &["-c", "user.name=t", "-c", "user.email=t@localhost", "commit", "-qm", "Begin"],
        ] {
            assert!(
                Command::new("git")
                    .args(arguments)
                    .current_dir(desk.repo())
                    .status()
                    .await
                    .unwrap()
                    .success()
            );
        }
        let login = desk.codex(&["login", "--with-api-key"], KEY).await;
        assert!(login.status.success(), "{login:?}");
        desk
    }

    fn home(&self) -> std::path::PathBuf {
        self.dir.path().join("home")
    }

    fn repo(&self) -> std::path::PathBuf {
        self.dir.path().join("repo")
    }

    async fn codex(&self, arguments: &[&str], input: &str) -> Output {
        let program = std::env::var("MOORLINE_CODEX_PROGRAM").unwrap_or_else(|_| "codex".to_owned());
        let mut command = Command::new(&program);
        command
            .args(arguments)
            .current_dir(self.repo())
            .env_clear()
            .env("PATH", std::env::var("PATH").unwrap());
        command.env("HOME", self.home()).env("CODEX_HOME", self.home()).kill_on_drop(true);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| {
            panic!(
                "{program}: {error}. This test needs the Codex CLI: `npm install -g @openai/codex`, or `pip install openai-codex-cli-bin`, \
                 and MOORLINE_CODEX_PROGRAM when it isn't on the PATH"
            )
        });
        child.stdin.take().unwrap().write_all(input.as_bytes()).await.unwrap();
        timeout(Duration::from_secs(90), child.wait_with_output())
            .await
            .expect("Codex has not ended within 90 s")
            .unwrap()
    }

    /// Runs the agent once on the task list.
    async fn exec(&self, model: &ScriptedModel, mode: &str) -> Output {
        self.exec_with(model, mode, &[]).await
    }

    async fn exec_with(&self, model: &ScriptedModel, mode: &str, more: &[&str]) -> Output {
        let base_url = format!("openai_base_url=\"{}\"", model.base_url(mode));
        let arguments = [
            "exec",
            "--json",
            "-s",
            "danger-full-access",
            "--disable",
            "plugins",
            "-c",
            &base_url,
        ];
        self.codex(&[&arguments[..], more, &["-"]].concat(), PROMPT).await
    }

    fn task_list(&self) -> String {
        std::fs::read_to_string(self.repo().join("specs/001-greeting/tasks.md")).unwrap()
    }

    async fn git(&self, arguments: &[&str]) -> String {
        let output = Command::new("git").args(arguments).current_dir(self.repo()).output().await.unwrap();
        String::from_utf8(output.stdout).unwrap()
    }
}

fn read(path: impl AsRef<Path>) -> String {
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.as_ref().display()))
}

#[tokio::test]
async fn codex_works_the_tasks_and_ticks_them() {
    let (model, desk) = (model().await, Desk::new().await);
    let output = desk.exec(&model, "work").await;
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && printed.contains("turn.completed"), "{output:?}");

    let wanted = TASKS.replace("- [ ] T001 ", "- [x] T001 ").replace("- [ ] T002 ", "- [x] T002 ");
    assert_eq!(desk.task_list(), wanted, "the tasks of the prompt are ticked, T0011 is not");
    assert_eq!(
        read(desk.repo().join("docs/001-greeting-T001.md")),
        "# 001-greeting T001\n\nWrite the greeting\n"
    );
    assert_eq!(
        read(desk.repo().join("docs/001-greeting-T002.md")),
        "# 001-greeting T002\n\n[P] It's \"quoted\" $HOME\n"
    );

    let posts: Vec<_> = model.requests().into_iter().filter(|request| request.method == "POST").collect();
    assert_eq!(posts.len(), 2, "one for the call, one for the final message");
    assert!(
        posts.iter().all(|request| request.authorization.as_deref() == Some("Bearer …cdef")),
        "{posts:?}"
    );
    assert!(
        posts[1].tool_outputs[0].contains("exited with code 0"),
        "{:?}",
        posts[1].tool_outputs
    );
    let all = serde_json::to_string(&model.requests()).unwrap();
    assert!(!all.contains(KEY), "the key is recorded");
}

#[tokio::test]
async fn models_that_call_the_shell_directly_and_through_code_both_work() {
    // Codex offers `exec_command` to the first; its default model gets `exec`, which runs JavaScript.
    for (model_name, tool) in [(&["-m", "gpt-5.5-codex"][..], "exec_command"), (&[], "exec")] {
        let (model, desk) = (model().await, Desk::new().await);
        let output = desk.exec_with(&model, "work", model_name).await;
        assert!(output.status.success(), "{output:?}");
        assert!(
            desk.task_list().contains("[x] T001"),
            "{tool}: {}",
            String::from_utf8_lossy(&output.stdout)
        );
        assert!(
            model.requests().iter().any(|request| request.offers(tool)),
            "{tool}: {:?}",
            model.requests()
        );
    }
}

#[tokio::test]
async fn codex_says_something_and_changes_nothing() {
    let (model, desk) = (model().await, Desk::new().await);
    let output = desk.exec(&model, "say").await;
    assert!(output.status.success(), "{output:?}");
    assert_eq!(desk.git(&["status", "--porcelain"]).await, "");
}

#[tokio::test]
async fn codex_commits_its_own_work() {
    let (model, desk) = (model().await, Desk::new().await);
    let output = desk.exec(&model, "commit").await;
    assert!(output.status.success(), "{output:?}");
    assert_eq!(desk.git(&["log", "--format=%s"]).await, "Work on 001-greeting\nBegin\n");
    assert_eq!(desk.git(&["status", "--porcelain"]).await, "");
}

#[tokio::test]
async fn codex_makes_changes_of_all_kinds() {
    let (model, desk) = (model().await, Desk::new().await);
    std::fs::write(desk.repo().join("README.md"), "# Greeter\n").unwrap();
    desk.git(&["add", "--all"]).await;
    desk.git(&[
        "-c",
        "user.name=A",
        "-c",
        "user.email=a@b",
        "commit",
        "--quiet",
        "--message",
        "More",
    ])
    .await;
    let output = desk.exec(&model, "rework").await;
    assert!(output.status.success(), "{output:?}");
    desk.git(&["add", "--all"]).await;
    let changed = desk.git(&["diff", "--cached", "--summary", "--no-renames"]).await;
    for change in [
        "delete mode 100644 README.md",
        "create mode 100755 docs/say hello",
        "create mode 120000 docs/index.md",
        "docs/empty",
    ] {
        assert!(changed.contains(change), "{change} is missing in {changed}: {output:?}");
    }
    assert!(desk.git(&["diff", "--cached", "--numstat"]).await.contains("-\t-\tdocs/logo.bin"));
}

#[tokio::test]
async fn a_slow_command_is_awaited_to_its_end() {
    let (model, desk) = (model().await, Desk::new().await);
    let begun = std::time::Instant::now();
    let output = desk.exec(&model, "slow-3").await;
    assert!(output.status.success(), "{output:?}");
    assert!(begun.elapsed() >= Duration::from_secs(3));
    assert!(desk.task_list().contains("[x] T001"));
}

#[tokio::test]
async fn codex_retries_a_flaky_model() {
    let (model, desk) = (model().await, Desk::new().await);
    let output = desk.exec(&model, "flaky2").await;
    assert!(output.status.success(), "{output:?}");
    assert!(desk.task_list().contains("[x] T001"));
    assert_eq!(model.log.count("/flaky2/v1/responses"), 4);
}

#[tokio::test]
async fn failures_of_the_model_fail_the_turn() {
    let (model, desk) = (model().await, Desk::new().await);
    for (mode, words) in [("quota", "Quota exceeded"), ("429", "429"), ("400", "scripted status 400")] {
        let output = desk.exec(&model, mode).await;
        let printed = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(1), "{mode}: {output:?}");
        assert!(printed.contains("turn.failed") && printed.contains(words), "{mode}: {printed}");
    }
    assert_eq!(desk.git(&["status", "--porcelain"]).await, "");
}

/// The whole answer to a request, read until the model closes the connection.
async fn raw(model: &ScriptedModel, request: &str, body: &str) -> String {
    let head = format!(
        "{request} HTTP/1.1\r\nHost: model\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    raw_exchange(model.address(), &format!("{head}{body}")).await
}

/// Sends some bytes, and reads until the other side closes the connection.
pub(crate) async fn raw_exchange(address: SocketAddr, request: &str) -> String {
    let mut connection = TcpStream::connect(address).await.unwrap();
    connection.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // A cut connection may end in an error; what came before it counts.
    let _ = connection.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn what_is_not_an_answer_says_why() {
    let model = model().await;
    for (request, body, wanted) in [
        ("GET /work/v1/responses", "", ["404 Not Found", "POST /<mode>/v1/responses"]),
        ("GET /work/v1/models", "", ["200 OK", "models"]),
        ("POST /wrok/v1/responses", "{}", ["404 Not Found", "no mode"]),
        (
            "POST /work/v1/responses",
            "(zstd)",
            ["415 Unsupported Media Type", "the body is no JSON"],
        ),
        (
            "POST /refresh-reused/v1/responses",
            "{}",
            ["401 Unauthorized", "refresh_token_reused"],
        ),
        ("POST /503/v1/responses", "{}", ["503 Service Unavailable", "scripted status 503"]),
        ("POST /rate-limited/v1/responses", "{}", ["200 OK", "rate_limit_exceeded"]),
    ] {
        let answer = raw(&model, request, body).await;
        assert!(wanted.iter().all(|part| answer.contains(part)), "{request}: {answer}");
    }
    let upgrade = "GET /work/v1/responses HTTP/1.1\r\nUpgrade: websocket\r\nX-Rest:";
    assert!(raw(&model, upgrade, "").await.contains("426 Upgrade Required"));
    assert_eq!(model.requests().len(), 8, "refused requests are recorded too");
}

#[tokio::test]
async fn a_dropped_answer_is_cut_and_a_whole_one_is_not() {
    let model = model().await;
    let whole = raw(&model, "POST /say/v1/responses", "{}").await;
    assert!(whole.contains("response.completed") && whole.ends_with("0\r\n\r\n"), "{whole}");
    let cut = raw(&model, "POST /drop/v1/responses", "{}").await;
    assert!(
        cut.contains("response.output_item.done") && !cut.contains("response.completed"),
        "{cut}"
    );
    assert!(!cut.ends_with("0\r\n\r\n"), "the last chunk must be missing: {cut}");
}

#[tokio::test]
async fn answers_that_hang_end_when_the_model_stops() {
    let model = model().await;
    let mut connection = TcpStream::connect(model.address()).await.unwrap();
    connection
        .write_all(b"POST /hang/v1/responses HTTP/1.1\r\nHost: model\r\nContent-Length: 2\r\n\r\n{}")
        .await
        .unwrap();
    let mut answer = Vec::new();
    while !String::from_utf8_lossy(&answer).contains("response.created") {
        assert_ne!(connection.read_buf(&mut answer).await.unwrap(), 0, "it ended before it began");
    }
    model.stop().await.unwrap();
    let _ = connection.read_to_end(&mut answer).await;
    assert!(!String::from_utf8_lossy(&answer).contains("response.completed"));
}
