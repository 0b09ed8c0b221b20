//! Short commands.

use std::{pin::Pin, time::Duration};

use bollard::{
    container::{AttachContainerResults, LogOutput},
    errors::Error as DockerError,
    query_parameters::AttachContainerOptionsBuilder,
};
use futures::{Stream, StreamExt};
use secrecy::{ExposeSecret, SecretString};
use tokio::{
    io::{AsyncWrite, AsyncWriteExt},
    time::timeout,
};

use super::{DockerEngine, spec, temporary::Temporary};
use crate::engine::{CAPTURE_LIMIT, Captured, ContainerSpec, Error, Exit, limit};

/// What the engine may need beyond the command's own limit, its SIGKILL after ten seconds included.
const SLACK: Duration = Duration::from_secs(30);

impl DockerEngine {
    /// Runs a command in a container that is gone afterwards, even if the caller goes away meanwhile.
    pub(super) async fn run_short(&self, spec: &ContainerSpec, input: Option<&SecretString>) -> Result<Captured, Error> {
        let container = Temporary::create(self, &spec.name, spec::short(spec, self.user, &self.policy, input.is_some())).await?;
        let captured = timeout(spec.limits.time + SLACK, self.attend(container.id(), spec, input)).await;
        container.remove().await;
        let captured = captured.unwrap_or_else(|_| Ok(overdue()))?;
        match limit::missing_program(&spec.argv, captured.exit, &captured.stderr) {
            Some(program) => Err(Error::ProgramMissing { program }),
            None => Ok(captured),
        }
    }

    async fn attend(&self, id: &str, spec: &ContainerSpec, input: Option<&SecretString>) -> Result<Captured, Error> {
        let options = AttachContainerOptionsBuilder::new()
            .stream(true)
            .stdin(input.is_some())
            .stdout(true)
            .stderr(true)
            .build();
        // Attached before the start, so that nothing is missed: there is no log to read it from.
        let attached = self.docker.attach_container(id, Some(options)).await;
        let AttachContainerResults { output, input: writer } = attached.map_err(|source| self.error("attach to a container", source))?;
        if let Err(source) = self.docker.start_container(id, None).await {
            return Err(self.not_started(spec, source).await);
        }
        let (stdout_stderr, ()) = tokio::join!(read(output), write(writer, input));
        let (stdout, stderr) = stdout_stderr.map_err(|source| self.error("read a container's output", source))?;
        Ok(Captured {
            exit: self.wait_for(id).await?,
            stdout: String::from_utf8_lossy(&stdout).into_owned(),
            stderr: String::from_utf8_lossy(&stderr).into_owned(),
        })
    }
}

fn overdue() -> Captured {
    Captured {
        exit: Exit::TimedOut,
        stdout: String::new(),
        stderr: String::new(),
    }
}

async fn write(mut writer: Pin<Box<dyn AsyncWrite + Send>>, input: Option<&SecretString>) {
    // A program that ends without reading its input breaks the pipe; its exit says what there is to say.
    if let Some(input) = input {
        let _ = writer.write_all(input.expose_secret().as_bytes()).await;
    }
    let _ = writer.shutdown().await;
}

async fn read(mut output: Pin<Box<dyn Stream<Item = Result<LogOutput, DockerError>> + Send>>) -> Result<(Vec<u8>, Vec<u8>), DockerError> {
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    while let Some(piece) = output.next().await {
        match piece? {
            LogOutput::StdErr { message } => append(&mut stderr, &message),
            piece => append(&mut stdout, &piece.into_bytes()),
        }
    }
    Ok((stdout, stderr))
}

/// What goes beyond the limit is read and dropped, so that the program isn't blocked.
fn append(to: &mut Vec<u8>, piece: &[u8]) {
    let room = CAPTURE_LIMIT.saturating_sub(to.len());
    to.extend_from_slice(&piece[..room.min(piece.len())]);
}
