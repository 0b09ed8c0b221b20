//! An engine, a folder and names of one test, and how they are cleaned up.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::{PermissionsExt, chown},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use moorline_worker::engine::{
    Captured, ContainerSpec, Engine, Error, Exit, Limits, VolumeMount, docker::DockerEngine, process::ProcessEngine,
};
use secrecy::SecretString;
use tempfile::TempDir;

pub const USER: &str = "1000:1000";

pub struct World {
    pub engine: Arc<dyn Engine>,
    pub root: TempDir,
    /// Part of every name, so that tests that run at once don't meet.
    pub tag: String,
    pub docker: bool,
}

impl World {
    /// `None` only where the caller of the tests has asked for it.
    pub async fn docker() -> Option<Self> {
        if std::env::var_os("MOORLINE_TEST_NO_DOCKER").is_some_and(|value| value == "1") {
            println!("skipped: MOORLINE_TEST_NO_DOCKER=1");
            return None;
        }
        let engine = DockerEngine::connect(USER, &image()).expect("Docker must answer: start it, or set MOORLINE_TEST_NO_DOCKER=1");
        engine
            .info()
            .await
            .expect("Docker must answer: start it, or set MOORLINE_TEST_NO_DOCKER=1");
        Some(Self::of(true, |_| Arc::new(engine)))
    }

    pub fn process() -> Self {
        Self::of(false, |root| Arc::new(process(root)))
    }

    fn of(docker: bool, engine: impl FnOnce(&Path) -> Arc<dyn Engine>) -> Self {
        let root = tempfile::tempdir().unwrap();
        // The job user must be able to enter.
        fs::set_permissions(root.path(), PermissionsExt::from_mode(0o755)).unwrap();
        let run = root.path().join("run");
        fs::create_dir(&run).unwrap();
        if rustix::process::geteuid().is_root() {
            chown(&run, Some(1000), Some(1000)).unwrap();
        }
        Self {
            engine: engine(root.path()),
            root,
            tag: format!("moorline-test-{}", uuid::Uuid::now_v7().simple()),
            docker,
        }
    }

    /// The same engine as another worker process would see it.
    pub fn again(&self) -> Arc<dyn Engine> {
        match self.docker {
            true => Arc::new(DockerEngine::connect(USER, &image()).unwrap()),
            false => Arc::new(process(self.root.path())),
        }
    }

    pub fn run_dir(&self) -> PathBuf {
        self.root.path().join("run")
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.run_dir().join(name)
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.file(name)).unwrap()
    }

    /// A specification that runs a shell script for at most a minute.
    pub fn script(&self, script: &str) -> ContainerSpec {
        self.spec(&["sh", "-c", script])
    }

    pub fn spec(&self, argv: &[&str]) -> ContainerSpec {
        ContainerSpec {
            name: format!("{}-{}", self.tag, uuid::Uuid::now_v7().simple()),
            image: image(),
            argv: argv.iter().map(ToString::to_string).collect(),
            env: BTreeMap::from([("GREETING".to_owned(), SecretString::from("hello"))]),
            labels: BTreeMap::from([("moorline.test".to_owned(), self.tag.clone())]),
            run_dir: Some(self.run_dir()),
            workdir: Some(self.run_dir()),
            volume: None,
            limits: Limits {
                memory_bytes: 256 << 20,
                cpu_millis: 1000,
                pids: 64,
                time: Duration::from_secs(60),
            },
            network: "none".to_owned(),
            stdin: None,
            stdout: Some(self.file("out")),
            stderr: Some(self.file("err")),
        }
    }

    pub fn mount(&self, volume: &str) -> VolumeMount {
        VolumeMount {
            volume: volume.to_owned(),
            target: self.run_dir().join("home/.codex"),
            read_only: false,
        }
    }

    /// Runs a job to its end and removes it.
    pub async fn run(&self, spec: &ContainerSpec) -> Exit {
        let container = self.engine.start(spec).await.unwrap();
        let exit = self.engine.wait(&container).await.unwrap();
        self.engine.remove(&container).await.unwrap();
        exit
    }

    pub async fn capture(&self, spec: &ContainerSpec) -> Captured {
        self.engine.capture(spec, None).await.unwrap()
    }

    pub async fn new_volume(&self) -> String {
        let name = format!("{}-volume", self.tag);
        self.engine.create_volume(&name, USER).await.unwrap();
        name
    }

    /// Makes a pipe; a job that holds it open is known to have ended when reading it ends.
    pub fn pipe(&self, name: &str) -> PathBuf {
        let path = self.file(name);
        rustix::fs::mkfifoat(rustix::fs::CWD, &path, rustix::fs::Mode::from_raw_mode(0o666)).unwrap();
        fs::set_permissions(&path, PermissionsExt::from_mode(0o666)).unwrap();
        path
    }
}

/// An engine of local processes below a folder.
pub fn process(root: &Path) -> ProcessEngine {
    ProcessEngine::new(&root.join("volumes"), &root.join("processes"), USER).unwrap()
}

pub fn image() -> String {
    std::env::var("MOORLINE_TEST_IMAGE").unwrap_or_else(|_| "debian:bookworm-slim".to_owned())
}

/// Waits for something to become so, for ten seconds at most.
pub async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let looking = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), looking).await.expect(what)
}

pub fn is_missing_volume(error: &Error, name: &str) -> bool {
    matches!(error, Error::VolumeMissing { volume } if volume == name)
}

impl Drop for World {
    fn drop(&mut self) {
        if !self.docker {
            return;
        }
        // By the engine's own client, which needs no runtime. What is left is there only after a failure, but for volumes.
        let list = |what: &[&str]| {
            let output = std::process::Command::new("docker").args(what).output().unwrap();
            String::from_utf8(output.stdout).unwrap()
        };
        for id in list(&["ps", "-aq", "--filter", &format!("name={}", self.tag)]).split_whitespace() {
            list(&["rm", "-f", id]);
        }
        for name in list(&["volume", "ls", "-q", "--filter", &format!("name={}", self.tag)]).split_whitespace() {
            list(&["volume", "rm", name]);
        }
        for id in list(&["images", "-q", &self.tag]).split_whitespace() {
            list(&["rmi", "-f", id]);
        }
    }
}
