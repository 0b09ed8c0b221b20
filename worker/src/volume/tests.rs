use std::{fs, os::unix::fs::PermissionsExt as _, process::Command};

use super::*;
use crate::{agent, engine::process::ProcessEngine};

async fn place(files: &[(&str, &str)]) -> (tempfile::TempDir, Config, Place) {
    let root = tempfile::tempdir().unwrap();
    fs::set_permissions(root.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let config = Config::try_parse_from(["moorline-worker", "--queues", "gemini"]).unwrap();
    let engine = ProcessEngine::new(&root.path().join("volumes"), &root.path().join("processes"), &config.job_user).unwrap();
    engine.create_volume("gemini_auth", &config.job_user).await.unwrap();
    for (name, content) in files {
        fs::write(root.path().join("volumes/gemini_auth").join(name), content).unwrap();
    }
    let agent = agent::of_worker(&config);
    let place = Place::find(&engine, agent.as_ref(), "gemini_auth").await.unwrap().unwrap();
    (root, config, place)
}

#[tokio::test]
async fn a_file_that_may_hold_a_key_and_holds_none_does_not_hide_the_login_beside_it() {
    let project = (".env", "GOOGLE_CLOUD_PROJECT=x\n");
    let google = ("oauth_creds.json", "{}");
    assert_eq!(place(&[project, google]).await.2.credential, "oauth_creds.json");
    assert_eq!(place(&[project]).await.2.credential, ".env");
    assert_eq!(
        place(&[(".env", "export GEMINI_API_KEY='k'\r\n"), google]).await.2.credential,
        ".env"
    );
}

#[tokio::test]
async fn what_puts_a_file_in_an_agents_place_is_never_shared() {
    let (_root, mut config, place) = place(&[]).await;
    config.api_key_capacity = 3;
    let agent = agent::of_worker(&config);
    for (kind, expected) in [
        (Kind::Check, "either"),
        (Kind::Snapshot, "either"),
        (Kind::Login, "exclusive"),
        (Kind::Logout, "exclusive"),
        (Kind::Policy, "exclusive"),
        (Kind::Mend, "exclusive"),
    ] {
        let argv = place.command(&config, agent.as_ref(), kind, 1, vec!["true".to_owned()]).argv;
        assert_eq!(argv[argv.len() - 2], expected, "{kind:?}");
    }
}

#[test]
fn a_check_takes_the_bit_from_a_volume_that_hands_its_group_on_and_mends_it_once() {
    let root = tempfile::tempdir().unwrap();
    let mode = || fs::metadata(root.path()).unwrap().permissions().mode() & 0o7777;
    fs::set_permissions(root.path(), fs::Permissions::from_mode(0o2770)).unwrap();
    let script = concat!(include_str!("facts.sh"), include_str!("check.sh"));
    let check = || {
        let root = root.path().display().to_string();
        let output = Command::new("sh")
            .args(["-c", script, "sh", &root, "auth.json", "", "", "true"])
            .output();
        String::from_utf8(output.unwrap().stdout).unwrap()
    };
    assert!(check().contains("mended mode of the volume"));
    assert_eq!(mode(), 0o700);
    assert!(!check().contains("mended"));
}
