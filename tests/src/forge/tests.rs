//! The local forge with the real git and with the client that the worker uses.

use std::path::PathBuf;

use octocrab::{Octocrab, params::State as Which};
use tokio::process::Command;

use super::*;
use crate::git::ENVIRONMENT;

const REPOSITORY: &str = "octo/greeter";

/// A clone on disk, and git in it.
struct Clone {
    dir: TempDir,
    url: String,
}

impl Clone {
    async fn of(forge: &LocalForge, token: Option<&str>) -> Self {
        let url = match token {
            Some(token) => forge
                .clone_url(REPOSITORY)
                .replace("http://", &format!("http://x-access-token:{token}@")),
            None => forge.clone_url(REPOSITORY),
        };
        let clone = Self {
            dir: tempfile::tempdir().unwrap(),
            url,
        };
        clone.git(&["clone", "--quiet", &clone.url, "."]).await.unwrap();
        clone
    }

    async fn git(&self, arguments: &[&str]) -> Result<String, String> {
        let mut command = Command::new("git");
        command
            .args(["-c", "user.name=t", "-c", "user.email=t@localhost"])
            .args(arguments)
            .current_dir(self.dir.path())
            .envs(ENVIRONMENT);
        let output = command.output().await.unwrap();
        let text = |bytes| String::from_utf8_lossy(bytes).trim().to_owned();
        if output.status.success() {
            Ok(text(&output.stdout))
        } else {
            Err(text(&output.stderr))
        }
    }

    async fn commit(&self, branch: &str, path: &str, content: &[u8]) {
        let file: PathBuf = self.dir.path().join(path);
        std::fs::write(file, content).unwrap();
        self.git(&["checkout", "--quiet", "-B", branch]).await.unwrap();
        self.git(&["add", "--all"]).await.unwrap();
        self.git(&["commit", "--quiet", "-m", path]).await.unwrap();
    }

    async fn push(&self, branch: &str) -> Result<String, String> {
        self.git(&["push", "--quiet", "origin", branch]).await
    }
}

async fn forge() -> (LocalForge, SampleRepository) {
    let forge = LocalForge::start().await.unwrap();
    let sample = forge.add(REPOSITORY, SampleRepository::builder()).unwrap();
    (forge, sample)
}

fn client(forge: &LocalForge, token: &str) -> Octocrab {
    Octocrab::builder()
        .base_uri(forge.api_url())
        .unwrap()
        .personal_token(token.to_owned())
        .build()
        .unwrap()
}

/// Status and messages of a refusal.
fn refusal(error: octocrab::Error) -> (u16, String) {
    match error {
        octocrab::Error::GitHub { source, .. } => (source.status_code.as_u16(), format!("{} {:?}", source.message, source.errors)),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_clone_is_free_and_a_push_needs_the_token() {
    let (forge, sample) = forge().await;
    let anonymous = Clone::of(&forge, None).await;
    anonymous.commit("side", "a.txt", b"a").await;
    let refused = anonymous.push("side").await.unwrap_err();
    assert!(refused.contains("could not read Username"), "{refused}");
    let wrong = Clone::of(&forge, Some("wrong")).await;
    wrong.commit("side", "a.txt", b"a").await;
    let refused = wrong.push("side").await.unwrap_err();
    assert!(refused.contains("Authentication failed"), "{refused}");

    let known = Clone::of(&forge, Some(TOKEN)).await;
    // More than one packet, with a body that git does not hold in memory.
    let noise: Vec<u8> = (0..4_000_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    known.commit("side", "noise.bin", &noise).await;
    known.push("side").await.unwrap();
    assert_eq!(sample.head("side").unwrap(), known.git(&["rev-parse", "HEAD"]).await.unwrap());
    assert_eq!(sample.branches().unwrap(), ["main", "side"]);
    let pushed = |call: &&Call| call.side == Side::Git && call.path.ends_with("git-receive-pack") && call.status == 200;
    assert!(forge.calls().iter().filter(pushed).all(|call| call.authorized));
    assert!(forge.calls().iter().any(|call| call.status == 401));
}

#[tokio::test]
async fn compressed_requests_of_git_are_understood() {
    let (forge, sample) = forge().await;
    let clone = Clone::of(&forge, None).await;
    // Git compresses what it sends when it has many commits to name: those that it has, and those that it wants.
    for number in 0..16 {
        clone.commit("mine", "mine.txt", format!("{number}").as_bytes()).await;
    }
    for branch in ["main", "b", "c", "d", "e", "f", "g", "h"] {
        sample.commit_on(branch, &[("new.txt", branch)], "Go on").unwrap();
    }
    let trace = clone.dir.path().join("trace");
    let mut fetch = Command::new("git");
    fetch
        .args(["fetch", "--quiet", "origin"])
        .current_dir(clone.dir.path())
        .envs(ENVIRONMENT)
        .env("GIT_TRACE_CURL", &trace);
    assert!(fetch.status().await.unwrap().success());
    let traced = std::fs::read_to_string(trace).unwrap();
    assert!(
        traced.to_lowercase().contains("content-encoding: gzip"),
        "the request was not compressed"
    );
    assert_eq!(
        clone.git(&["rev-parse", "origin/main"]).await.unwrap(),
        sample.head("main").unwrap()
    );
}

#[tokio::test]
async fn a_refused_push_tells_the_message() {
    let (forge, sample) = forge().await;
    let clone = Clone::of(&forge, Some(TOKEN)).await;
    clone.commit("side", "a.txt", b"a").await;
    forge.refuse_pushes(REPOSITORY, "it's a protected branch").unwrap();
    let refused = clone.push("side").await.unwrap_err();
    assert!(
        refused.contains("it's a protected branch") && refused.contains("pre-receive hook declined"),
        "{refused}"
    );
    assert_eq!(sample.branches().unwrap(), ["main"]);
    forge.accept_pushes(REPOSITORY).unwrap();
    clone.push("side").await.unwrap();
}

#[tokio::test]
async fn planned_failures_come_as_often_as_planned_and_on_their_side_only() {
    let (forge, _sample) = forge().await;
    let clone = Clone::of(&forge, Some(TOKEN)).await;
    forge.fail_next(Side::Git, 500, 1);
    forge.fail_next(Side::Api, 403, 1);
    let failed = clone.git(&["fetch", "origin"]).await.unwrap_err();
    assert!(failed.contains("500"), "{failed}");
    clone.git(&["fetch", "origin"]).await.unwrap();
    let api = client(&forge, TOKEN);
    let (status, message) = refusal(api.repos("octo", "greeter").get().await.unwrap_err());
    assert!(status == 403 && message.contains("not accessible"), "{status} {message}");
    assert_eq!(
        api.repos("octo", "greeter").get().await.unwrap().default_branch.as_deref(),
        Some("main")
    );
}

#[tokio::test]
async fn a_private_repository_and_an_unknown_one_are_not_read() {
    let (forge, _sample) = forge().await;
    forge.make_private();
    let nobody = Clone {
        dir: tempfile::tempdir().unwrap(),
        url: String::new(),
    };
    let failed = nobody.git(&["clone", &forge.clone_url(REPOSITORY), "."]).await.unwrap_err();
    assert!(failed.contains("could not read Username"), "{failed}");
    let failed = nobody.git(&["clone", &forge.clone_url("octo/unknown"), "."]).await.unwrap_err();
    assert!(failed.contains("not found"), "{failed}");
    Clone::of(&forge, Some(TOKEN)).await;
}

#[tokio::test]
async fn a_pull_request_is_opened_once_found_by_its_head_and_updated() {
    let (forge, sample) = forge().await;
    let commit = sample.commit_on("moorline/001/abc", &[("a.txt", "a\n")], "Add a").unwrap();
    let api = client(&forge, TOKEN);
    let pulls = api.pulls("octo", "greeter");
    let made = pulls.create("Title", "moorline/001/abc", "main").body("Body").send().await.unwrap();
    assert_eq!(
        (made.number, made.head.sha.as_str(), made.head.ref_field.as_str()),
        (1, commit.as_str(), "moorline/001/abc")
    );
    assert_eq!(made.html_url.unwrap().as_str(), format!("{}/octo/greeter/pull/1", forge.url()));

    let (status, message) = refusal(pulls.create("Again", "moorline/001/abc", "main").send().await.unwrap_err());
    assert_eq!(status, 422);
    assert!(
        message.contains("A pull request already exists for octo:moorline/001/abc."),
        "{message}"
    );

    let found = pulls.list().state(Which::All).head("octo:moorline/001/abc").send().await.unwrap();
    assert_eq!(found.items.len(), 1);
    assert!(pulls.list().head("octo:other").send().await.unwrap().items.is_empty());
    let updated = pulls.update(1).title("Other title").send().await.unwrap();
    assert_eq!(
        (updated.title.as_deref(), updated.body.as_deref()),
        (Some("Other title"), Some("Body"))
    );
    assert_eq!(pulls.get(1).await.unwrap().title.as_deref(), Some("Other title"));
    pulls.update(1).state(octocrab::params::pulls::State::Closed).send().await.unwrap();
    assert!(
        pulls.list().head("octo:moorline/001/abc").send().await.unwrap().items.is_empty(),
        "only open ones are listed by default"
    );

    let [kept] = &forge.pull_requests(REPOSITORY)[..] else {
        panic!("there must be one")
    };
    assert!(kept.title == "Other title" && !kept.open);
    let posts: Vec<_> = forge.calls().into_iter().filter(|call| call.method == "POST").collect();
    assert_eq!(posts.iter().map(|call| call.status).collect::<Vec<_>>(), [201, 422]);
    assert_eq!(posts[0].body["head"], "moorline/001/abc");
}

#[tokio::test]
async fn pull_requests_that_cannot_be_are_refused() {
    let (forge, sample) = forge().await;
    sample.commit_on("ahead", &[("a.txt", "a\n")], "Add a").unwrap();
    let (api, stranger) = (client(&forge, TOKEN), client(&forge, "wrong"));
    let pulls = api.pulls("octo", "greeter");
    for (head, base, words) in [
        ("missing", "main", "head"),
        ("ahead", "missing", "base"),
        ("main", "main", "No commits between"),
    ] {
        let (status, message) = refusal(pulls.create("Title", head, base).send().await.unwrap_err());
        assert!(status == 422 && message.contains(words), "{head} {base}: {status} {message}");
    }
    let (status, message) = refusal(
        stranger
            .pulls("octo", "greeter")
            .create("Title", "ahead", "main")
            .send()
            .await
            .unwrap_err(),
    );
    assert_eq!((status, message.starts_with("Bad credentials")), (401, true));
    let (status, _) = refusal(api.pulls("octo", "unknown").list().send().await.unwrap_err());
    assert_eq!(status, 404);
    assert_eq!(forge.pull_requests(REPOSITORY), []);
}
