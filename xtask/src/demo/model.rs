//! The scripted model: it takes the place of the model that Codex talks to, so that no login and no account is needed.

use std::{
    fs,
    net::{IpAddr, SocketAddr},
    path::Path,
    time::Duration,
};

use anyhow::{Context, Result};

use super::{environment::clean, session::Session};
use crate::{command::Cmd, paths::Paths};

const START: Duration = Duration::from_secs(20);

/// Starts the model on a free port of `address`; returns the base URL of the API for its mode `work`.
pub fn start(session: &mut Session<'_>, paths: &Paths, folder: &Path, logs: &Path, address: IpAddr) -> Result<String> {
    let ready = folder.join("model.ready");
    let command = clean(Cmd::new(paths.programs.join("moorline-scripted-model")))
        .arg("--listen")
        .arg(SocketAddr::new(address, 0).to_string())
        .arg("--ready-file")
        .arg(&ready);
    let said = session.start("scripted model", command, &logs.join("scripted-model.log"), START, || {
        fs::read_to_string(&ready).ok()
    })?;
    Ok(format!("http://{}/work/v1", listening(&said)?))
}

/// The address in the ready file.
fn listening(said: &str) -> Result<SocketAddr> {
    said.trim()
        .parse()
        .with_context(|| format!("the scripted model says that it listens on {said:?}"))
}
