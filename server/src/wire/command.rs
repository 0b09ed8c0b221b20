//! Commands to workers, and their answers.

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use moorline_proto::v1::{self, command, command_progress, command_result};
use uuid::Uuid;

use super::{document, id, job, preflight};
use crate::domain::{
    self,
    command::{Answer, Order, Step},
};

/// A command as a frame; `None` for what servers ask of each other.
pub fn frame(command_id: Uuid, order: &Order) -> Option<v1::Command> {
    let command = match order {
        Order::CheckVolume { volume, probe, .. } => command::Command::CheckVolume(v1::CheckVolumeCommand {
            volume: volume.clone(),
            probe: *probe,
        }),
        Order::LoginVolume { volume, sealed_api_key } => command::Command::LoginVolume(v1::LoginVolumeCommand {
            volume: volume.clone(),
            method: Some(login_method(sealed_api_key.as_deref())),
        }),
        Order::LogoutVolume { volume } => command::Command::LogoutVolume(v1::LogoutVolumeCommand { volume: volume.clone() }),
        Order::CleanVolume { volume } => command::Command::CleanVolume(v1::CleanVolumeCommand { volume: volume.clone() }),
        Order::Stop { command_id } => command::Command::Stop(v1::StopCommand {
            command_id: command_id.to_string(),
        }),
        Order::Drain { reason } => command::Command::Drain(v1::DrainCommand { reason: reason.clone() }),
        Order::Probe | Order::Replace => return None,
    };
    Some(v1::Command {
        command_id: command_id.to_string(),
        command: Some(command),
    })
}

fn login_method(sealed_api_key: Option<&str>) -> v1::login_volume_command::Method {
    use v1::login_volume_command::Method;
    match sealed_api_key {
        Some(key) => Method::ApiKey(v1::SealedApiKey {
            // What isn't base64 was not sealed by a server, and no worker can open it.
            sealed: BASE64.decode(key).unwrap_or_default().into(),
        }),
        None => Method::Device(v1::DeviceLogin {}),
    }
}

/// A worker's answer out of its frame, and the command that it answers.
///
/// # Errors
///
/// `INVALID_ID`, `INVALID_RESULT`.
pub fn answer(wire: v1::CommandResult) -> Result<(Uuid, Answer), domain::Error> {
    let answer = match wire.result {
        Some(command_result::Result::VolumeChecked(checked)) => {
            let capacity = checked.capacity;
            Answer::Checked {
                check: preflight::check(checked.preflight.unwrap_or_default()).normalised(),
                seen: checked.diagnostics.map(|seen| document::seen(seen, Some(capacity))),
            }
        }
        Some(command_result::Result::VolumeCleaned(cleaned)) => Answer::Cleaned {
            freed_bytes: cleaned.freed_bytes,
            volume: cleaned.diagnostics.as_ref().map(|seen| seen.volume.clone()).unwrap_or_default(),
            seen: cleaned.diagnostics.map(|seen| document::seen(seen, None)),
        },
        Some(command_result::Result::Failure(failure)) => Answer::Failed(job::failure_of(failure)),
        Some(command_result::Result::DrainBegun(begun)) => Answer::Drains { running: begun.running },
        None => {
            let message = "the answer to a command needs a result: update the worker";
            return Err(domain::Error::invalid("command_result", "INVALID_RESULT", message));
        }
    };
    Ok((id("command_id", &wire.command_id)?, answer))
}

/// A step out of its frame, and the command that it belongs to; `None` for a step of a newer worker.
///
/// # Errors
///
/// `INVALID_ID`.
pub fn step(wire: v1::CommandProgress) -> Result<Option<(Uuid, Step)>, domain::Error> {
    let command_id = id("command_id", &wire.command_id)?;
    let step = match wire.progress {
        Some(command_progress::Progress::DeviceCode(code)) => Step::DeviceCode {
            verification_url: code.verification_url,
            user_code: code.user_code,
            expires_in: code.expires_in.and_then(|left| left.try_into().ok()).unwrap_or_default(),
        },
        Some(command_progress::Progress::LoginStored(_)) => Step::LoginStored,
        None => return Ok(None),
    };
    Ok(Some((command_id, step)))
}
