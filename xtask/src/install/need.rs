//! Programs of the system that something here needs, how to find them, and which Debian packages hold them.

use std::{
    env,
    path::{Path, PathBuf},
};

use crate::command::Cmd;

/// Something that the system's package manager provides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// git, with CA certificates.
    Git,
    /// The server programs of PostgreSQL.
    Postgres,
    /// Python 3 that can make virtual environments.
    Python,
    /// The Docker engine and a client.
    Docker,
    /// docker-compose, the older of the two that the compose files are written for.
    Compose,
    /// debootstrap, which makes a Debian base image where none can be pulled.
    Debootstrap,
    /// A static busybox, from which tests make small images.
    Busybox,
    /// npm, which fetches buf.
    Npm,
    /// `ip`, by which tests make hosts of network namespaces.
    Network,
}

impl Need {
    /// What it is, for people.
    pub fn what(self) -> &'static str {
        match self {
            Self::Git => "git with CA certificates",
            Self::Postgres => "PostgreSQL's server programs (initdb, pg_ctl, postgres)",
            Self::Python => "Python 3 with venv",
            Self::Docker => "the Docker engine",
            Self::Compose => "docker-compose",
            Self::Debootstrap => "debootstrap",
            Self::Busybox => "a static busybox",
            Self::Npm => "npm",
            Self::Network => "iproute2 (the program ip)",
        }
    }

    /// Debian packages that provide it.
    pub fn packages(self) -> &'static [&'static str] {
        match self {
            Self::Git => &["git", "ca-certificates"],
            Self::Postgres => &["postgresql"],
            Self::Python => &["python3", "python3-venv"],
            Self::Docker => &["docker.io"],
            Self::Compose => &["docker-compose"],
            // Ubuntu has Debian's debootstrap, but not the keys that Debian's archive is signed with.
            Self::Debootstrap => &["debootstrap", "debian-archive-keyring"],
            Self::Busybox => &["busybox-static"],
            Self::Npm => &["npm"],
            Self::Network => &["iproute2"],
        }
    }

    /// Whether it is here.
    pub fn present(self) -> bool {
        match self {
            Self::Git => on_path("git").is_some() && Path::new("/etc/ssl/certs").exists(),
            Self::Postgres => postgres().is_some(),
            Self::Python => Cmd::new("python3").args(["-c", "import venv, ensurepip"]).succeeds(),
            Self::Docker => on_path("docker").is_some() && docker_engine(),
            Self::Compose => on_path("docker-compose").is_some(),
            Self::Debootstrap => on_path("debootstrap").is_some(),
            Self::Busybox => on_path("busybox").is_some(),
            Self::Npm => on_path("npm").is_some(),
            Self::Network => on_path("ip").is_some(),
        }
    }
}

/// Whether an engine is installed here, or runs somewhere: in a virtual machine, or on another host.
fn docker_engine() -> bool {
    on_path("dockerd").is_some() || env::var_os("DOCKER_HOST").is_some() || Path::new("/var/run/docker.sock").exists()
}

/// A program on the path, or where Debian keeps those of the administrator.
pub fn on_path(program: &str) -> Option<PathBuf> {
    all_on_path(program).next()
}

/// Every program of that name on the path, the first one first.
pub fn all_on_path(program: &str) -> impl Iterator<Item = PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = env::split_paths(&path).collect();
    folders.extend(["/usr/bin", "/usr/sbin", "/sbin"].map(PathBuf::from));
    folders
        .into_iter()
        .map(move |folder| folder.join(program))
        .filter(|path| path.is_file())
}

/// Places with one folder per major version of PostgreSQL: what comes before the number, and what comes after it.
const VERSIONED: [(&str, &str); 5] = [
    ("/usr/lib/postgresql/", "/bin"),
    ("/usr/pgsql-", "/bin"),
    ("/usr/libexec/postgresql", ""),
    ("/opt/homebrew/opt/postgresql@", "/bin"),
    ("/usr/local/opt/postgresql@", "/bin"),
];

/// A folder with PostgreSQL's server programs, where the server looks for them too.
fn postgres() -> Option<PathBuf> {
    let given = env::var_os("MOORLINE_POSTGRES_BIN").map(PathBuf::from);
    let versioned = (14..=40).flat_map(|major| VERSIONED.map(|(before, after)| PathBuf::from(format!("{before}{major}{after}"))));
    // A link on the path leads to the folder where all programs are.
    let on_path = on_path("initdb").and_then(|program| Some(program.canonicalize().ok()?.parent()?.to_owned()));
    let mut folders = given.into_iter().chain(versioned).chain(on_path);
    folders.find(|folder| {
        ["initdb", "pg_ctl", "postgres"]
            .iter()
            .all(|program| folder.join(program).is_file())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_on_the_path_is_found_and_another_is_not() {
        assert!(on_path("sh").is_some_and(|path| path.is_absolute()));
        assert_eq!(on_path("no-such-program-anywhere"), None);
    }
}
