//! The git program on real repositories in temporary folders.

use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf};

use tempfile::TempDir;

use super::*;
use crate::testing::sh;

/// A bare origin with one commit, and folders to work in.
pub(super) struct Place {
    pub(super) dir: TempDir,
    pub(super) git: Git,
    pub(super) stop: CancellationToken,
}

impl Place {
    pub(super) fn new() -> Self {
        let place = Self {
            dir: TempDir::new().expect("a folder"),
            git: Git {
                github_url: "https://github.com".to_owned(),
                token: None,
                protocols: "file".to_owned(),
                limit: Duration::from_secs(600),
                most: 0,
            },
            stop: CancellationToken::new(),
        };
        sh(
            place.dir.path(),
            "git init -q --bare -b main origin.git && git init -q -b main seed",
        );
        place.seed("printf 'one\\ntwo\\n' > a.txt; mkdir -p bin; printf '\\0\\1\\2' > bin/data; printf 'out/\\n' > .gitignore");
        place
    }

    /// Runs a script in a clone, then commits all and pushes to the origin.
    pub(super) fn seed(&self, script: &str) -> String {
        let push = "git add -A && git -c user.name=A -c user.email=a@b commit -qm seed && git push -q ../origin.git HEAD:main && git rev-parse HEAD";
        sh(&self.dir.path().join("seed"), &format!("{script}\n{push}"))
    }

    pub(super) fn url(&self) -> String {
        format!("file://{}", self.dir.path().join("origin.git").display())
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(super) async fn checkout(&self) -> Base {
        self.try_checkout().await.expect("a checkout")
    }

    pub(super) async fn try_checkout(&self) -> Result<Base, Error> {
        let (url, git_dir, work_tree) = (self.url(), self.path("git"), self.path("repo"));
        let checkout = Checkout {
            repository: &url,
            base_ref: "",
            commit: None,
            git_dir: &git_dir,
            work_tree: &work_tree,
            owner: "1000:1000",
        };
        self.git.checkout(&checkout, &self.stop).await
    }

    pub(super) async fn patch(&self, base: &Base) -> (PatchStat, String) {
        let to = self.path("work.patch");
        let stat = self
            .git
            .patch(&self.path("git"), &self.path("repo"), &base.commit, &to, &self.stop)
            .await
            .expect("a patch");
        (stat, fs::read_to_string(to).expect("text"))
    }

    /// Runs a script in the checkout as the agent would.
    pub(super) fn agent(&self, script: &str) -> String {
        let safe = "export GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=safe.directory GIT_CONFIG_VALUE_0='*'";
        sh(&self.path("repo"), &format!("{safe}\n{script}"))
    }

    pub(super) async fn base_error(&self, url: &str, base_ref: &str) -> Error {
        self.git.base(url, base_ref, &self.stop).await.expect_err("no base")
    }
}

#[tokio::test]
async fn the_patch_holds_commits_changes_and_new_files_but_nothing_ignored() {
    let place = Place::new();
    let base = place.checkout().await;
    place.agent(
        "test -z \"$(git status --porcelain)\"
        printf 'three\\n' >> a.txt; git -c user.name=X -c user.email=x@y commit -qam own
        printf 'new\\n' > b.txt; printf '\\3\\4' > bin/data; mkdir out; touch out/junk; ln -s /etc/passwd link",
    );
    let (stat, patch) = place.patch(&base).await;
    assert_eq!(
        stat,
        PatchStat {
            files: 4,
            insertions: 3,
            deletions: 0
        }
    );
    let touched: Vec<&str> = patch.lines().filter_map(|line| line.strip_prefix("diff --git a/")).collect();
    assert_eq!(touched, ["a.txt b/a.txt", "b.txt b/b.txt", "bin/data b/bin/data", "link b/link"]);
    assert!(patch.contains("GIT binary patch"));
}

#[tokio::test]
async fn an_untouched_checkout_gives_an_empty_patch() {
    let place = Place::new();
    let base = place.checkout().await;
    let (stat, patch) = place.patch(&base).await;
    assert_eq!((stat, patch.as_str()), (PatchStat::default(), ""));
}

#[tokio::test]
async fn nothing_that_an_agent_plants_in_its_git_directory_runs_in_the_worker() {
    let place = Place::new();
    // A submodule that isn't checked out: git would look into a repository that the agent puts in its place.
    place.seed("git update-index --add --cacheinfo 160000,0123456789012345678901234567890123456789,lib; mkdir lib");
    let base = place.checkout().await;
    let marker = place.path("ran");
    let evil = format!("touch {}", marker.display());
    place.agent(&format!(
        "printf '#!/bin/sh\\n{evil}\\n' > evil; chmod +x evil
        for repo in . nested lib; do
            test $repo = . || git init -q $repo
            git -C $repo config core.fsmonitor \"$PWD/evil\"
            git -C $repo config core.hooksPath \"$PWD\"
            git -C $repo config filter.evil.clean '{evil}'
            git -C $repo config diff.external '{evil}'
            git -C $repo config core.sshCommand '{evil}'
            test $repo = . || printf 'inside\\n' > $repo/file
        done
        for repo in nested lib; do
            git -C $repo -c core.fsmonitor=false add -A
            git -C $repo -c core.fsmonitor=false -c core.hooksPath=/dev/null -c user.name=X -c user.email=x@y commit -qm x
        done
        printf '0123456789012345678901234567890123456789\\n' > lib/.git/HEAD
        printf '* filter=evil diff=evil\\n' > .gitattributes; printf 'x\\n' >> a.txt"
    ));
    fs::remove_file(&marker).ok();
    let (_, patch) = place.patch(&base).await;
    assert!(!marker.exists(), "the worker ran the agent's command");
    assert!(
        patch.contains("b/nested/file"),
        "a nested repository's files are part of the work: {patch}"
    );
}

#[tokio::test]
async fn a_link_in_the_place_of_the_checkout_is_refused_and_nothing_behind_it_is_touched() {
    let place = Place::new();
    let base = place.checkout().await;
    let elsewhere = place.path("elsewhere");
    place.agent("mkdir -p ../elsewhere/a/.git; echo secret > ../elsewhere/secret; mv ../repo ../moved; ln -s elsewhere ../repo");
    let (git_dir, work_tree, to) = (place.path("git"), place.path("repo"), place.path("patch"));
    let refused = place
        .git
        .patch(&git_dir, &work_tree, &base.commit, &to, &place.stop)
        .await
        .unwrap_err();
    assert_eq!(refused.code(), "WORK_TREE_REPLACED", "{refused}");
    assert!(elsewhere.join("a/.git").is_dir());
    assert!(!to.exists());
}

#[tokio::test]
async fn a_repository_behind_a_link_in_the_checkout_stays_as_it_is() {
    let place = Place::new();
    let base = place.checkout().await;
    place.agent(
        "mkdir -p ../elsewhere/.git in/ner/.git; touch in/ner/.git/config in/ner/x; ln -s ../elsewhere link; ln -s ../../elsewhere in/link",
    );
    let (_, patch) = place.patch(&base).await;
    assert!(place.path("elsewhere/.git").is_dir());
    assert!(patch.contains("b/in/ner/x") && !patch.contains("config"), "{patch}");
}

#[tokio::test]
async fn each_way_to_miss_a_repository_has_its_own_code() {
    let place = Place::new();
    sh(place.dir.path(), "git init -q --bare empty.git");
    let missing = format!("file://{}", place.path("none.git").display());
    let empty = format!("file://{}", place.path("empty.git").display());
    let url = place.url();
    let errors = [
        place.base_error(&missing, "").await,
        place.base_error(&empty, "").await,
        place.base_error(&empty, "main").await,
        place.base_error(&url, "release").await,
        place.base_error("ext::sh -c id", "").await,
        place.base_error("https://127.0.0.1:1/a.git", "").await,
        place.base_error("--upload-pack=id", "").await,
    ];
    let codes: Vec<&str> = errors.iter().map(Error::code).collect();
    assert_eq!(
        codes,
        [
            "REPOSITORY_UNREACHABLE",
            "REPOSITORY_EMPTY",
            "REPOSITORY_EMPTY",
            "BASE_REF_MISSING",
            "REPOSITORY_PROTOCOL",
            "REPOSITORY_PROTOCOL",
            "REPOSITORY_UNREACHABLE",
        ]
    );
}

#[test]
fn words_of_git_tell_refused_credentials_from_unreachable_hosts() {
    let code = |said: &str| Error::of_remote("https://h/r", "fetch", said.to_owned()).code();
    assert_eq!(
        code("fatal: could not read Username for 'https://h': terminal prompts disabled"),
        "REPOSITORY_AUTH"
    );
    assert_eq!(
        code("remote: Invalid username or token.; fatal: Authentication failed for 'https://h/r'"),
        "REPOSITORY_AUTH"
    );
    assert_eq!(
        code("fatal: unable to access 'https://h/r/': The requested URL returned error: 403"),
        "REPOSITORY_AUTH"
    );
    assert_eq!(
        code("git@h: Permission denied (publickey).; fatal: Could not read from remote repository."),
        "REPOSITORY_AUTH"
    );
    assert_eq!(
        code("fatal: unable to access 'https://h/r/': Could not resolve host: h"),
        "REPOSITORY_UNREACHABLE"
    );
    assert_eq!(code("fatal: repository 'https://h/r/' not found"), "REPOSITORY_UNREACHABLE");
    assert_eq!(code("fatal: bad object"), "GIT_FAILED");
}

#[test]
fn owner_and_name_is_found_at_github_and_all_else_is_a_url() {
    let git = Place::new().git;
    assert_eq!(git.url("acme/widgets"), "https://github.com/acme/widgets.git");
    assert_eq!(git.url("git@github.com:acme/widgets"), "git@github.com:acme/widgets");
    assert_eq!(owner_and_name("../widgets"), None);
    assert_eq!(owner_and_name("-a/widgets"), None);
    assert_eq!(owner_and_name("a/b/c"), None);
}

#[test]
fn credentials_never_stay_in_a_message() {
    let mut git = Place::new().git;
    git.token = Some("ghp_secret".to_owned().into());
    let text = "fatal: 'https://user:pw@h/r' and ssh://git@h2:22/x and ghp_secret, mail a@b";
    assert_eq!(git.redact(text), "fatal: 'https://h/r' and ssh://h2:22/x and [redacted], mail a@b");
}

#[tokio::test]
async fn a_call_that_takes_too_long_or_is_stopped_ends() {
    let place = Place::new();
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("git://{}/x", silent.local_addr().expect("an address"));
    let git = Git {
        protocols: "git".to_owned(),
        ..place.git.clone()
    };
    let late = git
        .clone()
        .with_limit(Duration::from_millis(200))
        .base(&url, "", &place.stop)
        .await
        .expect_err("late");
    assert_eq!(late.code(), "GIT_TIMED_OUT");
    let waiting = git.base(&url, "", &place.stop);
    let (stopped, ()) = tokio::join!(waiting, async { place.stop.cancel() });
    assert!(matches!(stopped, Err(Error::Stopped)));
}

#[tokio::test]
async fn a_commit_that_is_no_longer_the_tip_can_be_fetched() {
    let place = Place::new();
    let first = place.checkout().await;
    let second = place.seed("printf 'later\\n' > later.txt");
    let base = place
        .git
        .fetch(&place.url(), "main", Some(&first.commit), &place.path("again"), &place.stop)
        .await
        .expect("a commit");
    assert_eq!(base, first);
    assert_ne!(base.commit, second);
    let gone = "0123456789012345678901234567890123456789";
    let error = place
        .git
        .fetch(&place.url(), "", Some(gone), &place.path("again"), &place.stop)
        .await
        .expect_err("gone");
    assert_eq!(error.code(), "BASE_COMMIT_MISSING");
}

#[tokio::test]
async fn a_refused_push_says_so_in_the_remotes_words() {
    let place = Place::new();
    let base = place.checkout().await;
    let hook = place.path("origin.git/hooks/pre-receive");
    fs::write(&hook, "#!/bin/sh\necho 'branches need a ticket' >&2\nexit 1\n").expect("a hook");
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).expect("a mode");
    let error = place
        .git
        .push(&place.url(), &place.path("git"), &base.commit, "moorline/x/1", None, &place.stop)
        .await
        .expect_err("refused");
    assert_eq!(error.code(), "PUSH_REJECTED");
    assert!(error.to_string().contains("branches need a ticket"), "{error}");
}
