//! What lies in a data directory: the cluster, made once by initdb, and the rules for who may connect to it.

use std::{
    fs::DirBuilder,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use super::{DATABASE, Error, account::Account, binaries::Binaries, error::tail};

/// The role that makes roles and databases. The server itself connects as [`DATABASE`], which may make databases and no more.
pub(super) const SUPERUSER: &str = "postgres";

/// Makes the data directory where there is none, and returns its absolute path without links.
pub(super) fn prepare_data_dir(data_dir: &Path) -> Result<PathBuf, Error> {
    if !data_dir.is_dir() {
        if let Some(parent) = data_dir.parent() {
            std::fs::create_dir_all(parent).map_err(Error::io("make the directory", parent))?;
        }
        // Others may pass through, as Postgres must when it runs as another user, but not look around.
        let made = DirBuilder::new().mode(0o711).create(data_dir);
        made.map_err(Error::io("make the data directory", data_dir))?;
    }
    let data_dir = data_dir.canonicalize().map_err(Error::io("find the data directory", data_dir))?;
    match data_dir.to_str() {
        Some(_) => Ok(data_dir),
        None => Err(Error::PathNotText { path: data_dir }),
    }
}

/// The major version that made a cluster, or `None` where there is none yet.
pub(super) fn major_version(cluster_dir: &Path) -> Result<Option<u32>, Error> {
    let file = cluster_dir.join("PG_VERSION");
    match std::fs::read_to_string(&file) {
        Ok(text) => {
            let unreadable = |_| std::io::Error::new(std::io::ErrorKind::InvalidData, format!("not a version: {:?}", text.trim()));
            let major = text
                .trim()
                .parse()
                .map_err(unreadable)
                .map_err(Error::io("read the version in", &file))?;
            Ok(Some(major))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io("read the version in", &file)(error)),
    }
}

/// Makes the cluster beside its place and moves it there when it is whole, so that a start cut short leaves no half of one.
pub(super) async fn create(cluster_dir: &Path, binaries: &Binaries, account: &Account, durable: bool) -> Result<(), Error> {
    let unfinished = cluster_dir.with_extension("new");
    match std::fs::remove_dir_all(&unfinished) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(Error::io("remove", &unfinished)(error)),
        _ => {}
    }
    DirBuilder::new()
        .mode(0o700)
        .create(&unfinished)
        .map_err(Error::io("make the directory", &unfinished))?;
    account.own(&unfinished)?;
    let mut initdb = account.command(binaries.dir.join("initdb"));
    initdb
        .arg("--pgdata")
        .arg(&unfinished)
        .args(["--username", SUPERUSER, "--encoding=UTF8", "--no-locale"]);
    // Everyone is refused until the rules are in place.
    initdb.args(["--auth-local=reject", "--auth-host=reject", "--no-instructions"]);
    if !durable {
        initdb.arg("--no-sync");
    }
    let output = initdb.output().await.map_err(Error::io("run initdb for", cluster_dir))?;
    if !output.status.success() {
        let printed = [output.stdout, output.stderr].concat();
        let output_tail = tail(&String::from_utf8_lossy(&printed));
        return Err(Error::InitFailed {
            cluster_dir: cluster_dir.to_owned(),
            status: output.status.to_string(),
            output: output_tail,
        });
    }
    std::fs::rename(&unfinished, cluster_dir).map_err(Error::io("move the new cluster to", cluster_dir))
}

/// Writes who may connect: the server's own user, as the kernel names it, and nobody else; the user that Postgres runs as is not
/// among them when it is another. The files lie outside the cluster, where that user can't change them, and hold no secret.
pub(super) fn write_access_rules(data_dir: &Path, account: &Account) -> Result<(), Error> {
    let own = account.own_name().replace('"', "\"\"");
    let rules = "# Written at each start of the server.\nlocal all all peer map=moorline\n".to_owned();
    let names = format!("# Written at each start of the server.\nmoorline \"{own}\" \"{SUPERUSER}\"\nmoorline \"{own}\" \"{DATABASE}\"\n");
    for (name, content) in [("pg_hba.conf", rules), ("pg_ident.conf", names)] {
        let file = data_dir.join(name);
        std::fs::write(&file, content).map_err(Error::io("write", &file))?;
        let readable = std::os::unix::fs::PermissionsExt::from_mode(0o644);
        std::fs::set_permissions(&file, readable).map_err(Error::io("set the mode of", &file))?;
    }
    Ok(())
}
