//! What every worker needs of its machine: an engine, a folder, git.

use std::{fs, sync::Arc};

use moorline_proto::v1::StartupCheck;
use tokio_util::sync::CancellationToken;

use super::{missing, passed};
use crate::{
    config::Config,
    engine::{Engine, EngineInfo},
    git::{Git, OLDEST},
    redact::chain,
};

/// Whether the engine answers, and what it is.
pub(super) async fn engine(engine: &Arc<dyn Engine>) -> (StartupCheck, Option<EngineInfo>) {
    match engine.info().await {
        Ok(info) => (passed("engine", format!("{} {}", info.kind, info.version)), Some(info)),
        Err(error) => (missing("engine", chain(&error)), None),
    }
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

/// Whether git is there and new enough.
pub(super) async fn git(config: &Config) -> StartupCheck {
    match Git::new(config).version(&CancellationToken::new()).await {
        Ok((version, text)) if version >= OLDEST => passed("git", text),
        Ok((_, text)) => missing("git", format!("{text} is too old: install git {}.{} or later", OLDEST.0, OLDEST.1)),
        Err(error) => missing("git", error.to_string()),
    }
}
