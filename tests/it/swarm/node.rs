//! This machine as the only node of a swarm.

use std::{
    path::Path,
    process::{Command, Output, Stdio},
    time::Duration,
};

use tokio::io::AsyncWriteExt as _;

use super::stack;
use crate::hosts::sweep;

/// A label of a node whose swarm a test has made: it bears the name of the test's process.
const MADE_BY: &str = "moorline.made-by";

/// See the module. The swarm is left when this is dropped, if it was made here.
pub struct Node {
    id: String,
    ours: bool,
    /// Whether the network by which services reach the world was there before.
    had_gateway: bool,
    labels: Vec<String>,
}

impl Node {
    /// Makes a swarm, unless this machine has one.
    pub fn ensure() -> Self {
        let mut had_gateway = docker(&["network", "inspect", "docker_gwbridge"]).is_ok();
        let state =
            docker(&["info", "--format", "{{.Swarm.LocalNodeState}} {{.Swarm.ControlAvailable}}"]).expect("a Docker engine: start dockerd");
        let mut ours = state.starts_with("inactive");
        if ours {
            // Nobody from outside is to join.
            docker(&["swarm", "init", "--advertise-addr", "127.0.0.1", "--listen-addr", "127.0.0.1:2377"]).expect("a swarm");
        } else {
            assert_eq!(
                state, "active true",
                "this machine is in a swarm that it can't manage: leave it, or test elsewhere"
            );
        }
        let id = docker(&["info", "--format", "{{.Swarm.NodeID}}"]).expect("the node's id");
        let by = docker(&[
            "node",
            "inspect",
            "--format",
            &format!("{{{{index .Spec.Labels {MADE_BY:?}}}}}"),
            &id,
        ])
        .unwrap_or_default();
        if !ours && sweep::is_left(&by) {
            // Its test was killed.
            (ours, had_gateway) = (true, false);
            docker(&["stack", "ls", "--format", "{{.Name}}"])
                .unwrap_or_default()
                .lines()
                .for_each(stack::remove);
        }
        let mut node = Self {
            id,
            ours,
            had_gateway,
            labels: Vec::new(),
        };
        if ours {
            node.label(&format!("{MADE_BY}={}", sweep::prefix()));
        }
        node
    }

    /// Lets these services run here.
    pub fn takes(&mut self, services: &[&str]) {
        services.iter().for_each(|service| self.label(&format!("moorline.{service}=true")));
    }

    fn label(&mut self, label: &str) {
        let name = label.split('=').next().unwrap_or_default();
        let has = docker(&["node", "inspect", "--format", "{{json .Spec.Labels}}", &self.id]).expect("its labels");
        docker(&["node", "update", "--label-add", label, &self.id]).expect("a label");
        // One that was there is somebody else's.
        if !has.contains(&format!("{name:?}:")) {
            self.labels.push(name.to_owned());
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if !self.ours {
            for label in &self.labels {
                drop(docker(&["node", "update", "--label-rm", label, &self.id]));
            }
            return;
        }
        drop(docker(&["swarm", "leave", "--force"]));
        if !self.had_gateway {
            drop(docker(&["network", "rm", "docker_gwbridge"]));
        }
    }
}

/// The engine's own client, where another one is before it on the path.
pub fn client() -> &'static str {
    const DEBIANS: &str = "/usr/bin/docker";
    if Path::new(DEBIANS).exists() { DEBIANS } else { "docker" }
}

/// Calls the client; what it printed, or what it said when it failed.
pub fn docker(args: &[&str]) -> Result<String, String> {
    ended(Command::new(client()).args(args))
}

/// Runs a command to its end; the same.
pub fn ended(command: &mut Command) -> Result<String, String> {
    let output = command.stdin(Stdio::null()).output();
    told(&format!("{command:?}"), output.map_err(|error| format!("{command:?}: {error}"))?)
}

/// The same with something on the client's standard input, and an end after so long: a call into a container that is being stopped may have none.
pub async fn called(args: &[&str], input: &str, limit: Duration) -> Result<String, String> {
    let mut call = tokio::process::Command::new(client());
    call.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = call.kill_on_drop(true).spawn().map_err(|error| error.to_string())?;
    let mut stdin = child.stdin.take().expect("its input");
    let calling = async {
        // Whoever asks nothing closes it early.
        drop(stdin.write_all(input.as_bytes()).await);
        drop(stdin);
        child.wait_with_output().await
    };
    let output = tokio::time::timeout(limit, calling).await;
    let output = output.map_err(|_| format!("docker {args:?} has not ended within {limit:?}"))?;
    told(&format!("docker {args:?}"), output.map_err(|error| error.to_string())?)
}

fn told(call: &str, output: Output) -> Result<String, String> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    match output.status.success() {
        true => Ok(text(&output.stdout)),
        false => Err(format!("{call}: {}{}", text(&output.stdout), text(&output.stderr))),
    }
}
