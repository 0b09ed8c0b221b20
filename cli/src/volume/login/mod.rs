//! `moorline volume login`: by device code, or by an API key.

mod countdown;
mod key;
mod screen;

use moorline_proto::v1::{self, LoginMethod, LoginState};
use tokio::time::Instant;
use tonic::Streaming;

use self::countdown::Countdown;
use crate::{
    args::Global,
    client,
    console::{Console, Format},
    error::Error,
    exit::{self, Exit},
    view::{Checked, LoginStep, Preflight, Volume},
};

/// Log a volume in, or renew its login, on the worker that holds it.
#[derive(Debug, clap::Args)]
#[command(after_help = exit::HELP)]
pub struct Args {
    /// Its name, such as codex_auth_0.
    volume: String,
    /// Log in with an API key, read from standard input; it is not shown when that is a terminal.
    #[arg(long)]
    api_key_stdin: bool,
    #[command(flatten)]
    misplaced: key::Misplaced,
}

/// Logs a volume in; the exit code says how good the new login is.
pub async fn execute(args: &Args, global: &Global, console: &mut Console<'_>) -> Result<Exit, Error> {
    args.misplaced.refuse(&args.volume)?;
    let request = request(args, console)?;
    tokio::select! {
        done = log_in(request, global, console) => return done,
        _ = tokio::signal::ctrl_c() => {}
    }
    // What was being done is dropped by now, and with it the stream: the server stops the login on the worker.
    console.note("\nStopped. The worker gives the login up; what was stored before stays.")?;
    Ok(Exit::Stopped)
}

fn request(args: &Args, console: &mut Console<'_>) -> Result<v1::LoginVolumeRequest, Error> {
    let mut request = v1::LoginVolumeRequest {
        volume: args.volume.clone(),
        ..Default::default()
    };
    if args.api_key_stdin {
        request.method = LoginMethod::ApiKey.into();
        request.api_key = key::read(&args.volume)?;
    } else {
        request.method = LoginMethod::Device.into();
        console.note(screen::warning(&args.volume))?;
    }
    Ok(request)
}

async fn log_in(request: v1::LoginVolumeRequest, global: &Global, console: &mut Console<'_>) -> Result<Exit, Error> {
    let mut steps = client::shards(global)?.login_volume(request).await?.into_inner();
    let mut countdown = None;
    while let Some(step) = next(&mut steps, &mut countdown, console).await? {
        let state = step.state();
        if state != LoginState::WaitingForUser {
            // Its line goes before another is written.
            countdown = None;
        }
        match console.format {
            Format::Json => console.json_line(&LoginStep::from(step.clone()))?,
            Format::Table => tell(&step, console)?,
        }
        match state {
            LoginState::WaitingForUser => countdown = Some(Countdown::new(&step, console)),
            LoginState::Done => return finish(step, console),
            LoginState::Unspecified | LoginState::Starting | LoginState::Checking => {}
        }
    }
    Err(Error::Incomplete("end of the login"))
}

/// The next step; the countdown goes on until it comes.
async fn next(
    steps: &mut Streaming<v1::LoginVolumeResponse>,
    countdown: &mut Option<Countdown>,
    console: &mut Console<'_>,
) -> Result<Option<v1::LoginVolumeResponse>, Error> {
    loop {
        let Some(clock) = countdown else {
            return Ok(steps.message().await?);
        };
        tokio::select! {
            step = steps.message() => return Ok(step?),
            () = tokio::time::sleep_until(clock.next_tick()) => clock.tick(Instant::now(), console)?,
        }
    }
}

fn tell(step: &v1::LoginVolumeResponse, console: &mut Console<'_>) -> Result<(), Error> {
    match step.state() {
        LoginState::Starting => console.note("The worker begins the login."),
        LoginState::WaitingForUser => {
            let text = screen::text(&step.verification_url, &step.user_code, console.color());
            console.line(text)
        }
        LoginState::Checking => console.note("The login is stored. It is being checked."),
        LoginState::Done | LoginState::Unspecified => Ok(()),
    }
}

fn finish(step: v1::LoginVolumeResponse, console: &mut Console<'_>) -> Result<Exit, Error> {
    let checked = Checked {
        preflight: step.preflight.map(Preflight::from).ok_or(Error::Incomplete("login check"))?,
        volume: step.volume.map(Volume::from),
    };
    let exit = checked.preflight.exit();
    // For programs the last step has said all of this.
    if console.format == Format::Table {
        console.line("")?;
        console.show(&checked)?;
    }
    Ok(exit)
}
