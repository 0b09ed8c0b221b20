//! `moorline run logs`: the output of a run's jobs.

use std::collections::HashMap;

use moorline_proto::v1::{self, run_service_client::RunServiceClient};
use serde::Serialize;
use tonic::{Status, Streaming, transport::Channel};

use crate::{
    args::{Global, one_of},
    client,
    console::{Console, Format},
    error::Error,
    exit::Exit,
    names,
    resume::{self, Reconnect, Resumable},
    run::watch::is_terminal,
};

/// Print the output of a run's jobs.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Id of the run.
    run_id: String,
    /// Only the output of this stage.
    #[arg(long, value_parser = one_of::<v1::Stage, 3>(["discover", "submit", "publish"]))]
    stage: Option<v1::Stage>,
    /// Go on until the run has ended.
    #[arg(long)]
    follow: bool,
    #[command(flatten)]
    reconnect: Reconnect,
}

/// Prints output as it is; under `--output json` one line per piece.
pub async fn execute(args: &Args, global: &Global, console: &mut Console<'_>) -> Result<Exit, Error> {
    let mut logs = Logs {
        runs: client::runs(global)?,
        args,
        seen: HashMap::new(),
        speaker: String::new(),
        console,
    };
    resume::read(&mut logs, args.reconnect.reconnect_for).await?;
    Ok(Exit::Ok)
}

/// The output being read.
struct Logs<'a, 'c> {
    runs: RunServiceClient<Channel>,
    args: &'a Args,
    /// By job, how many bytes of its output were printed: a stream that is opened again begins at the start.
    seen: HashMap<String, i64>,
    /// The job that spoke last.
    speaker: String,
    console: &'a mut Console<'c>,
}

/// A piece of output. Pieces are cut anywhere; what isn't UTF-8 is replaced.
#[derive(Debug, Serialize)]
struct Piece<'a> {
    job_id: &'a str,
    stage: Option<String>,
    attempt: i32,
    offset: i64,
    content: &'a str,
}

impl Resumable for Logs<'_, '_> {
    type Item = v1::StreamRunLogsResponse;

    async fn open(&mut self) -> Result<Streaming<Self::Item>, Status> {
        let stage = self.args.stage.unwrap_or_default().into();
        let request = v1::StreamRunLogsRequest {
            run_id: self.args.run_id.clone(),
            stage,
            follow: self.args.follow,
        };
        Ok(self.runs.stream_run_logs(request).await?.into_inner())
    }

    fn take(&mut self, piece: Self::Item) -> Result<(), Error> {
        let seen = self.seen.entry(piece.job_id.clone()).or_default();
        let known = usize::try_from(*seen - piece.offset).unwrap_or_default();
        let Some(content) = piece.content.get(known..).filter(|content| !content.is_empty()) else {
            return Ok(());
        };
        let offset = piece.offset + i64::try_from(known).unwrap_or_default();
        *seen = offset + i64::try_from(content.len()).unwrap_or_default();

        let stage = names::of::<v1::Stage>(piece.stage);
        if self.console.format == Format::Json {
            let content = &String::from_utf8_lossy(content);
            return self.console.json_line(&Piece {
                job_id: &piece.job_id,
                stage,
                attempt: piece.attempt,
                offset,
                content,
            });
        }
        if self.speaker != piece.job_id {
            self.console
                .note(format!("== {}, attempt {}", stage.unwrap_or_default(), piece.attempt))?;
            self.speaker = piece.job_id;
        }
        self.console.out.write_all(content)?;
        Ok(self.console.out.flush()?)
    }

    /// Followed output ends with its run. A server that goes away may end the stream before.
    async fn is_complete(&mut self) -> Result<bool, Status> {
        if !self.args.follow {
            return Ok(true);
        }
        let request = v1::GetRunRequest {
            run_id: self.args.run_id.clone(),
        };
        let run = self.runs.get_run(request).await?.into_inner().run;
        Ok(run.is_some_and(|run| is_terminal(run.status())))
    }

    fn lost(&mut self, why: &str) -> Result<(), Error> {
        self.console.note(format!("connection lost ({why}), trying again"))
    }
}
