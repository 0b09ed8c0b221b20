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

    /// The program that it runs, where it is one of ours.
    pub fn served(self) -> Option<&'static str> {
        match self {
            Self::Job => None,
            Self::Server => Some("moorline-server"),
            Self::Worker => Some("moorline-worker"),
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
        passed_on(build.args(self.options)).arg(self.context)
    }
}

/// A call of the builder with what a company's proxy needs.
pub fn passed_on(mut build: Cmd) -> Cmd {
    for name in PASSED_ON.into_iter().filter(|name| env::var_os(name).is_some()) {
        build = build.args(["--build-arg", name]);
    }
    match ca_bundle() {
        Some(bundle) => build.arg("--secret").arg(format!("id=ca,src={}", bundle.display())),
        None => build,
    }
}

/// The certificates that this machine trusts: a proxy that inspects TLS has its own among them.
pub fn ca_bundle() -> Option<PathBuf> {
    let named = env::var_os("SSL_CERT_FILE").map(PathBuf::from);
    named.into_iter().chain([PathBuf::from(BUNDLE)]).find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCKERFILE: &str = include_str!("../../../deploy/images/Dockerfile");
    const SCRIPT: &str = include_str!("../../../deploy/images/build.sh");

    #[test]
    fn every_target_is_in_the_dockerfile_and_in_the_script() {
        for target in Target::ALL {
            assert!(DOCKERFILE.contains(&format!(" AS {target}\n")), "{target}");
            assert!(DOCKERFILE.contains(&format!("image.title=\"{}\"", target.image())), "{target}");
            assert!(SCRIPT.contains(&target.to_string()), "{target}");
            for program in target.programs() {
                assert!(DOCKERFILE.contains(&format!("/out/{program} ")), "{program}");
            }
        }
        for name in PASSED_ON {
            assert!(SCRIPT.contains(name), "{name}");
        }
    }

    #[test]
    fn labels_name_this_version_unless_the_builder_says_otherwise() {
        let versions: Vec<&str> = DOCKERFILE.lines().filter_map(|line| line.strip_prefix("ARG VERSION=")).collect();
        assert_eq!(versions, [env!("CARGO_PKG_VERSION"); Target::ALL.len()]);
    }

    #[test]
    fn every_step_that_fetches_something_has_the_secret_and_no_other_step_can_keep_it() {
        let steps = DOCKERFILE.split("\nRUN ").skip(1);
        for step in steps {
            let step = step.split("\n\n").next().unwrap_or_default();
            let fetches = ["packages", "pip ", "npm-cli.js", "cargo build"]
                .iter()
                .any(|word| step.contains(word));
            assert_eq!(fetches, step.contains("--mount=type=secret,id=ca "), "{step}");
            assert_eq!(fetches, step.contains("/run/build/with-ca"), "{step}");
        }
        let kept = DOCKERFILE
            .lines()
            .filter(|line| ["COPY", "ADD", "ENV", "ARG"].iter().any(|word| line.starts_with(word)));
        for line in kept {
            assert!(
                !line.contains("/run/secrets") && !line.contains("_CA_") && !line.contains("CERT"),
                "{line}"
            );
        }
    }
}
