//! The base image: pulled where a registry can be reached, else made by debootstrap under the same name.

use std::{env, fs, path::Path, time::Duration};

use anyhow::{Context, Result, bail};

use super::client::Docker;
use crate::{
    command::Cmd,
    install::{self, Need},
    paths::{Paths, is_root},
};

/// What the project's Dockerfiles build on.
pub const IMAGE: &str = "debian:bookworm-slim";
const RELEASE: &str = "bookworm";
const MIRROR: &str = "http://deb.debian.org/debian";
/// A pull is 30 MB; a registry that takes longer is not there in practice.
const PULL: Duration = Duration::from_secs(90);
const BOOTSTRAP: Duration = Duration::from_secs(900);

/// What debootstrap leaves behind that nobody reads in a container.
const CHAFF: [&str; 6] = [
    "var/cache/apt",
    "var/lib/apt/lists",
    "usr/share/doc",
    "usr/share/man",
    "usr/share/locale",
    "var/log",
];

/// As in the image that Debian publishes: later packages leave their documentation out as well.
const SLIM: &str = "path-exclude /usr/share/doc/*\npath-include /usr/share/doc/*/copyright\npath-exclude /usr/share/man/*\npath-exclude /usr/share/locale/*\n";

/// Sees to it that the engine has the base image.
pub fn ensure(docker: &Docker, paths: &Paths, yes: bool) -> Result<()> {
    if docker.has_image(IMAGE) {
        return Ok(());
    }
    eprintln!("pulling {IMAGE}");
    match docker.cmd(["pull", "--quiet", IMAGE]).limit(PULL).output() {
        Ok(_) => return Ok(()),
        Err(error) => eprintln!("it can't be pulled: {}", format!("{error:#}").lines().last().unwrap_or_default()),
    }
    if !is_root() {
        bail!("{IMAGE} can't be pulled, and only root can make it with debootstrap: pull or load it, then try again");
    }
    install::system(&[Need::Debootstrap], yes)?;
    eprintln!("making {IMAGE} with debootstrap (half a minute)");
    let folder = tempfile::Builder::new().prefix(".base-").tempdir_in(&paths.cache)?;
    let root = folder.path().join("root");
    let mirror = env::var("MOORLINE_DEBIAN_MIRROR").unwrap_or_else(|_| MIRROR.to_owned());
    bootstrap(&root, &mirror)?;
    slim(&root)?;
    fs::write(root.join("etc/apt/sources.list"), sources(&mirror))?;
    let archive = folder.path().join("root.tar");
    Cmd::new("tar")
        .arg("--numeric-owner")
        .arg("-C")
        .arg(&root)
        .arg("-cf")
        .arg(&archive)
        .arg(".")
        .output()?;
    docker
        .cmd(["import", "--change", r#"CMD ["bash"]"#])
        .arg(&archive)
        .arg(IMAGE)
        .output()?;
    Ok(())
}

fn bootstrap(root: &Path, mirror: &str) -> Result<()> {
    Cmd::new("debootstrap")
        .args(["--variant=minbase", "--include=ca-certificates", RELEASE])
        .arg(root)
        .arg(mirror)
        .limit(BOOTSTRAP)
        .output()
        .context("could not make the base image: set MOORLINE_DEBIAN_MIRROR where Debian's own mirror can't be reached")?;
    Ok(())
}

fn slim(root: &Path) -> Result<()> {
    for folder in CHAFF {
        let folder = root.join(folder);
        fs::remove_dir_all(&folder).with_context(|| format!("could not empty {}", folder.display()))?;
        fs::create_dir_all(&folder)?;
    }
    // apt refuses to work without this one.
    fs::create_dir_all(root.join("var/cache/apt/archives/partial"))?;
    fs::write(root.join("etc/dpkg/dpkg.cfg.d/docker"), SLIM)?;
    Ok(())
}

/// Where packages of later layers come from. debootstrap names the release alone, without its updates.
fn sources(mirror: &str) -> String {
    let mut sources = format!("deb {mirror} {RELEASE} main\ndeb {mirror} {RELEASE}-updates main\n");
    // A mirror of somebody's own keeps security updates elsewhere, or not at all.
    if mirror == MIRROR {
        sources.push_str(&format!("deb {MIRROR}-security {RELEASE}-security main\n"));
    }
    sources
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn security_updates_come_with_debians_own_mirror() {
        assert!(sources(MIRROR).contains("deb http://deb.debian.org/debian-security bookworm-security main\n"));
        assert_eq!(sources("http://mirror.test/debian").lines().count(), 2);
    }
}
