//! The image that jobs and login checks run in, built from the Dockerfile that users build.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result};

use super::{base, client::Docker};
use crate::{
    checksum,
    install::codex::{Codex, PIN},
    paths::Paths,
};

const NAME: &str = "moorline-job";
const BUILD: Duration = Duration::from_secs(900);
const BUNDLE: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Variables that a build behind a company's proxy or package mirror needs. Only their names show in the process list.
const PASSED_ON: [&str; 7] = [
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "PIP_INDEX_URL",
];

/// The job image, built unless it is there; its tag names what it was built from.
pub fn ensure(docker: &Docker, paths: &Paths, codex: &Codex, yes: bool) -> Result<String> {
    let source = paths.root.join("deploy/images/job");
    let dockerfile = fs::read_to_string(source.join("Dockerfile")).context("could not read the job image's Dockerfile")?;
    let digest = checksum::of_texts([dockerfile.as_str(), PIN]);
    let image = format!("{NAME}:{}", &digest[..12]);
    if docker.has_image(&image) {
        eprintln!("job image {image} is there");
        return Ok(image);
    }
    base::ensure(docker, paths, yes)?;
    let context = context(paths, &source, codex)?;
    eprintln!("building the job image {image} from deploy/images/job/Dockerfile (half a minute)");
    let mut build = docker.cmd(["build", "--progress", "plain", "--tag", &image, "--tag", NAME]);
    for name in PASSED_ON.into_iter().filter(|name| env::var_os(name).is_some()) {
        build = build.args(["--build-arg", name]);
    }
    if let Some(bundle) = ca_bundle() {
        build = build.arg("--secret").arg(format!("id=ca,src={}", bundle.display()));
    }
    build.arg(context).limit(BUILD).output().context("could not build the job image")?;
    Ok(image)
}

/// The Dockerfile's folder with the wheel that is in the cache already, so that it isn't fetched again.
fn context(paths: &Paths, source: &Path, codex: &Codex) -> Result<PathBuf> {
    let folder = paths.cache.join("job-image");
    let wheels = folder.join("wheels");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&wheels)?;
    for name in ["Dockerfile", "codex.txt"] {
        fs::copy(source.join(name), folder.join(name)).with_context(|| format!("could not copy {name}"))?;
    }
    let name = codex.wheel.file_name().context("the wheel has no name")?;
    link(&codex.wheel, &wheels.join(name))?;
    Ok(folder)
}

fn link(from: &Path, to: &Path) -> io::Result<()> {
    fs::hard_link(from, to).or_else(|_| fs::copy(from, to).map(drop))
}

/// The certificates that this machine trusts: a proxy that inspects TLS has its own among them.
fn ca_bundle() -> Option<PathBuf> {
    let named = env::var_os("SSL_CERT_FILE").map(PathBuf::from);
    named.into_iter().chain([PathBuf::from(BUNDLE)]).find(|path| path.is_file())
}
