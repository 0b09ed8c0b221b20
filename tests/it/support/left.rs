//! Removing what a test has made on the Docker engine, by the engine's own client: that needs no runtime, so that it serves in `drop` too.

use std::process::Command;

/// Volumes whose names begin so, each with the containers that have it mounted: removed when this is dropped, also after a failure.
pub struct Volumes(pub String);

impl Drop for Volumes {
    fn drop(&mut self) {
        remove_volumes(&self.0);
    }
}

/// See [`Volumes`].
pub fn remove_volumes(prefix: &str) {
    let named = docker(&["volume", "ls", "--quiet", "--filter", &format!("name={prefix}")]);
    for volume in named.iter().filter(|name| name.starts_with(prefix)) {
        remove_containers(&format!("volume={volume}"));
        docker(&["volume", "rm", volume]);
    }
}

/// Removes the containers that a filter finds, running or not.
pub fn remove_containers(filter: &str) {
    for container in docker(&["ps", "--all", "--quiet", "--filter", filter]) {
        docker(&["rm", "--force", "--volumes", &container]);
    }
}

/// What the client prints, word by word; nothing where it fails, as with what is gone already.
pub fn docker(args: &[&str]) -> Vec<String> {
    let done = Command::new("docker").args(args).output();
    let printed = done
        .map(|done| String::from_utf8_lossy(&done.stdout).into_owned())
        .unwrap_or_default();
    printed.split_whitespace().map(str::to_owned).collect()
}
