//! Where Postgres' programs are on this machine.

use std::path::{Path, PathBuf};

use super::{Error, account::Account};

/// Oldest major version that will do.
const MIN_MAJOR: u32 = 14;

/// Places with one directory per major version: what comes before the number, and what comes after it.
const VERSIONED: [(&str, &str); 6] = [
    ("/usr/lib/postgresql/", "/bin"),
    ("/usr/pgsql-", "/bin"),
    ("/usr/libexec/postgresql", ""),
    ("/opt/homebrew/opt/postgresql@", "/bin"),
    ("/usr/local/opt/postgresql@", "/bin"),
    ("/Applications/Postgres.app/Contents/Versions/", "/bin"),
];

/// The programs of one Postgres installation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Binaries {
    /// Directory with `initdb`, `postgres` and `pg_ctl`.
    pub(super) dir: PathBuf,
    /// Its major version.
    pub(super) major: u32,
}

impl Binaries {
    /// Finds the newest installation that works, or the one that made the cluster.
    pub(super) async fn find(given: Option<&Path>, made_by: Option<u32>, account: &Account, cluster_dir: &Path) -> Result<Self, Error> {
        let mut refused = Vec::new();
        let mut other_version = false;
        let candidates = match given {
            Some(dir) => vec![dir.to_owned()],
            None => candidates(made_by),
        };
        for dir in candidates {
            match Self::try_dir(&dir, account).await {
                Ok(found) if made_by.is_none_or(|major| major == found.major) => return Ok(found),
                Ok(_) => other_version = true,
                Err(reason) => refused.push(format!("{} ({reason})", dir.display())),
            }
        }
        match made_by {
            Some(made_by) if other_version => Err(Error::VersionMissing {
                cluster_dir: cluster_dir.to_owned(),
                made_by,
            }),
            _ if refused.is_empty() => Err(Error::BinariesMissing {
                min: MIN_MAJOR,
                looked: String::new(),
            }),
            _ => Err(Error::BinariesMissing {
                min: MIN_MAJOR,
                looked: format!("; not usable: {}", refused.join(", ")),
            }),
        }
    }

    /// Whether the programs in a directory work: copies of them without their share files don't.
    async fn try_dir(dir: &Path, account: &Account) -> Result<Self, String> {
        if let Some(missing) = ["initdb", "postgres", "pg_ctl"].iter().find(|program| !dir.join(program).is_file()) {
            return Err(format!("no {missing} in it"));
        }
        let printed = account
            .command(dir.join("postgres"))
            .arg("--version")
            .output()
            .await
            .map_err(|error| error.to_string())?;
        let printed = String::from_utf8_lossy(&printed.stdout).into_owned();
        let major = major_version(&printed).ok_or_else(|| format!("unknown version {:?}", printed.trim()))?;
        if major < MIN_MAJOR {
            return Err(format!("version {major}"));
        }
        let shown = account
            .command(dir.join("initdb"))
            .args(["--show", "--pgdata", "/nonexistent"])
            .output()
            .await;
        let shown = shown.map_err(|error| error.to_string())?;
        let shown = String::from_utf8_lossy(&shown.stderr).into_owned();
        match shown.lines().find_map(|line| line.strip_prefix("POSTGRES_BKI=")) {
            Some(file) if Path::new(file).is_file() => Ok(Self {
                dir: dir.to_owned(),
                major,
            }),
            Some(file) => Err(format!("{file} is missing")),
            None => Err(format!("initdb does not work: {}", super::error::tail(&shown))),
        }
    }
}

/// `15` from `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`; also from `17beta1`.
fn major_version(printed: &str) -> Option<u32> {
    let number = printed.split("(PostgreSQL) ").nth(1)?;
    let digits: String = number.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

/// Directories that exist, in the order to try them: by version, newest first, then `PATH`.
fn candidates(made_by: Option<u32>) -> Vec<PathBuf> {
    let newest = made_by.unwrap_or(40);
    let oldest = made_by.unwrap_or(MIN_MAJOR);
    let by_version = (oldest..=newest)
        .rev()
        .flat_map(|major| VERSIONED.map(|(before, after)| PathBuf::from(format!("{before}{major}{after}"))));
    let path = std::env::var_os("PATH").unwrap_or_default();
    // A link on the PATH leads to the directory where all programs are.
    let on_path = std::env::split_paths(&path).filter_map(|dir| {
        dir.join("initdb")
            .canonicalize()
            .ok()
            .and_then(|program| program.parent().map(Path::to_owned))
    });
    let mut all: Vec<PathBuf> = Vec::new();
    for dir in by_version.filter(|dir| dir.is_dir()).chain(on_path) {
        if !all.contains(&dir) {
            all.push(dir);
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_major_version_is_read_from_what_postgres_prints() {
        assert_eq!(major_version("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n"), Some(15));
        assert_eq!(major_version("postgres (PostgreSQL) 17beta1"), Some(17));
        assert_eq!(major_version("postgres: command not found"), None);
    }

    /// A directory with programs that print what they are told to.
    fn programs(version: &str, share_file: &str) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let executable = || PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(dir.path(), executable()).unwrap();
        let initdb = format!("echo POSTGRES_BKI={share_file} >&2");
        for (program, script) in [
            ("initdb", initdb.as_str()),
            ("postgres", &format!("echo '{version}'")),
            ("pg_ctl", ""),
        ] {
            std::fs::write(dir.path().join(program), format!("#!/bin/sh\n{script}\n")).unwrap();
            std::fs::set_permissions(dir.path().join(program), executable()).unwrap();
        }
        dir
    }

    #[tokio::test]
    async fn programs_without_their_share_files_or_too_old_are_not_chosen() {
        let account = Account::choose(None, Path::new("/nonexistent")).await.unwrap();
        for (version, share_file, reason) in [
            (
                "postgres (PostgreSQL) 15.1",
                "/nonexistent/postgres.bki",
                "/nonexistent/postgres.bki is missing",
            ),
            ("postgres (PostgreSQL) 13.9", "/etc/passwd", "version 13"),
            ("something else", "/etc/passwd", "unknown version"),
        ] {
            let dir = programs(version, share_file);
            let error = Binaries::find(Some(dir.path()), None, &account, Path::new("/nonexistent"))
                .await
                .unwrap_err();
            let message = error.to_string();
            assert!(
                message.contains(reason) && message.contains("apt-get install postgresql"),
                "{message}"
            );
        }
        let dir = programs("postgres (PostgreSQL) 15.1", "/etc/passwd");
        let found = Binaries::find(Some(dir.path()), None, &account, Path::new("/nonexistent"))
            .await
            .unwrap();
        assert_eq!(
            found,
            Binaries {
                dir: dir.path().to_owned(),
                major: 15
            }
        );
    }
}
