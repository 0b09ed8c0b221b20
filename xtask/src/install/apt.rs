//! Debian's and Ubuntu's package manager, kept from starting services that nobody asked for.

use std::{
    fs,
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use super::need::on_path;
use crate::command::Cmd;

/// Whether this is a system with apt.
pub fn available() -> bool {
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    is_debian(&release) && on_path("apt-get").is_some()
}

/// Installs packages without asking and without starting what is in them.
pub fn install(packages: &[&str]) -> Result<()> {
    let mut packages: Vec<&str> = packages.to_vec();
    Cmd::new("apt-get")
        .args(["update", "-qq"])
        .output()
        .context("apt could not fetch its package lists: is there a network?")?;
    if packages.contains(&"docker.io") {
        // Newer releases have the client and BuildKit in packages of their own.
        packages.extend(["docker-cli", "docker-buildx"].into_iter().filter(|name| known(name)));
    }
    // Only PostgreSQL's programs are wanted, not a cluster that runs as a service.
    let _no_cluster = Temporary::write(
        "/etc/postgresql-common/createcluster.d/moorline.conf",
        "create_main_cluster = false\n",
        0o644,
    )?;
    // With systemd the engine is a service that runs as it should. Without, its start is ours, so that it can be stopped again.
    let _no_services = match Path::new("/run/systemd/system").exists() {
        true => None,
        false => Temporary::write("/usr/sbin/policy-rc.d", "#!/bin/sh\nexit 101\n", 0o755)?,
    };
    Cmd::new("apt-get")
        .args([
            "install",
            "-qq",
            "-y",
            "--no-install-recommends",
            "-o",
            "Dpkg::Options::=--force-confold",
        ])
        .args(&packages)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .output()
        .map(drop)
}

fn known(package: &str) -> bool {
    Cmd::new("apt-cache")
        .args(["show", "--no-all-versions", package])
        .output()
        .is_ok_and(|shown| !shown.is_empty())
}

fn is_debian(release: &str) -> bool {
    release
        .lines()
        .filter_map(|line| line.strip_prefix("ID=").or_else(|| line.strip_prefix("ID_LIKE=")))
        .any(|ids| ids.trim_matches('"').split(' ').any(|id| matches!(id, "debian" | "ubuntu")))
}

/// A file that is there only during the installation.
#[derive(Debug)]
struct Temporary(PathBuf);

impl Temporary {
    /// `None` when a file is there already: it is the administrator's.
    fn write(path: &str, content: &str, mode: u32) -> Result<Option<Self>> {
        let path = PathBuf::from(path);
        if path.exists() {
            return Ok(None);
        }
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).with_context(|| format!("could not make {}", folder.display()))?;
        }
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&path)?;
        let temporary = Self(path);
        std::io::Write::write_all(&mut file, content.as_bytes())?;
        // The umask may have taken bits away.
        file.set_permissions(fs::Permissions::from_mode(mode))?;
        Ok(Some(temporary))
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.0) {
            eprintln!("could not remove {}: {error}; remove it by hand", self.0.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debian_and_what_is_like_it_have_apt() {
        assert!(is_debian("NAME=x\nID=debian\n"));
        assert!(is_debian("ID=ubuntu\nID_LIKE=debian\n"));
        assert!(is_debian("ID=pop\nID_LIKE=\"ubuntu debian\"\n"));
        assert!(!is_debian("ID=fedora\nID_LIKE=\"rhel\"\n"));
    }
}
