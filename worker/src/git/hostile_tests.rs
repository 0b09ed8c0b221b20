//! Repositories, servers and agents that mean harm.

use std::{
    fs,
    io::{Read, Write},
    net::TcpListener,
    os::unix::fs::{MetadataExt, PermissionsExt},
    time::{Duration, Instant},
};

use super::{tests::Place, *};
use crate::testing::sh;

#[tokio::test]
async fn a_repository_that_is_too_large_is_not_kept_being_fetched() {
    let mut place = Place::new();
    place.seed("head -c 3M /dev/urandom >noise");
    place.git.most = 1 << 20;
    let error = place.try_checkout().await.unwrap_err();
    assert_eq!(error.code(), "REPOSITORY_TOO_LARGE", "{error}");
    assert!(error.to_string().contains("MOORLINE_GIT_MAX_MIB"), "{error}");
    assert!(!place.path("repo").exists(), "nothing was checked out");
    place.git.most = 64 << 20;
    place.checkout().await;
}

#[tokio::test]
async fn a_few_bytes_that_become_gigabytes_of_files_are_too_large() {
    let mut place = Place::new();
    // Not of zeros: for those git leaves holes, which take nothing.
    place.seed("yes | head -c 16M >bomb");
    place.git.most = 4 << 20;
    let fetched = place.git.fetch(&place.url(), "", None, &place.path("fetched"), &place.stop).await;
    fetched.expect("packed it is small");
    assert_eq!(place.try_checkout().await.unwrap_err().code(), "REPOSITORY_TOO_LARGE");
}

#[tokio::test]
async fn git_is_stopped_while_it_fills_the_disk() {
    let mut place = Place::new();
    place.git.most = 1 << 20;
    let filled = place.path("filled");
    fs::create_dir(&filled).unwrap();
    let fill = format!("alias.fill=!head -c 4M /dev/zero >'{0}/much'; sleep 1000", filled.display());
    let began = Instant::now();
    let stopped = place
        .git
        .call("fill")
        .args(["-c", &fill, "fill"])
        .fills(&filled)
        .ok(&place.stop)
        .await;
    assert_eq!(stopped.err().map(|error| error.code()), Some("REPOSITORY_TOO_LARGE"));
    assert!(began.elapsed() < Duration::from_secs(60));
}

#[tokio::test]
async fn what_git_could_not_hold_is_no_patch_and_the_jobs_own_fault() {
    let place = Place::new();
    let base = place.checkout().await;
    let patch = async || {
        let (git_dir, work_tree, to) = (place.path("git"), place.path("repo"), place.path("patch"));
        place.git.patch(&git_dir, &work_tree, &base.commit, &to, &place.stop).await
    };
    // As large as it looks, and ignored: nobody reads it.
    place.agent("mkdir out; truncate -s 1T out/built; head -c 1M /dev/urandom >new");
    assert_eq!(patch().await.expect("a patch").files, 1);
    for (file, script) in [
        ("a b/dump", "mkdir 'a b'; truncate -s 1T 'a b/dump'"),
        ("a.txt", "rm -r 'a b'; truncate -s 1T a.txt"),
    ] {
        place.agent(script);
        let error = patch().await.expect_err("too large");
        assert_eq!(
            (error.code(), error.failure().class()),
            ("PATCH_TOO_LARGE", moorline_proto::v1::FailureClass::Job)
        );
        assert!(error.to_string().contains(&format!("{file} (1048576 MiB), new (1 MiB)")), "{error}");
    }
}

/// Answers every request with a redirect, and tells how many came.
fn redirecting(to: &str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/repo.git", listener.local_addr().unwrap());
    let to = to.to_owned();
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let Ok(mut connection) = connection else { return };
            let _ = connection.read(&mut [0; 4096]);
            let _ = write!(
                connection,
                "HTTP/1.1 301 Moved\r\nLocation: {to}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            );
        }
    });
    url
}

#[tokio::test]
async fn a_redirect_leads_to_no_protocol_that_is_not_allowed() {
    let mut place = Place::new();
    place.git.protocols = "http".to_owned();
    let origin = place.url();
    for to in [
        format!("{origin}/info/refs?service=git-upload-pack"),
        "https://127.0.0.1:1/repo.git/info/refs?service=git-upload-pack".to_owned(),
    ] {
        let error = place.base_error(&redirecting(&to), "").await.to_string();
        assert!(
            !error.contains("refused") && !error.contains("Failed to connect"),
            "it went there: {error}"
        );
        assert!(error.contains("rotocol") || error.contains("edirect"), "{error}");
    }
}

#[tokio::test]
async fn every_call_to_a_remote_keeps_to_the_protocols() {
    let mut place = Place::new();
    let base = place.checkout().await;
    place.git.protocols = "https:ssh".to_owned();
    let (git, stop, url, dir) = (&place.git, &place.stop, place.url(), place.path("git"));
    let codes = [
        git.base(&url, "", stop).await.map(drop),
        git.branch(&url, "main", stop).await.map(drop),
        git.fetch(&url, "main", None, &place.path("other"), stop).await.map(drop),
        git.fetch_branch(&url, "main", &dir, stop).await.map(drop),
        git.push(&url, &dir, &base.commit, "moorline/x/1", None, stop).await.map(drop),
        // A path is the file protocol by another name.
        git.base(&place.path("origin.git").display().to_string(), "", stop).await.map(drop),
    ];
    for refused in codes {
        assert_eq!(refused.unwrap_err().code(), "REPOSITORY_PROTOCOL");
    }
}

#[tokio::test]
async fn nothing_of_the_machines_configuration_changes_where_git_goes() {
    let place = Place::new();
    let env = place.git.environment(&[], Some("https://example.com/a/b"));
    for name in [
        "HOME",
        "XDG_CONFIG_HOME",
        "GIT_DIR",
        "GIT_EXEC_PATH",
        "GIT_PROXY_COMMAND",
        "GIT_ASKPASS",
        "SSH_ASKPASS",
        "GIT_CONFIG_PARAMETERS",
    ] {
        assert!(env.iter().all(|(known, _)| known != name), "{name}");
    }
    let set = |name: &str| {
        env.iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.to_string_lossy().into_owned())
    };
    assert_eq!(set("GIT_CONFIG_GLOBAL").as_deref(), Some("/dev/null"));
    assert_eq!(set("GIT_CONFIG_NOSYSTEM").as_deref(), Some("1"));
    // What a person has put in their own configuration would lead a call elsewhere.
    let home = place.path("home");
    fs::create_dir(&home).unwrap();
    fs::write(
        home.join(".gitconfig"),
        format!("[url \"file:///nowhere/\"]\n\tinsteadOf = {}\n", place.url()),
    )
    .unwrap();
    let listed = place
        .git
        .call("list")
        .env("HOME", &home)
        .remote(&place.url())
        .args(["ls-remote", "--", &place.url()]);
    listed.ok(&place.stop).await.expect("the URL is taken as it is");
}

/// What an agent may write into the `.git` that it works with, each a way to have a command run or another folder read.
const PLANTED: &str = r#"
git config core.fsmonitor "$evil"; git config core.hooksPath "$PWD/hooks"; git config core.sshCommand "$evil"
git config core.worktree /etc; git config core.pager "$evil"; git config core.editor "$evil"; git config gpg.program "$evil"
git config filter.evil.process "$evil"; git config filter.evil.clean "$evil"; git config filter.evil.smudge "$evil"; git config filter.evil.required true
git config diff.external "$evil"; git config diff.evil.textconv "$evil"; git config diff.evil.command "$evil"; git config merge.evil.driver "$evil"
git config credential.helper "!$evil"; git config core.alternateRefsCommand "$evil"; git config uploadpack.packObjectsHook "$evil"
printf '[core]\n\tfsmonitor = %s\n' "$evil" >included
git config include.path "$PWD/included"; git config "includeIf.gitdir:/.path" "$PWD/included"
printf '* filter=evil diff=evil merge=evil\n' >.gitattributes; mkdir -p .git/info; cp .gitattributes .git/info/attributes
mkdir -p .git/objects/info; echo /etc >.git/objects/info/alternates
printf 'work\n' >>a.txt
"#;

#[tokio::test]
async fn nothing_of_a_planted_configuration_counts_for_the_worker() {
    for then in [
        "true",
        // The folder elsewhere, and a file that points to it.
        "mv .git ../planted; echo \"gitdir: $PWD/../planted\" >.git",
        "mv .git ../planted; ln -s ../planted .git",
        "rm -rf .git; echo 'gitdir: /etc' >.git",
    ] {
        let place = Place::new();
        let base = place.checkout().await;
        let (evil, ran) = (place.path("evil"), place.path("ran"));
        fs::write(&evil, format!("#!/bin/sh\ntouch {}\ncat\n", ran.display())).unwrap();
        fs::set_permissions(&evil, fs::Permissions::from_mode(0o755)).unwrap();
        place.agent(&format!("evil={}\n{PLANTED}\n{then}", evil.display()));
        fs::remove_file(&ran).ok();
        let (_, patch) = place.patch(&base).await;
        assert!(!ran.exists(), "the worker ran the agent's command ({then})");
        assert!(patch.contains("+work") && !patch.contains("gitdir"), "{then}: {patch}");
    }
}

#[tokio::test]
async fn a_link_out_of_the_repository_stays_a_link_and_nothing_behind_it_is_read_or_changed() {
    let place = Place::new();
    let secret = place.path("secret");
    fs::write(&secret, "not-yours").unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
    let folder = place.path("folder");
    fs::create_dir(&folder).unwrap();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).unwrap();
    let owner = || [&secret, &folder].map(|path| (fs::metadata(path).unwrap().uid(), fs::metadata(path).unwrap().mode()));
    let before = owner();
    let (to_file, to_folder) = (secret.display(), folder.display());
    place.seed(&format!(
        "ln -s {to_file} link; ln -s {to_folder} way; ln -s ../../../../../../etc/passwd up; ln -s .git dot"
    ));
    let base = place.checkout().await;
    assert_eq!(owner(), before, "handing the checkout over went through a link");
    place.agent(&format!("rm link; ln -s {to_folder} link; ln -s {to_file} another; echo x >x"));
    let (_, patch) = place.patch(&base).await;
    assert!(patch.contains("b/another") && !patch.contains("not-yours"), "{patch}");
    assert_eq!(owner(), before);
}

async fn applied(place: &Place, patch: &str) -> Error {
    let base = place.checkout().await;
    let file = place.path("given.patch");
    fs::write(&file, patch).unwrap();
    place
        .git
        .apply(&place.path("git"), &base.commit, &file, &place.stop)
        .await
        .expect_err("it was applied")
}

const NEW: &str = "new file mode 100644\nindex 0000000..587be6b\n--- /dev/null\n+++ b/PATH\n@@ -0,0 +1 @@\n+x\n";

#[tokio::test]
async fn a_patch_that_leads_out_of_the_repository_is_refused() {
    let place = Place::new();
    let elsewhere = place.path("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    let (target, length) = (elsewhere.display().to_string(), elsewhere.as_os_str().len());
    let through = format!(
        "diff --git a/way b/way\nnew file mode 120000\nindex 0000000..1111111\n--- /dev/null\n+++ b/way\n@@ -0,0 +1 @@\n+{target}\n\\ No newline at end of file\n\
         diff --git a/way/x b/way/x\n{}",
        NEW.replace("PATH", "way/x")
    );
    assert!(length > 0);
    let up = format!("diff --git a/../x b/../x\n{}", NEW.replace("PATH", "../x"));
    let inside = format!("diff --git a/.git/hooks/x b/.git/hooks/x\n{}", NEW.replace("PATH", ".git/hooks/x"));
    for patch in [through, up, inside] {
        let error = applied(&place, &patch).await;
        assert_eq!(error.code(), "PATCH_UNSAFE", "{error}");
        assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0);
    }
}

#[tokio::test]
async fn submodules_and_large_files_are_left_where_they_are() {
    let place = Place::new();
    sh(place.dir.path(), "git init -q --bare -b main lib.git");
    let lib = place.path("lib.git").display().to_string();
    place.seed(&format!(
        "printf '[submodule \"lib\"]\\n\\tpath = lib\\n\\turl = file://{lib}\\n\\tupdate = !touch ran\\n' >.gitmodules
        git update-index --add --cacheinfo 160000,0123456789012345678901234567890123456789,lib; mkdir lib
        printf '*.bin filter=lfs diff=lfs merge=lfs -text\\n' >.gitattributes
        printf 'version https://git-lfs.github.com/spec/v1\\noid sha256:00\\nsize 1\\n' >large.bin"
    ));
    let base = place.checkout().await;
    assert_eq!(fs::read_dir(place.path("repo/lib")).unwrap().count(), 0, "a submodule was fetched");
    assert!(
        fs::read_to_string(place.path("repo/large.bin"))
            .unwrap()
            .starts_with("version https://git-lfs")
    );
    place.agent("echo x >x");
    let (stat, _) = place.patch(&base).await;
    assert_eq!(stat.files, 1, "what was left alone is no change");
}
