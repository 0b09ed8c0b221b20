//! The real Codex CLI logs in, renews its login and loses it.

use std::{
    path::PathBuf,
    process::{Output, Stdio},
    time::Duration,
};

use serde_json::Value;
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
    time::timeout,
};

use super::*;
use crate::model::ScriptedModel;

const PATIENCE: Duration = Duration::from_secs(60);

/// A home of Codex, an issuer for it and a model.
struct Desk {
    home: TempDir,
    issuer: Issuer,
    model: ScriptedModel,
}

impl Desk {
    async fn new() -> Self {
        let issuer = Issuer::start().await.unwrap();
        Self {
            home: tempfile::tempdir().unwrap(),
            model: ScriptedModel::of_issuer("127.0.0.1:0".parse().unwrap(), &issuer).await.unwrap(),
            issuer,
        }
    }

    /// Logged in, with tokens that Codex renews at each use.
    async fn logged_in() -> Self {
        let desk = Self::new().await;
        desk.issuer.approve_at_once();
        desk.issuer.set_lifetime(RENEWED_BEFORE - Duration::from_secs(1));
        let login = desk.run(desk.login()).await;
        assert!(login.status.success(), "{login:?}");
        desk.issuer.set_lifetime(Duration::from_secs(3600));
        desk
    }

    fn codex(&self, arguments: &[&str]) -> Command {
        let program = std::env::var("MOORLINE_CODEX_PROGRAM").unwrap_or_else(|_| "codex".to_owned());
        let mut command = Command::new(program);
        command.args(arguments).current_dir(self.home.path()).env_clear();
        command.env("PATH", std::env::var("PATH").unwrap()).env("HOME", self.home.path());
        command.env("CODEX_HOME", self.home.path());
        command.env("CODEX_REFRESH_TOKEN_URL_OVERRIDE", self.issuer.refresh_url());
        command.env("CODEX_REVOKE_TOKEN_URL_OVERRIDE", self.issuer.revoke_url());
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    fn login(&self) -> Command {
        self.codex(&["login", "--device-auth", "--experimental_issuer", &self.issuer.url()])
    }

    fn exec(&self, mode: &str) -> Command {
        let base = format!("openai_base_url={:?}", self.model.base_url(mode));
        let chatgpt = format!("chatgpt_base_url={:?}", self.model.chatgpt_url());
        let settings = ["-c", &base, "-c", &chatgpt, "--disable", "plugins", "--skip-git-repo-check"];
        self.codex(&[&["exec", "--json"], &settings[..], &["Say something."]].concat())
    }

    async fn run(&self, mut command: Command) -> Output {
        timeout(PATIENCE, command.output()).await.expect("Codex has not ended").unwrap()
    }

    fn file(&self) -> PathBuf {
        self.home.path().join("auth.json")
    }

    fn refresh_token(&self) -> String {
        let content: Value = serde_json::from_slice(&std::fs::read(self.file()).unwrap()).unwrap();
        content["tokens"]["refresh_token"].as_str().unwrap().to_owned()
    }

    fn refreshes(&self) -> Vec<(u64, Outcome)> {
        let journal = self.issuer.journal().into_iter();
        let refreshes = journal.filter(|exchange| exchange.kind == Kind::Refresh);
        refreshes.map(|exchange| (exchange.token, exchange.outcome)).collect()
    }
}

/// The code that a login shows.
async fn code(login: &mut Child) -> String {
    let mut lines = BufReader::new(login.stdout.take().unwrap()).lines();
    while let Some(line) = lines.next_line().await.unwrap() {
        let word = line.trim().trim_start_matches("\u{1b}[94m").trim_end_matches("\u{1b}[0m");
        if word.len() == 9 && word.as_bytes()[4] == b'-' {
            // What comes after it must not fill the pipe.
            tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
            return word.to_owned();
        }
    }
    panic!("no code was shown");
}

/// Enters a code on the page, as a person does.
async fn enter(issuer: &Issuer, code: &str, decision: &str) -> bool {
    let body = format!("user_code={code}&decision={decision}");
    let request = format!(
        "POST /codex/device HTTP/1.1\r\nHost: issuer\r\nConnection: close\r\nContent-Type: application/x-www-form-urlencoded\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    crate::model::tests::raw_exchange(issuer.address(), &request)
        .await
        .contains("200 OK")
}

#[tokio::test]
async fn a_device_login_waits_for_a_person_and_ends_as_that_person_says() {
    for (decision, succeeds) in [("approve", true), ("deny", false)] {
        let desk = Desk::new().await;
        let mut login = desk.login().spawn().unwrap();
        let shown = code(&mut login).await;
        assert_eq!(desk.issuer.waiting(), std::slice::from_ref(&shown));
        assert!(!enter(&desk.issuer, "NONE-SUCH", decision).await);
        assert!(enter(&desk.issuer, &shown, decision).await);
        let ended = timeout(PATIENCE, login.wait()).await.expect("an end").unwrap();
        assert_eq!((ended.success(), desk.file().exists()), (succeeds, succeeds));
    }
}

#[tokio::test]
async fn a_token_that_is_about_to_expire_is_renewed_once_and_the_model_takes_the_new_one() {
    let desk = Desk::logged_in().await;
    let before = desk.refresh_token();
    let output = desk.run(desk.exec("say")).await;
    assert!(output.status.success(), "{output:?}");
    assert_eq!(desk.refreshes(), [(0, Outcome::Issued(1))]);
    assert!(desk.issuer.counts(&desk.refresh_token()) && !desk.issuer.counts(&before));
    let again = desk.run(desk.exec("say")).await;
    assert!(again.status.success(), "{again:?}");
    assert_eq!(desk.refreshes().len(), 1, "the new token lasts");
}

#[tokio::test]
async fn a_refresh_token_that_was_used_before_ends_the_login() {
    let desk = Desk::logged_in().await;
    let old = std::fs::read(desk.file()).unwrap();
    assert!(desk.run(desk.exec("say")).await.status.success());
    let new = std::fs::read(desk.file()).unwrap();
    std::fs::write(desk.file(), old).unwrap();
    let output = desk.run(desk.exec("say")).await;
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(
        !output.status.success() && said.contains("refresh token was already used"),
        "{said}"
    );
    assert!(desk.issuer.reused() > 0);
    std::fs::write(desk.file(), new).unwrap();
    assert!(
        !desk.run(desk.exec("say")).await.status.success(),
        "its other tokens have ended with it"
    );
}

#[tokio::test]
async fn logging_out_ends_the_login_at_the_issuer() {
    let desk = Desk::logged_in().await;
    let token = desk.refresh_token();
    assert!(desk.run(desk.codex(&["logout"])).await.status.success());
    assert!(!desk.issuer.counts(&token) && !desk.file().exists());
    assert_eq!(desk.issuer.journal().last().map(|exchange| exchange.kind), Some(Kind::Revoke));
}

#[tokio::test]
async fn a_refresh_can_be_stopped_before_it_is_decided_and_before_it_is_answered() {
    for (point, still_counts) in [(Point::Asked, true), (Point::Decided, false)] {
        let desk = Desk::logged_in().await;
        let (before, mut pause) = (desk.refresh_token(), desk.issuer.pause_at(point));
        let mut agent = desk.exec("say").spawn().unwrap();
        pause.reached().await.unwrap();
        agent.kill().await.unwrap();
        assert_eq!(desk.refresh_token(), before, "nothing has come back");
        assert_eq!(desk.issuer.counts(&before), still_counts, "{point:?}");
    }
}

#[tokio::test]
async fn a_refresh_goes_on_after_a_pause_and_its_answer_is_told() {
    let desk = Desk::logged_in().await;
    let (mut decided, mut sent) = (desk.issuer.pause_at(Point::Decided), desk.issuer.pause_at(Point::Sent));
    let agent = desk.exec("say").spawn().unwrap();
    decided.reached().await.unwrap();
    decided.go_on();
    sent.reached().await.unwrap();
    let output = timeout(PATIENCE, agent.wait_with_output()).await.expect("an end").unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(desk.issuer.counts(&desk.refresh_token()));
}

#[tokio::test]
async fn an_account_that_has_reached_its_limit_is_told_until_when() {
    let desk = Desk::logged_in().await;
    let output = desk.run(desk.exec("limited-5400")).await;
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(!output.status.success() && said.contains("usage limit"), "{output:?}");
}
