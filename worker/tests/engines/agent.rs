//! A stand-in for the agent CLI: it replays what the real one was recorded to say, from files in its home.

use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf, time::Duration};

use bollard::{
    Docker, body_full,
    models::{ContainerConfig, ContainerCreateBody},
    query_parameters::{CommitContainerOptionsBuilder, RemoveContainerOptionsBuilder, UploadToContainerOptionsBuilder},
};
use moorline_worker::config::{Config, EngineChoice};

use crate::world::{USER, World, image};

/// `answer` and `code` for the status command (`hang` makes it hang), `work` for everything else.
const SCRIPT: &str = r#"#!/bin/sh
if [ "$1 $2" = "login status" ]; then
  if [ -e "$CODEX_HOME/hang" ]; then sleep 1000; fi
  cat "$CODEX_HOME/answer" >&2
  exit "$(cat "$CODEX_HOME/code")"
fi
. "${CODEX_HOME%/.moorline/login}/work"
"#;

/// Where the real CLI is, if the tests shall use it: then it answers, and `answer` and `code` are for nothing.
pub fn real() -> Option<String> {
    let named = std::env::var("MOORLINE_TEST_CODEX").or_else(|_| std::env::var("MOORLINE_CODEX_PROGRAM"));
    named.ok().filter(|program| !program.is_empty())
}

/// A world with the stand-in, and settings for it.
pub struct Site {
    pub world: World,
    pub config: Config,
    pub volume: String,
}

impl Site {
    pub async fn new(world: World) -> Self {
        let program = world.root.path().join("codex");
        let docker = world.docker;
        if docker {
            commit(&world.tag).await;
        } else {
            fs::write(&program, SCRIPT).unwrap();
            fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
        }
        let volume = world.new_volume().await;
        let root = world.root.path().to_owned();
        let config = Config {
            name: "w1".to_owned(),
            engine: if docker { EngineChoice::Docker } else { EngineChoice::Process },
            job_image: if docker { world.tag.clone() } else { image() },
            codex_program: if docker {
                "codex".to_owned()
            } else {
                program.display().to_string()
            },
            volume: Some(volume.clone()),
            volume_root: root.join("volumes"),
            work_root: root,
            ..settings()
        };
        Self { world, config, volume }
    }

    /// Puts a file into the volume, as the job user would.
    pub async fn put(&self, name: &str, content: &str, mode: &str) {
        let target = self.world.run_dir().join("home/.codex");
        let path = target.join(name).display().to_string();
        let script = "rm -rf \"$1\"; printf %s \"$2\" >\"$1\" && chmod \"$3\" \"$1\"";
        let mut spec = self.world.spec(&["sh", "-c", script, "sh", &path, content, mode]);
        spec.volume = Some(self.world.mount(&self.volume));
        let captured = self.world.capture(&spec).await;
        assert_eq!(captured.stderr, "");
    }

    /// What the status command is to say; the files of a login are put beside it.
    pub async fn answer(&self, code: i32, said: &str) {
        self.put("answer", said, "644").await;
        self.put("code", &code.to_string(), "644").await;
    }
}

fn settings() -> Config {
    Config {
        server: String::new(),
        name: String::new(),
        queues: vec!["codex-0".to_owned()],
        slots: 1,
        volume: None,
        work_root: PathBuf::new(),
        engine: EngineChoice::Process,
        volume_root: PathBuf::new(),
        job_image: String::new(),
        login_check_image: None,
        job_user: USER.to_owned(),
        job_network: "none".to_owned(),
        job_memory_bytes: 256 << 20,
        job_cpu_millis: 1000,
        job_pids: 64,
        preflight_timeout: Duration::from_secs(20),
        drain_grace: Duration::from_secs(600),
        codex_program: String::new(),
        codex_model: None,
        codex_profile: None,
        codex_config: Vec::new(),
        github_token: None,
        github_url: "https://github.com".to_owned(),
        github_api_url: "https://api.github.com".to_owned(),
        git_protocols: "file".to_owned(),
        git_author: "Moorline <moorline@localhost>".to_owned(),
        leave_agents: false,
        require_login: false,
        ..Config::try_parse_from(["moorline-worker"]).unwrap()
    }
}

/// Makes an image of the base image and the stand-in, under the world's tag; the world removes it.
async fn commit(tag: &str) {
    let docker = Docker::connect_with_defaults().unwrap();
    let body = ContainerCreateBody {
        image: Some(image()),
        cmd: Some(vec!["true".to_owned()]),
        ..ContainerCreateBody::default()
    };
    let id = docker.create_container(None, body).await.unwrap().id;
    let mut header = tar::Header::new_gnu();
    header.set_mode(0o755);
    header.set_size(SCRIPT.len() as u64);
    let mut archive = tar::Builder::new(Vec::new());
    archive.append_data(&mut header, "usr/local/bin/codex", SCRIPT.as_bytes()).unwrap();
    let archive = body_full(archive.into_inner().unwrap().into());
    let options = UploadToContainerOptionsBuilder::new().path("/").build();
    docker.upload_to_container(&id, Some(options), archive).await.unwrap();
    let options = CommitContainerOptionsBuilder::new().container(&id).repo(tag).tag("latest").build();
    docker.commit_container(options, ContainerConfig::default()).await.unwrap();
    let options = RemoveContainerOptionsBuilder::new().force(true).build();
    docker.remove_container(&id, Some(options)).await.unwrap();
}
