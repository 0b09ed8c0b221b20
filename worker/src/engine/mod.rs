//! Where job containers run.
//!
//! An engine starts, awaits and stops *containers*: Docker containers, or local process groups on machines without Docker.
//! Output never passes through the engine: a job writes it to files in its run's folder, where it can be read by offset
//! and outlives the worker. Short commands, such as a login check, use [`Engine::capture`].
//!
//! Images, and machines that run local processes, must have `sh`, coreutils (`timeout` keeps each container's time limit) and `flock`.

pub mod connect;
pub mod docker;
pub mod images;
mod limit;
pub mod process;
pub mod user;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use async_trait::async_trait;
use secrecy::{SecretSlice, SecretString};

use crate::tree::{Tree, Whole};

/// Bytes that won't print.
pub type SecretVec = SecretSlice<u8>;

/// What runs: one container of a job.
#[derive(Debug, Clone)]
pub struct ContainerSpec {
    /// Unique name, such as `moorline-<job id>-<lease token>`.
    pub name: String,
    /// Image to run; the process engine ignores it.
    pub image: String,
    /// Program and arguments. No secret may be in here: the process list shows it.
    pub argv: Vec<String>,
    /// Environment: the whole of it, nothing is inherited but `PATH`.
    pub env: BTreeMap<String, SecretString>,
    /// Labels that name run, job, attempt and lease token, by which a worker finds its containers again.
    pub labels: BTreeMap<String, String>,
    /// Folder of the host that the container sees at the same absolute path: its run's own folder, and nothing else.
    pub run_dir: Option<PathBuf>,
    /// Working directory.
    pub workdir: Option<PathBuf>,
    /// The auth volume.
    pub volume: Option<VolumeMount>,
    /// What the container may use.
    pub limits: Limits,
    /// Network by the engine's name for it: `none`, `bridge`, or a named one.
    pub network: String,
    /// File that becomes standard input; `/dev/null` when unset.
    pub stdin: Option<PathBuf>,
    /// File in `run_dir` that receives standard output.
    pub stdout: Option<PathBuf>,
    /// File in `run_dir` that receives standard error.
    pub stderr: Option<PathBuf>,
}

/// An auth volume inside a container.
#[derive(Debug, Clone)]
pub struct VolumeMount {
    /// Name of the volume. It must exist: an engine never creates one by mounting it.
    pub volume: String,
    /// Absolute path inside the container. With the process engine this becomes a symbolic link to the volume's folder.
    pub target: PathBuf,
    /// Whether the container may only read it.
    pub read_only: bool,
}

/// What a container may use.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Bytes of memory.
    pub memory_bytes: u64,
    /// Cores, in thousandths.
    pub cpu_millis: u32,
    /// Processes and threads.
    pub pids: u32,
    /// Wall-clock time, kept by the container's first process, so that it holds without worker or server.
    pub time: Duration,
}

/// A container that was started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    /// The engine's own id for it.
    pub id: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
}

/// How a container ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// By itself, with this code.
    Code(i32),
    /// By its own time limit.
    TimedOut,
    /// By this signal.
    Signal(i32),
    /// By the kernel, for using more memory than allowed.
    OutOfMemory,
}

/// What a short command printed.
#[derive(Debug, Clone)]
pub struct Captured {
    /// How it ended.
    pub exit: Exit,
    /// Standard output, cut at 64 KiB.
    pub stdout: String,
    /// Standard error, cut at 64 KiB.
    pub stderr: String,
}

/// What an engine is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineInfo {
    /// `docker` or `process`.
    pub kind: &'static str,
    /// Version of the engine, and of its API where it has one.
    pub version: String,
}

/// What is known of a volume from outside; the content of a credential never leaves the engine this way.
#[derive(Debug, Clone, Default)]
pub struct VolumeFacts {
    /// The engine's driver, or `directory`.
    pub driver: String,
    /// Where the engine keeps it.
    pub mountpoint: PathBuf,
    /// What it is bound to, where it is a volume of the engine's by name and a folder or file system of its own by content.
    pub device: Option<PathBuf>,
    /// Whether containers reach it at `mountpoint` without a mount, as local processes do.
    pub in_place: bool,
}

/// Most of a stream that [`Engine::capture`] returns, in bytes.
pub const CAPTURE_LIMIT: usize = 64 * 1024;

/// Largest file that [`Engine::read_volume_file`] reads, in bytes; no credential file comes near it.
pub const VOLUME_FILE_LIMIT: u64 = 1024 * 1024;

/// Why an engine could not do it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nothing answers.
    #[error("the container engine does not answer at {endpoint}: start it, or set MOORLINE_ENGINE=process to run jobs as local processes")]
    Unreachable {
        /// Where it was looked for.
        endpoint: String,
        /// What the client said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The image isn't there.
    #[error(
        "the image {image} is not on this machine: build or pull it, or set SPEC_AUTOMATION_JOB_IMAGE (for login checks \
         CODEX_LOGIN_CHECK_IMAGE, where that is set) to one that is"
    )]
    ImageMissing {
        /// The image.
        image: String,
    },
    /// The volume isn't there.
    #[error("the volume {volume} does not exist: create it and log in, or set CODEX_VOLUME_NAME to the one that holds the login")]
    VolumeMissing {
        /// The volume.
        volume: String,
    },
    /// Somebody else is at work in the volume.
    #[error("the volume {volume} is in use by {holder}: wait until that has ended or stop it, then try again")]
    VolumeInUse {
        /// The volume.
        volume: String,
        /// Who, as far as the volume's lock log tells.
        holder: String,
    },
    /// Another worker has had the volume since this one was given it.
    #[error("the lease on the volume {volume} has passed on to another worker: let that one do it, or stop it and start this one anew")]
    Fenced {
        /// The volume.
        volume: String,
    },
    /// The job user can't write to the volume, or it has no room.
    #[error(
        "the volume {volume} can't be written ({why}): give it room, with `moorline volume gc {volume}` or on its disk, and see that the job user owns it"
    )]
    VolumeUnusable {
        /// The volume.
        volume: String,
        /// What the shell said.
        why: String,
    },
    /// The network isn't there.
    #[error("the network {network} does not exist: create it on the engine, or set MOORLINE_JOB_NETWORK to none, default or one that does")]
    NetworkMissing {
        /// The network.
        network: String,
    },
    /// The worker's settings forbid the image.
    #[error(
        "the image {image} is none that this worker may run: add it to MOORLINE_JOB_IMAGES, or set SPEC_AUTOMATION_JOB_IMAGE to one that is allowed"
    )]
    ImageNotAllowed {
        /// The image.
        image: String,
    },
    /// The program isn't there.
    #[error("{program} was not found: install it, or put it on the worker's PATH")]
    ProgramMissing {
        /// The program.
        program: String,
    },
    /// Something else.
    #[error("the container engine could not {doing}")]
    Other {
        /// What was being done, as a verb phrase.
        doing: String,
        /// What went wrong.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl Error {
    /// The case in a word for programs, where the login is not the matter.
    pub fn cause(&self) -> Option<&'static str> {
        match self {
            Self::Unreachable { .. } => Some("engine_unreachable"),
            Self::ImageMissing { .. } => Some("image_missing"),
            Self::ProgramMissing { .. } => Some("program_missing"),
            Self::NetworkMissing { .. } => Some("network_missing"),
            Self::ImageNotAllowed { .. } => Some("image_not_allowed"),
            Self::VolumeMissing { .. } | Self::Other { .. } | Self::VolumeUnusable { .. } => None,
            Self::VolumeInUse { .. } => Some("volume_in_use"),
            Self::Fenced { .. } => Some("fenced"),
        }
    }
}

/// A place where containers run. Implementations pass one suite of tests.
#[async_trait]
pub trait Engine: Send + Sync + std::fmt::Debug {
    /// What it is; fails when it doesn't answer.
    async fn info(&self) -> Result<EngineInfo, Error>;

    /// Looks a volume up; `None` when it doesn't exist. Never creates one.
    async fn volume(&self, name: &str) -> Result<Option<VolumeFacts>, Error>;

    /// Creates a volume for `owner` (`uid:gid`) with mode 0700; leaves one that exists as it is.
    async fn create_volume(&self, name: &str, owner: &str) -> Result<(), Error>;

    /// Whether containers can be given this network. An engine that gives them none of their own has them all.
    async fn has_network(&self, name: &str) -> Result<bool, Error> {
        let _ = name;
        Ok(true)
    }

    /// Starts a container; it is running when this returns. A program that isn't there is [`Error::ProgramMissing`] where the engine can
    /// tell, and else ends the container with code 127.
    async fn start(&self, spec: &ContainerSpec) -> Result<Container, Error>;

    /// Waits until a container has ended, however long that takes.
    async fn wait(&self, container: &Container) -> Result<Exit, Error>;

    /// Bytes that a container has written to its image's files, where it may.
    async fn written(&self, container: &Container) -> Result<u64, Error> {
        let _ = container;
        Ok(0)
    }

    /// Asks a container to stop, and kills it after `grace`. Returns once it has ended.
    async fn stop(&self, container: &Container, grace: Duration) -> Result<(), Error>;

    /// Removes a container, and kills it before if it still runs; one that is gone already is no error.
    async fn remove(&self, container: &Container) -> Result<(), Error>;

    /// Containers, running or ended, that bear all of these labels.
    async fn list(&self, labels: &BTreeMap<String, String>) -> Result<Vec<Container>, Error>;

    /// Containers of jobs that have ended at least `age` ago.
    async fn ended(&self, age: Duration) -> Result<Vec<Container>, Error> {
        let _ = age;
        Ok(Vec::new())
    }

    /// Removes what short commands have left behind at least `age` ago: their containers, and volumes that bear the label of such. No other
    /// volume, and above all no auth volume, is ever removed. Returns the names.
    async fn sweep(&self, age: Duration) -> Result<Vec<String>, Error> {
        let _ = age;
        Ok(Vec::new())
    }

    /// Runs a short command to its end, or to `spec.limits.time`, and returns what it printed. Leaves nothing behind, neither a
    /// container nor its output in the engine's log files. `input` becomes standard input, `/dev/null` when there is none.
    async fn capture(&self, spec: &ContainerSpec, input: Option<&SecretString>) -> Result<Captured, Error>;

    /// What is in folders below a root, where containers of an image would see it: in that image or, for an engine that knows none, on this
    /// machine. Nothing is run. Folders that aren't there hold nothing.
    async fn read_folders(&self, image: &str, root: &Path, folders: &[&str], whole: Whole) -> Result<Tree, Error> {
        let _ = (image, folders, whole);
        Ok(Tree::empty(root))
    }

    /// Reads a file of a volume into memory; `None` when it doesn't exist. Its content passes through no log and no container output.
    async fn read_volume_file(&self, volume: &str, path: &str) -> Result<Option<SecretVec>, Error>;
}
