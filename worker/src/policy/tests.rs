//! Settings in real volumes, of local processes.

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink},
    path::PathBuf,
    time::Duration,
};

use tempfile::TempDir;

use super::*;
use crate::{agent::codex::Codex, engine::process::ProcessEngine, volume::guard::OWN_FOLDER};

const VOLUME: &str = "codex_auth_0";

struct World {
    root: TempDir,
    config: Config,
    engine: ProcessEngine,
}

impl World {
    async fn new() -> Self {
        let root = TempDir::new().unwrap();
        fs::set_permissions(root.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let mut config = Config::try_parse_from(["moorline-worker"]).unwrap();
        config.preflight_timeout = Duration::from_secs(20);
        let engine = ProcessEngine::new(&root.path().join("volumes"), &root.path().join("processes"), &config.job_user).unwrap();
        engine.create_volume(VOLUME, &config.job_user).await.unwrap();
        Self { root, config, engine }
    }

    fn file(&self) -> PathBuf {
        self.root.path().join("volumes").join(VOLUME).join(FILE)
    }

    async fn enforce(&self) -> Result<Enforced, String> {
        let enforced = enforce(&self.engine, &Codex::new(&self.config), &self.config, VOLUME, 0).await;
        enforced.map_err(|error| chain(&error))
    }
}

#[tokio::test]
async fn settings_are_written_once_by_and_for_the_job_user_alone() {
    let world = World::new().await;
    assert_eq!(world.enforce().await, Ok(Enforced::Written));
    assert_eq!(fs::read_to_string(world.file()).unwrap(), "approval_policy = \"never\"\n");
    let (found, volume) = (world.file().metadata().unwrap(), world.file().parent().unwrap().metadata().unwrap());
    assert_eq!((found.mode() & 0o7777, found.uid()), (0o600, volume.uid()));
    assert_eq!(world.enforce().await, Ok(Enforced::Already));
    let again = world.file().metadata().unwrap();
    assert_eq!(
        (again.ino(), again.mtime_nsec()),
        (found.ino(), found.mtime_nsec()),
        "it was not written again"
    );
    let log = fs::read_to_string(world.file().parent().unwrap().join(OWN_FOLDER).join("lock.log")).unwrap();
    assert_eq!(
        log.matches(" policy ").count(),
        1,
        "under the lock, and only where it writes:\n{log}"
    );
}

#[tokio::test]
async fn a_template_is_merged_and_the_users_own_settings_stay() {
    let mut world = World::new().await;
    let template = world.root.path().join("template.toml");
    fs::write(&template, "model = \"m-2\"\n").unwrap();
    world.config.template_path = Some(template);
    fs::write(world.file(), "# mine\nmodel = \"m-1\" # old\n\n[tools]\nweb = true\n").unwrap();
    assert_eq!(world.enforce().await, Ok(Enforced::Written));
    insta::assert_snapshot!(fs::read_to_string(world.file()).unwrap(), @r#"
    # mine
    model = "m-2" # old
    approval_policy = "never"

    [tools]
    web = true
    "#);
    assert_eq!(world.file().metadata().unwrap().mode() & 0o7777, 0o600);
}

#[tokio::test]
async fn broken_settings_are_named_and_left_alone() {
    let world = World::new().await;
    fs::write(world.file(), "model = \"m\"\nkey = sk-secret-secret\n").unwrap();
    insta::assert_snapshot!(world.enforce().await.unwrap_err(), @"config.toml in the volume codex_auth_0 is no TOML (string values must be quoted, expected literal string in line 2): mend the file in the volume, or remove it");
    assert!(fs::read_to_string(world.file()).unwrap().contains("sk-secret"));
    fs::remove_file(world.file()).unwrap();
    symlink("/etc/passwd", world.file()).unwrap();
    let said = world.enforce().await.unwrap_err();
    assert!(said.contains("no regular file") || said.contains("can't be used"), "{said}");
}

#[tokio::test]
async fn a_volume_that_is_in_use_is_not_written() {
    let mut world = World::new().await;
    world.config.preflight_timeout = Duration::from_secs(2);
    let (codex, go) = (Codex::new(&world.config), world.root.path().join("go"));
    let place = Place::find(&world.engine, &codex, VOLUME).await.unwrap().unwrap();
    let wait = format!("until [ -e {} ]; do sleep 0.05; done", go.display());
    let argv = ["sh", "-c", &wait].map(str::to_owned).to_vec();
    let mut agent = place.command(&world.config, &codex, Kind::Agent, 0, argv);
    agent.limits.time = Duration::from_secs(60);
    let log = world.file().parent().unwrap().join(OWN_FOLDER).join("lock.log");
    let at_work = || fs::read_to_string(&log).is_ok_and(|log| log.contains(" acquire "));
    let meanwhile = async {
        while !at_work() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let said = world.enforce().await.unwrap_err();
        fs::write(&go, "").unwrap();
        said
    };
    let (ended, said) = tokio::join!(world.engine.capture(&agent, None), meanwhile);
    ended.unwrap();
    assert!(said.contains("is in use by agent ") && !world.file().exists(), "{said}");
}
