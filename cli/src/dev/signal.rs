//! The user's wish to stop.

use std::io;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// What a shell reports of a program that Ctrl-C has ended.
const INTERRUPTED: i32 = 130;

/// What Ctrl-C or SIGTERM has asked for so far.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    /// To stop, after jobs had their time to finish.
    pub once: CancellationToken,
    /// To stop jobs too.
    pub again: CancellationToken,
}

impl Asked {
    /// Listens from now on. The third signal ends the process as it is.
    pub fn listen() -> io::Result<Self> {
        let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        let asked = Self::default();
        let told = asked.clone();
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
                told.hear();
            }
        });
        Ok(asked)
    }

    fn hear(&self) {
        match (self.once.is_cancelled(), self.again.is_cancelled()) {
            (false, _) => self.once.cancel(),
            (true, false) => self.again.cancel(),
            (true, true) => std::process::exit(INTERRUPTED),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_signal_drains_and_the_second_stops_jobs() {
        let asked = Asked::default();
        asked.hear();
        assert!(asked.once.is_cancelled() && !asked.again.is_cancelled());
        asked.hear();
        assert!(asked.again.is_cancelled());
    }
}
