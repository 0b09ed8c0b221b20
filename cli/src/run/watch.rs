//! `moorline run watch`: the events of a run, until it ends.

use moorline_proto::v1::{self, RunStatus, run_event::Event as Kind, run_service_client::RunServiceClient};
use tonic::{Status, Streaming, transport::Channel};

use crate::{
    args::Global,
    client,
    console::{Console, Format},
    error::Error,
    exit::{self, Exit},
    resume::{self, Reconnect, Resumable},
    run::progress::Progress,
    view::{Event, RunDetail},
};

/// Follow a run until it ends.
#[derive(Debug, clap::Args)]
#[command(after_help = exit::HELP)]
pub struct Args {
    /// Id of the run.
    run_id: String,
    /// Only events after this number.
    #[arg(long, value_name = "SEQUENCE", default_value_t = 0, value_parser = clap::value_parser!(i64).range(0..))]
    after: i64,
    #[command(flatten)]
    reconnect: Reconnect,
}

/// Follows a run until it ends; the exit code says how.
pub async fn execute(args: &Args, global: &Global, console: &mut Console<'_>) -> Result<Exit, Error> {
    watch(&mut client::runs(global)?, &args.run_id, args.after, args.reconnect, console).await
}

/// Follows a run from after an event until it ends, then shows it.
pub async fn watch(
    runs: &mut RunServiceClient<Channel>,
    run_id: &str,
    after: i64,
    reconnect: Reconnect,
    console: &mut Console<'_>,
) -> Result<Exit, Error> {
    let progress = Progress::new(console);
    let mut watch = Watch {
        runs,
        run_id,
        after,
        status: RunStatus::Unspecified,
        progress,
        console,
    };
    resume::read(&mut watch, reconnect.reconnect_for).await?;
    let Watch { status, progress, .. } = watch;
    progress.finish();

    if console.format == Format::Table {
        let answer = runs.get_run(v1::GetRunRequest { run_id: run_id.to_owned() }).await?.into_inner();
        console.line("")?;
        console.show(&RunDetail::try_from(answer)?)?;
        if status == RunStatus::Failed {
            console.note(format!("\nOnce the cause is mended: moorline run retry {run_id}"))?;
        }
    }
    Ok(Exit::of_run(status))
}

/// A run being followed.
struct Watch<'a, 'c> {
    runs: &'a mut RunServiceClient<Channel>,
    run_id: &'a str,
    /// Number of the last event that was seen.
    after: i64,
    /// The run's status, as far as is known.
    status: RunStatus,
    progress: Progress,
    console: &'a mut Console<'c>,
}

impl Resumable for Watch<'_, '_> {
    type Item = v1::WatchRunResponse;

    async fn open(&mut self) -> Result<Streaming<Self::Item>, Status> {
        let request = v1::WatchRunRequest {
            run_id: self.run_id.to_owned(),
            after_sequence: self.after,
        };
        Ok(self.runs.watch_run(request).await?.into_inner())
    }

    fn take(&mut self, item: Self::Item) -> Result<(), Error> {
        let event = item.event.ok_or(Error::Incomplete("event"))?;
        // A server may send again what it isn't sure to have sent.
        if event.sequence <= self.after {
            return Ok(());
        }
        self.after = event.sequence;
        if let Some(Kind::RunChanged(change)) = &event.event {
            self.status = change.status();
        }
        match self.console.format {
            Format::Json => self.console.json_line(&Event::from(event)),
            Format::Table => self.progress.show(event, self.console),
        }
    }

    async fn is_complete(&mut self) -> Result<bool, Status> {
        if !is_terminal(self.status) {
            let answer = self
                .runs
                .get_run(v1::GetRunRequest {
                    run_id: self.run_id.to_owned(),
                })
                .await?
                .into_inner();
            // Nothing may be left to send: then the events so far, perhaps none, don't tell the status.
            if let Some(run) = answer.run.filter(|run| run.last_event_sequence <= self.after) {
                self.status = run.status();
            }
        }
        Ok(is_terminal(self.status))
    }

    fn lost(&mut self, why: &str) -> Result<(), Error> {
        self.progress.note(format!("connection lost ({why}), trying again"), self.console)
    }
}

/// Whether a run that has this status has ended.
pub fn is_terminal(status: RunStatus) -> bool {
    match status {
        RunStatus::Succeeded | RunStatus::Failed | RunStatus::NoWork | RunStatus::Cancelled => true,
        RunStatus::Unspecified | RunStatus::Pending | RunStatus::Running | RunStatus::Retrying => false,
    }
}
