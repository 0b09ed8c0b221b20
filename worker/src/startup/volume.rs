//! The auth volume: there, and where it should be.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use moorline_proto::v1::StartupCheck;

use super::{kind::Kind, missing, mounts, passed};
use crate::{
    config::Config,
    engine::{
        self, Engine, VolumeFacts,
        user::{User, is_root},
    },
    redact::chain,
};

/// Whether the volume exists, is the job user's where that can be seen, and is mounted where `CODEX_VOLUME_PATH` says.
pub(super) async fn check(config: &Config, engine: &Arc<dyn Engine>, kind: Kind, volume: &str) -> StartupCheck {
    let name = kind.volume();
    let facts = match engine.volume(volume).await {
        Ok(Some(facts)) => facts,
        Ok(None) => return missing(name, engine::Error::VolumeMissing { volume: volume.to_owned() }.to_string()),
        Err(error) => return missing(name, chain(&error)),
    };
    let owned = match facts.in_place {
        true => owner(config, volume, &facts.mountpoint),
        false => Ok(()),
    };
    let mounted = || match &config.volume_path {
        Some(path) => mounted(path, kind, volume, &facts),
        None => Ok(String::new()),
    };
    match owned.and_then(|()| mounted()) {
        Ok(remark) => passed(name, format!("{volume} ({}{remark})", facts.driver)),
        Err(wrong) => missing(name, wrong),
    }
}

/// A folder that stands for a volume must be the job user's, who could not keep a renewed login in it else.
fn owner(config: &Config, volume: &str, folder: &Path) -> Result<(), String> {
    let shown = folder.display();
    let found = fs::metadata(folder).map_err(|error| format!("{shown} can't be looked at ({error}): let the worker's user enter it"))?;
    let user: User = config.job_user.parse().map_err(|error| chain(&error))?;
    let (uid, remedy) = match is_root() {
        true => (user.uid, format!("chown -R {user} {shown}")),
        // Jobs run as the worker then.
        false => {
            let me = rustix::process::geteuid().as_raw();
            (me, format!("give it to that user, or start the worker as user {}", found.uid()))
        }
    };
    match found.uid() == uid {
        true => Ok(()),
        false => Err(format!(
            "the volume {volume} ({shown}) belongs to user {}, and jobs run as user {uid}, who could not write it: {remedy}",
            found.uid()
        )),
    }
}

fn mounted(path: &Path, kind: Kind, volume: &str, facts: &VolumeFacts) -> Result<String, String> {
    let mountinfo = fs::read_to_string("/proc/self/mountinfo");
    let mountinfo = mountinfo.map_err(|error| format!("/proc/self/mountinfo can't be read ({error}): unset CODEX_VOLUME_PATH"))?;
    mounted_by(&mountinfo, path, kind, volume, facts)
}

/// A folder where a mount was forgotten looks like an empty volume: only the kernel tells them apart.
fn mounted_by(mountinfo: &str, path: &Path, kind: Kind, volume: &str, facts: &VolumeFacts) -> Result<String, String> {
    let shown = path.display();
    // What links lead to is where it is mounted.
    let real = path.canonicalize().unwrap_or_else(|_| PathBuf::from(path));
    let Some(mount) = mounts::at(mountinfo, &real) else {
        let usual = kind.usual_path().display();
        return Err(format!(
            "CODEX_VOLUME_PATH is {shown}, where nothing is mounted in this worker: mount the volume {volume} there (in compose `volumes: \
             [\"{volume}:{shown}\"]`), set the path where it is (usually {usual}), or unset CODEX_VOLUME_PATH"
        ));
    };
    let is_it = match facts.in_place {
        // It is reached here, too: one folder has one number.
        true => identity(&real).is_some_and(|found| Some(found) == identity(&facts.mountpoint)),
        false => mounts::may_be(&mount, facts.device.as_ref().unwrap_or(&facts.mountpoint)),
    };
    match is_it {
        true => Ok(format!(", mounted at {shown}")),
        false => Err(format!(
            "at CODEX_VOLUME_PATH ({shown}) something else is mounted than the volume {volume}, namely {} of its file system: mount {volume} \
             there, or set {} to the volume that is",
            mount.root.display(),
            kind.variable()
        )),
    }
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    let found = fs::metadata(path).ok()?;
    Some((found.dev(), found.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(mountinfo: &str, path: &Path, facts: &VolumeFacts) -> String {
        mounted_by(mountinfo, path, Kind::Codex, "codex_auth_0", facts).unwrap_or_else(|wrong| wrong)
    }

    #[test]
    fn a_forgotten_mount_and_another_volumes_are_told() {
        let docker = VolumeFacts {
            driver: "local".to_owned(),
            mountpoint: "/var/lib/docker/volumes/codex_auth_0/_data".into(),
            device: None,
            in_place: false,
        };
        let mounts = |volume: &str| format!("30 21 254:0 /var/lib/docker/volumes/{volume}/_data /nowhere/.codex rw - ext4 /dev/vda rw\n");
        let path = Path::new("/nowhere/.codex");
        let said = [
            said(&mounts("codex_auth_0"), path, &docker),
            said(&mounts("codex_auth_1"), path, &docker),
            said("", path, &docker),
        ];
        insta::assert_snapshot!(said.join("\n"), @r#"
        , mounted at /nowhere/.codex
        at CODEX_VOLUME_PATH (/nowhere/.codex) something else is mounted than the volume codex_auth_0, namely /var/lib/docker/volumes/codex_auth_1/_data of its file system: mount codex_auth_0 there, or set CODEX_VOLUME_NAME to the volume that is
        CODEX_VOLUME_PATH is /nowhere/.codex, where nothing is mounted in this worker: mount the volume codex_auth_0 there (in compose `volumes: ["codex_auth_0:/nowhere/.codex"]`), set the path where it is (usually /home/app/.codex), or unset CODEX_VOLUME_PATH
        "#);
    }

    #[test]
    fn a_volume_that_is_bound_to_a_folder_is_known_by_that_and_another_is_named_by_the_agents_own_setting() {
        let bound = VolumeFacts {
            driver: "local".to_owned(),
            mountpoint: "/var/lib/docker/volumes/gemini_auth/_data".into(),
            device: Some("/srv/logins/0".into()),
            in_place: false,
        };
        let path = Path::new("/nowhere/.gemini");
        let said = |root: &str| {
            let line = format!("30 21 254:0 {root} /nowhere/.gemini rw - ext4 /dev/vda rw\n");
            mounted_by(&line, path, Kind::Gemini, "gemini_auth", &bound)
        };
        assert!(said("/srv/logins/0").is_ok());
        assert!(
            said("/srv/logins/1")
                .unwrap_err()
                .ends_with("or set MOORLINE_GEMINI_VOLUME to the volume that is")
        );
    }

    #[test]
    fn a_folder_is_the_volume_or_another_folder() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().canonicalize().unwrap();
        let line = format!("30 21 254:0 / {} rw - ext4 /dev/vda rw\n", folder.display());
        let facts = |mountpoint: &Path| VolumeFacts {
            driver: "directory".to_owned(),
            mountpoint: mountpoint.to_owned(),
            device: None,
            in_place: true,
        };
        assert!(said(&line, &folder, &facts(&folder)).starts_with(", mounted at "));
        assert!(said(&line, &folder, &facts(Path::new("/"))).contains("something else is mounted"));
    }
}
