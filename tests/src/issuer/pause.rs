//! A refresh that is stopped half-way, so that a test can kill whoever asked for it.

use std::time::Duration;

use tokio::{sync::oneshot, time::timeout};

/// Longest wait for a refresh that a test has prepared.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where a refresh can be stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Point {
    /// It was asked for, and nothing is decided: the old token still counts.
    Asked,
    /// The old token is used up, and the answer hasn't left.
    Decided,
    /// The answer is on its way. Nothing is held here, only told.
    Sent,
}

/// A refresh that will be stopped, or is. Dropped, it lets the refresh go on; one that only was asked for is answered 503 instead.
#[derive(Debug)]
pub struct Pause {
    reached: oneshot::Receiver<()>,
    go: oneshot::Sender<()>,
}

/// The issuer's end.
#[derive(Debug)]
pub(super) struct Brake {
    pub(super) point: Point,
    reached: oneshot::Sender<()>,
    go: oneshot::Receiver<()>,
}

pub(super) fn pause(point: Point) -> (Pause, Brake) {
    let ((reaches, reached), (go, goes)) = (oneshot::channel(), oneshot::channel());
    let brake = Brake {
        point,
        reached: reaches,
        go: goes,
    };
    (Pause { reached, go }, brake)
}

impl Pause {
    /// Waits until a refresh has come so far.
    ///
    /// # Errors
    ///
    /// When none has for a minute.
    pub async fn reached(&mut self) -> anyhow::Result<()> {
        let reached = timeout(PATIENCE, &mut self.reached).await;
        anyhow::ensure!(matches!(reached, Ok(Ok(()))), "no refresh came that could be stopped");
        Ok(())
    }

    /// Lets the refresh go on as if nothing had been.
    pub fn go_on(self) {
        // Whoever asked may be gone.
        let _ = self.go.send(());
    }
}

impl Brake {
    /// Says that the refresh is here, and waits. Whether it is to go on.
    pub(super) async fn hold(self) -> bool {
        let _ = self.reached.send(());
        self.go.await.is_ok()
    }

    /// Says that the refresh is here.
    pub(super) fn tell(self) {
        let _ = self.reached.send(());
    }
}
