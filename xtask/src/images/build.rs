//! One call of the engine's builder, with what a company's proxy needs.

use std::{
    env, fmt,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result};

use super::client::Docker;
use crate::command::Cmd;

/// Long enough for a release build on two cores.
const LIMIT: Duration = Duration::from_secs(3600);
const BUNDLE: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Variables that a build behind a company's proxy or package mirror needs. Only their names show in the process list.
const PASSED_ON: [&str; 9] = [
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "PIP_INDEX_URL",
    "PIP_NO_INDEX",
    "NPM_CONFIG_REGISTRY",
];

/// A target of `deploy/images/Dockerfile`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Target {
    /// What jobs and login checks run in.
    Job,
    /// The server, and the CLI.
    Server,
    /// The worker with git and the agent CLIs.
    Worker,
}

impl Target {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Job, Self::Server, Self::Worker];

    /// What the image is called, without a tag.
    pub fn image(self) -> &'static str {
        match self {
            Self::Job => "moorline-job",
            Self::Server => "moorline-server",
            Self::Worker => "moorline-worker",
        }
    }

    /// The programs that are in it.
    pub fn programs(self) -> &'static [&'static str] {
        match self {
            Self::Job => &[],
            Self::Server => &["moorline", "moorline-server"],
            Self::Worker => &["moorline-worker"],
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Job => "job",
            Self::Server => "server",
            Self::Worker => "worker",
        })
    }
}

/// A build: what, from where, under which names, with which options of `docker build`.
#[derive(Debug)]
pub struct Build<'a> {
    /// Of the Dockerfile.
    pub target: Target,
    /// A folder with `deploy/images/Dockerfile`.
    pub context: &'a Path,
    /// Names for the image.
    pub tags: &'a [&'a str],
    /// Such as `--build-arg` and `--label`.
    pub options: &'a [String],
}

impl Build<'_> {
    /// Builds it; what the builder says is shown when it fails.
    pub fn run(&self, docker: &Docker) -> Result<()> {
        let built = self.call(docker).limit(LIMIT).output();
        built.with_context(|| format!("could not build the {} image", self.target))?;
        Ok(())
    }

    fn call(&self, docker: &Docker) -> Cmd {
        let mut build = docker.cmd(["build", "--progress", "plain", "--target", &self.target.to_string(), "--file"]);
        build = build.arg(self.context.join("deploy/images/Dockerfile"));
        for tag in self.tags {
            build = build.args(["--tag", tag]);
        }
        for name in PASSED_ON.into_iter().filter(|name| env::var_os(name).is_some()) {
            build = build.args(["--build-arg", name]);
        }
        build = build.args(self.options);
        if let Some(bundle) = ca_bundle() {
            build = build.arg("--secret").arg(format!("id=ca,src={}", bundle.display()));
        }
        build.arg(self.context)
    }
}

/// The certificates that this machine trusts: a proxy that inspects TLS has its own among them.
fn ca_bundle() -> Option<PathBuf> {
    let named = env::var_os("SSL_CERT_FILE").map(PathBuf::from);
    named.into_iter().chain([PathBuf::from(BUNDLE)]).find(|path| path.is_file())
}
