//! What the tests share.

pub mod app;
pub mod artifact;
pub mod dutiful;
pub mod fleet;
pub mod gate;
pub mod http;
pub mod left;
pub mod process;
pub mod promise;
pub mod scripted_worker;

pub use app::TestApp;
pub use dutiful::Dutiful;
pub use fleet::Fleet;
pub use gate::Gate;
pub use process::Process;
pub use scripted_worker::ScriptedWorker;

use std::{fs::File, time::Duration};

use tonic::Status;
use tonic_types::StatusExt as _;

/// Held by tests whose containers are on networks of docker-compose, and by those that join or leave a swarm: a node that leaves a swarm takes
/// attachable networks from their containers, as all are that docker-compose 1.29 makes. It holds for all test processes of this user.
pub async fn networks() -> File {
    let path = std::env::temp_dir().join(format!("moorline-test-networks-{}.lock", rustix::process::geteuid().as_raw()));
    let locking = tokio::task::spawn_blocking(move || {
        let file = File::options().create(true).truncate(false).write(true).open(path)?;
        file.lock()?;
        Ok::<_, std::io::Error>(file)
    });
    locking.await.expect("no panic").expect("a lock")
}

/// A program that a test needs: the one that a variable names, else the one on `PATH`. `cargo xtask test` installs it and sets the variable.
pub fn program(variable: &str, default: &str) -> String {
    std::env::var(variable)
        .ok()
        .filter(|path| !path.is_empty())
        .unwrap_or_else(|| default.to_owned())
}

/// `code reason`, the two things that programs tell errors apart by, such as `NotFound RUN_NOT_FOUND`.
pub fn kind(status: &Status) -> String {
    let reason = status.get_details_error_info().map(|info| info.reason).unwrap_or_default();
    format!("{:?} {reason}", status.code())
}

/// A fact from an error's metadata.
pub fn fact(status: &Status, name: &str) -> String {
    status
        .get_details_error_info()
        .and_then(|info| info.metadata.get(name).cloned())
        .unwrap_or_default()
}

/// Looks until there is something to see, which there must be within a time that is long on a busy machine.
pub async fn eventually<T>(what: &str, look: impl AsyncFnMut() -> Option<T>) -> T {
    const PATIENCE: Duration = Duration::from_secs(30);
    within(PATIENCE, what, look).await
}

/// The same with patience for what takes its time: real agents, one after the other.
pub async fn within<T>(patience: Duration, what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    const LOOK: Duration = Duration::from_millis(20);
    let looking = async {
        loop {
            if let Some(seen) = look().await {
                return seen;
            }
            tokio::time::sleep(LOOK).await;
        }
    };
    tokio::time::timeout(patience, looking)
        .await
        .unwrap_or_else(|_| panic!("never came: {what}"))
}
