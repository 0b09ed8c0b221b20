//! Commands to workers, and their answers.

use moorline_proto::v1::{self, command, command_result};
use uuid::Uuid;

use super::{id, job, preflight};
use crate::domain::{
    self,
    command::{Answer, Order},
};

/// A command as a frame; `None` for what servers ask of each other.
pub fn frame(command_id: Uuid, order: &Order) -> Option<v1::Command> {
    let command = match order {
        Order::CheckVolume { volume } => command::Command::CheckVolume(v1::CheckVolumeCommand { volume: volume.clone() }),
        Order::Drain { reason } => command::Command::Drain(v1::DrainCommand { reason: reason.clone() }),
        Order::Probe | Order::Replace => return None,
    };
    Some(v1::Command {
        command_id: command_id.to_string(),
        command: Some(command),
    })
}

/// A worker's answer out of its frame, and the command that it answers.
///
/// # Errors
///
/// `INVALID_ID`, `INVALID_RESULT`.
pub fn answer(wire: v1::CommandResult) -> Result<(Uuid, Answer), domain::Error> {
    let answer = match wire.result {
        Some(command_result::Result::Preflight(check)) => Answer::Checked(preflight::check(check).normalised()),
        Some(command_result::Result::Failure(failure)) => Answer::Failed(job::failure_of(failure)),
        Some(command_result::Result::DrainBegun(begun)) => Answer::Drains { running: begun.running },
        None => {
            let message = "the answer to a command needs a result: update the worker";
            return Err(domain::Error::invalid("command_result", "INVALID_RESULT", message));
        }
    };
    Ok((id("command_id", &wire.command_id)?, answer))
}
