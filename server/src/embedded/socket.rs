//! The directory of the Unix socket, private to the user that Postgres runs as.

use std::{
    fs::{DirBuilder, Permissions},
    os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};

use super::{Error, account::Account};

/// Longest path of a socket in bytes: the size of `sun_path` without its final NUL.
const LONGEST: usize = if cfg!(target_os = "linux") { 107 } else { 103 };
/// What Postgres calls its socket.
const SOCKET: &str = "/.s.PGSQL.5432";
/// What the directory is called in the data directory.
const DIRECTORY: &str = "socket";

/// Makes the directory: in the data directory, or, where the path would be too long, a short one in the temporary directory.
pub(super) fn prepare(data_dir: &Path, account: &Account) -> Result<PathBuf, Error> {
    let inside = data_dir.join(DIRECTORY);
    let directory = if fits(&inside) { inside } else { short(data_dir) };
    match DirBuilder::new().mode(0o700).create(&directory) {
        Ok(()) => account.own(&directory)?,
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => must_be_private(&directory, account)?,
        Err(error) => return Err(Error::io("make the socket's directory", &directory)(error)),
    }
    Ok(directory)
}

/// Whether a socket in it can be named, to the kernel and in a connection string (where a comma separates hosts).
fn fits(directory: &Path) -> bool {
    let text = directory.to_str();
    text.is_some_and(|text| text.len() + SOCKET.len() <= LONGEST && !text.contains([',', '\'', '"', '\\']))
}

/// The same short directory for the same data directory at every start.
fn short(data_dir: &Path) -> PathBuf {
    let digest = hex::encode(Sha256::digest(data_dir.as_os_str().as_encoded_bytes()));
    let name = format!("moorline-{}", &digest[..16]);
    let in_temp = std::env::temp_dir().join(&name);
    if fits(&in_temp) { in_temp } else { Path::new("/tmp").join(name) }
}

/// A directory that was there already must be ours, or someone else could have put it there to listen in our place.
fn must_be_private(directory: &Path, account: &Account) -> Result<(), Error> {
    let found = std::fs::symlink_metadata(directory).map_err(Error::io("look at", directory))?;
    let own = [account.uid(), rustix::process::geteuid().as_raw()];
    if !found.is_dir() || !own.contains(&found.uid()) {
        let limit = LONGEST - SOCKET.len() - DIRECTORY.len() - 1;
        return Err(Error::SocketDirTaken {
            directory: directory.to_owned(),
            limit,
        });
    }
    std::fs::set_permissions(directory, Permissions::from_mode(0o700)).map_err(Error::io("set the mode of", directory))?;
    account.own(directory)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_of_107_bytes_fits_on_linux_and_one_of_108_does_not() {
        let longest = format!("/{}", "d".repeat(LONGEST - SOCKET.len() - 1));
        assert!(fits(Path::new(&longest)));
        assert!(!fits(Path::new(&format!("{longest}d"))));
        assert!(!fits(Path::new("/a,b")), "a comma separates hosts");
    }
}
