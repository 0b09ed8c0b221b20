//! What every worker needs of its machine: an engine, a folder, git.

use std::{fs, sync::Arc};

use moorline_proto::v1::StartupCheck;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Check, missing, passed};
use crate::{
    config::Config,
    engine::{self, Engine, EngineInfo, user::User},
    git::{Git, OLDEST},
    redact::chain,
};

/// Whether the engine answers, and what it is. One that could not be connected to is known by why not.
pub(super) async fn engine<'a>(
    engine: Result<&'a Arc<dyn Engine>, &engine::Error>,
) -> (Check, Option<&'a Arc<dyn Engine>>, Option<EngineInfo>) {
    let began = Instant::now();
    let info = match engine {
        Ok(engine) => engine.info().await.map_err(|error| chain(&error)),
        Err(error) => Err(chain(error)),
    };
    let check = match &info {
        Ok(info) => passed("engine", format!("{} {}", info.kind, info.version)),
        Err(why) => missing("engine", format!("{why}; what needs it was not looked at")),
    };
    let info = info.ok();
    let engine = engine.ok().filter(|_| info.is_some());
    (Check::new(check, began.elapsed()), engine, info)
}

/// Whether the work root can be written.
pub(super) fn work_root(config: &Config) -> StartupCheck {
    let root = &config.work_root;
    let probe = root.join(format!(".moorline-{}", uuid::Uuid::now_v7()));
    let written = fs::create_dir_all(root)
        .and_then(|()| fs::write(&probe, ""))
        .and_then(|()| fs::remove_file(&probe));
    match written {
        Ok(()) => passed("work_root", root.display().to_string()),
        Err(error) => {
            let root = root.display();
            missing(
                "work_root",
                format!("{root} can't be written ({error}): set MOORLINE_WORK_ROOT to a folder that the worker may write"),
            )
        }
    }
}

/// Whether the worker may use what jobs leave in its folders. A container writes there as the job user; a worker that is neither root nor
/// that user could not empty a run's folder afterwards. Local processes run as the worker's own user then.
pub(super) fn job_user(config: &Config, engine: Option<&EngineInfo>) -> StartupCheck {
    let me = User {
        uid: rustix::process::geteuid().as_raw(),
        gid: rustix::process::getegid().as_raw(),
    };
    job_user_for(config, engine, me)
}

fn job_user_for(config: &Config, engine: Option<&EngineInfo>, me: User) -> StartupCheck {
    let name = "job_user";
    let user: User = match config.job_user.parse() {
        Ok(user) => user,
        Err(error) => return missing(name, chain(&error)),
    };
    match engine.is_some_and(|info| info.kind == "docker") {
        true if me.uid != 0 && me.uid != user.uid => missing(
            name,
            format!(
                "jobs run as {user} and the worker as {me}, so that it could not remove their files: set MOORLINE_JOB_USER={me}, or run the worker as root"
            ),
        ),
        _ => passed(name, user.to_string()),
    }
}

/// Whether git is there and new enough.
pub(super) async fn git(config: &Config) -> StartupCheck {
    match Git::new(config).version(&CancellationToken::new()).await {
        Ok((version, text)) if version >= OLDEST => passed("git", text),
        Ok((_, text)) => missing("git", format!("{text} is too old: install git {}.{} or later", OLDEST.0, OLDEST.1)),
        Err(error) => missing("git", error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_worker_that_is_neither_root_nor_the_job_user_is_refused() {
        let config = Config::try_parse_from(["moorline-worker"]).unwrap();
        let engine = |kind| EngineInfo {
            kind,
            version: String::new(),
        };
        let check = |kind, uid, gid| job_user_for(&config, Some(&engine(kind)), User { uid, gid });
        for (kind, uid) in [("docker", 0), ("docker", 1000), ("process", 1234)] {
            assert!(check(kind, uid, 7).ok, "{kind} {uid}");
        }
        let refused = check("docker", 1234, 5678);
        assert!(
            !refused.ok && refused.detail.contains("set MOORLINE_JOB_USER=1234:5678"),
            "{}",
            refused.detail
        );
    }
}
