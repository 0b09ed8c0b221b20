//! Whom Postgres runs as: the server's own user, or, since it refuses root, an unprivileged one.

use std::{
    ffi::OsStr,
    os::unix::fs::{MetadataExt, chown},
    path::{Path, PathBuf},
};

use tokio::process::Command;

use super::Error;

/// Variables that Postgres' programs are given; the server's own settings, secrets among them, stay out of their environment.
const INHERITED: [&str; 3] = ["PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"];

/// The user that Postgres runs as, and the user that connects to it.
#[derive(Debug)]
pub(super) struct Account {
    name: String,
    own_name: String,
    /// User and group to change to; `None` when the server's own user runs Postgres.
    change_to: Option<(u32, u32)>,
}

impl Account {
    /// Chooses the user. The owner of a cluster that exists goes before the default, because Postgres runs for its owner only.
    pub(super) async fn choose(wanted: Option<&str>, cluster_dir: &Path) -> Result<Self, Error> {
        let own_uid = rustix::process::geteuid().as_raw();
        let own_name = id(&["-un"]).await.ok_or(Error::UserNameless { uid: own_uid })?;
        if own_uid != 0 {
            return match wanted {
                Some(wanted) if wanted != own_name => Err(Error::UserUnreachable {
                    wanted: wanted.to_owned(),
                    own: own_name,
                }),
                _ => Ok(Self {
                    name: own_name.clone(),
                    own_name,
                    change_to: None,
                }),
            };
        }
        let owner = std::fs::metadata(cluster_dir).ok().map(|dir| dir.uid()).filter(|uid| *uid != 0);
        let name = match (wanted, owner) {
            (Some(wanted), _) => wanted.to_owned(),
            (None, Some(uid)) => id(&["-un", &uid.to_string()]).await.ok_or(Error::UserNameless { uid })?,
            (None, None) if number(&["-u", "postgres"]).await.is_some() => "postgres".to_owned(),
            (None, None) => "nobody".to_owned(),
        };
        match (number(&["-u", &name]).await, number(&["-g", &name]).await) {
            (Some(0), _) => Err(Error::UserIsRoot),
            (Some(uid), Some(gid)) => Ok(Self {
                name,
                own_name,
                change_to: Some((uid, gid)),
            }),
            _ => Err(Error::UserMissing { user: name }),
        }
    }

    /// Name of the user that Postgres runs as.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Name of the user that connects: the server's own.
    pub(super) fn own_name(&self) -> &str {
        &self.own_name
    }

    /// The user id that owns Postgres' files.
    pub(super) fn uid(&self) -> u32 {
        self.change_to.map_or_else(|| rustix::process::geteuid().as_raw(), |(uid, _)| uid)
    }

    /// A command that runs as this user, in `/`, with a clean environment and no input.
    pub(super) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env_clear().current_dir("/").stdin(std::process::Stdio::null());
        // Messages in English, so that what is quoted in an error can be searched for.
        command.env("LC_ALL", "C");
        command.envs(INHERITED.into_iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
        if let Some((uid, gid)) = self.change_to {
            // Supplementary groups of root are dropped with it.
            command.uid(uid).gid(gid);
        }
        command
    }

    /// Gives a file or directory to this user.
    pub(super) fn own(&self, path: &Path) -> Result<(), Error> {
        match self.change_to {
            Some((uid, gid)) => chown(path, Some(uid), Some(gid)).map_err(Error::io("change the owner of", path)),
            None => Ok(()),
        }
    }

    /// Checks that this user can enter a directory and all of its parents, and names the first that it can't.
    ///
    /// It is tried rather than computed from modes: access lists and security modules have a say too.
    pub(super) async fn must_reach(&self, directory: &Path) -> Result<(), Error> {
        let mut parents: Vec<&Path> = directory.ancestors().collect();
        parents.reverse();
        let script = r#"for d do cd -- "$d" 2>/dev/null || { printf '%s\n' "$d"; exit 1; }; done"#;
        let tried = self.command("/bin/sh").args(["-c", script, "sh"]).args(parents).output().await;
        let tried = tried.map_err(Error::io("run /bin/sh to look at", directory))?;
        if tried.status.success() {
            return Ok(());
        }
        let named = String::from_utf8_lossy(&tried.stdout);
        Err(Error::Unreachable {
            directory: PathBuf::from(named.trim_end_matches('\n')),
            user: self.name.clone(),
        })
    }
}

/// What `id` prints, or nothing when it fails.
async fn id(arguments: &[&str]) -> Option<String> {
    let output = Command::new("id").args(arguments).output().await.ok()?;
    let printed = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| printed.trim().to_owned())
}

async fn number(arguments: &[&str]) -> Option<u32> {
    id(arguments).await?.parse().ok()
}
