//! Ctrl-C and termination: remembered, and passed on to the command that is running, so that one place does the clean-up.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

static REQUESTED: AtomicBool = AtomicBool::new(false);
static RUNNING: Mutex<Vec<u32>> = Mutex::new(Vec::new());

/// Takes over SIGINT, SIGTERM and SIGHUP.
pub fn install() -> Result<()> {
    ctrlc::set_handler(|| {
        REQUESTED.store(true, Ordering::SeqCst);
        for id in RUNNING.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            if let Some(pid) = i32::try_from(*id).ok().and_then(Pid::from_raw) {
                // It may have ended a moment ago, which is what was wanted.
                let _ = kill_process(pid, Signal::TERM);
            }
        }
    })
    .context("could not take over Ctrl-C")
}

/// Whether somebody asked to stop.
pub fn requested() -> bool {
    REQUESTED.load(Ordering::SeqCst)
}

/// Fails when somebody asked to stop.
pub fn check() -> Result<()> {
    if requested() {
        bail!("interrupted");
    }
    Ok(())
}

/// A command that is told when somebody asks to stop, for as long as this lives.
#[derive(Debug)]
pub struct Told(u32);

/// Has a command told when somebody asks to stop.
pub fn tell(id: u32) -> Told {
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner).push(id);
    Told(id)
}

impl Drop for Told {
    fn drop(&mut self) {
        RUNNING.lock().unwrap_or_else(PoisonError::into_inner).retain(|id| *id != self.0);
    }
}
