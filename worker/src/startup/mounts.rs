//! What is mounted in the worker's own container, by `/proc/self/mountinfo`.

use std::{
    ffi::OsString,
    os::unix::ffi::OsStringExt as _,
    path::{Path, PathBuf},
};

/// Components at the end of a volume's path that tell it from all others, such as `volumes/codex_auth_0/_data`.
const TELLING: usize = 3;

/// A mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mount {
    /// What of its file system is mounted.
    pub(super) root: PathBuf,
    /// Where.
    pub(super) point: PathBuf,
    /// Kind of the file system.
    pub(super) kind: String,
}

/// What is mounted at a path; what is mounted over something else hides it.
pub(super) fn at(mountinfo: &str, path: &Path) -> Option<Mount> {
    mountinfo.lines().rev().filter_map(mount).find(|mount| mount.point == path)
}

/// Whether a mount can be a volume that the engine keeps at `kept`. Their paths begin differently where the engine's folder is a file
/// system, or a part of one, of its own.
pub(super) fn may_be(mount: &Mount, kept: &Path) -> bool {
    // A volume that is a file system of its own, such as NFS, is mounted whole. One that is gone with the container is no volume.
    if mount.root == Path::new("/") {
        return !matches!(mount.kind.as_str(), "tmpfs" | "ramfs" | "overlay");
    }
    let names = |path: &Path| -> Vec<OsString> { path.strip_prefix("/").unwrap_or(path).iter().map(Into::into).collect() };
    let end = |path: &Path| -> Vec<OsString> { names(path).into_iter().rev().take(TELLING).collect() };
    let (one, other) = (end(&mount.root), end(kept));
    let common = one.len().min(other.len());
    one[..common] == other[..common]
}

fn mount(line: &str) -> Option<Mount> {
    let mut fields = line.split(' ');
    let root = fields.nth(3)?;
    let point = fields.next()?;
    // After options and optional fields, whose number is any.
    let kind = fields.skip_while(|field| *field != "-").nth(1).unwrap_or_default();
    Some(Mount {
        root: plain(root),
        point: plain(point),
        kind: kind.to_owned(),
    })
}

/// The kernel writes blanks and the like in octal, such as `\040`.
fn plain(field: &str) -> PathBuf {
    let mut bytes = Vec::new();
    let mut rest = field.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let octal = (*first == b'\\').then(|| after.get(..3)).flatten();
        let octal = octal.and_then(|digits| std::str::from_utf8(digits).ok());
        match octal.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[3..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    OsString::from_vec(bytes).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
21 1 0:20 / / rw,relatime - overlay overlay rw
30 21 254:0 /var/lib/docker/volumes/codex_auth_0/_data /home/app/.codex rw,relatime master:1 - ext4 /dev/vda rw
31 21 254:0 /srv/with\\040blank\\134 /srv/a\\040b rw - ext4 /dev/vda rw
32 21 254:0 /var/lib/docker/volumes/codex_auth_1/_data /twice rw - ext4 /dev/vda rw
33 21 254:1 / /twice rw - nfs4 server:/export rw
";

    #[test]
    fn a_mount_is_found_by_its_path_and_the_last_one_counts() {
        let found = at(MOUNTS, Path::new("/home/app/.codex")).unwrap();
        assert_eq!(found.root, Path::new("/var/lib/docker/volumes/codex_auth_0/_data"));
        assert_eq!(at(MOUNTS, Path::new("/home/app")), None);
        assert_eq!(at(MOUNTS, Path::new("/srv/a b")).unwrap().root, Path::new("/srv/with blank\\"));
        assert_eq!(at(MOUNTS, Path::new("/twice")).unwrap().root, Path::new("/"));
    }

    #[test]
    fn a_volume_is_known_by_the_end_of_its_path() {
        let may_be = |root: &str, mountpoint: &str| {
            let point = PathBuf::from("/home/app/.codex");
            let kind = "ext4".to_owned();
            super::may_be(
                &Mount {
                    root: root.into(),
                    point,
                    kind,
                },
                Path::new(mountpoint),
            )
        };
        let volume = "/var/lib/docker/volumes/codex_auth_0/_data";
        assert!(may_be(volume, volume));
        assert!(
            may_be("/volumes/codex_auth_0/_data", volume),
            "the engine's folder is a file system"
        );
        assert!(may_be("/@docker/volumes/codex_auth_0/_data", volume), "it is a part of one");
        assert!(may_be("/", volume), "the volume is a file system");
        assert!(!may_be("/var/lib/docker/volumes/codex_auth_1/_data", volume));
        assert!(!may_be("/home/ada/.codex", volume));
        assert!(!may_be("/_data/x", volume));
        assert!(may_be("/logins/0", "/srv/logins/0"), "a folder of a file system at /srv");
        assert!(!may_be("/logins/1", "/srv/logins/0"));
    }

    #[test]
    fn what_is_gone_with_the_container_is_no_volume() {
        for (kind, expected) in [("tmpfs", false), ("overlay", false), ("nfs4", true), ("ext4", true)] {
            let mounts = format!("30 21 0:50 / /home/app/.codex rw,nosuid shared:1 - {kind} none rw\n");
            let mount = at(&mounts, Path::new("/home/app/.codex")).unwrap();
            assert_eq!(may_be(&mount, Path::new("/var/lib/docker/volumes/x/_data")), expected, "{kind}");
        }
    }
}
