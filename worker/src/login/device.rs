//! By a code that a person enters in a browser, while the CLI waits.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, MissedTickBehavior, timeout};
use tokio_util::sync::CancellationToken;

use super::{Error, SAID, aside, output::Output, place};
use crate::{
    agent::{self, Agent, DeviceCode, DeviceRefusal},
    config::Config,
    engine::{Container, Engine, Exit},
    redact::Redactor,
    stage::{STOP_GRACE, end},
    volume::guard::{self, Kind},
};

/// Longest time of such a login. A code lasts for 15 minutes.
pub const LONGEST: Duration = Duration::from_secs(16 * 60);

/// How often the output is looked at.
const LOOK: Duration = Duration::from_millis(100);

/// How long an engine may take to stop a login's container.
const ENDING: Duration = STOP_GRACE.saturating_add(Duration::from_secs(20));

/// What may be the matter with a login that the issuer doesn't begin.
const HINT: &str = ". Device login must be allowed in the account's security settings, or by the workspace's administrator; an API key works \
                    without it";

/// Logs an existing volume in, and says `tell` the page and the code as soon as they are known. When `stop` is cancelled the login is broken
/// off. A login that comes to nothing leaves the old one as it was.
pub async fn by_device_code(
    engine: &Arc<dyn Engine>,
    config: &Config,
    volume: &str,
    generation: i64,
    tell: impl Fn(DeviceCode),
    stop: &CancellationToken,
) -> Result<(), Error> {
    let agent = agent::of_worker(config);
    let agent = agent.as_ref();
    let command = agent.device_command().ok_or_else(|| Error::NoDevice {
        volume: volume.to_owned(),
        agent: agent.name(),
    })?;
    let place = place(engine.as_ref(), agent, volume).await?;
    let output = Output::create(config).map_err(|(folder, source)| Error::Folder {
        folder: folder.display().to_string(),
        source,
    })?;
    let argv = aside(&place, agent, command);
    let mut spec = place.command(config, agent, Kind::Login, generation, argv);
    spec.network.clone_from(&config.job_network);
    spec.limits.time = LONGEST;
    spec.run_dir = Some(output.folder().to_owned());
    spec.stdout = Some(output.stdout());
    spec.stderr = Some(output.stderr());
    let login = Login {
        container: Some(engine.start(&spec).await?),
        engine: engine.clone(),
    };
    let told = follow(agent, &output, tell);
    let exit = login.attend(volume, told, stop).await?;
    let stderr = output.read(&output.stderr());
    if let Some(refusal) = guard::refusal(volume, exit, &stderr) {
        return Err(refusal.into());
    }
    ended(agent, volume, exit, &stderr)
}

/// Reads what the CLI prints until page and code are there.
async fn follow(agent: &dyn Agent, output: &Output, tell: impl Fn(DeviceCode)) {
    let mut look = tokio::time::interval_at(Instant::now() + LOOK, LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        look.tick().await;
        if let Some(code) = agent.device_code(&output.read(&output.stdout())) {
            tell(code);
            return;
        }
    }
}

fn ended(agent: &dyn Agent, volume: &str, exit: Exit, stderr: &str) -> Result<(), Error> {
    let volume = volume.to_owned();
    let said = || Redactor::default().line(error(stderr), SAID);
    match (exit, agent.device_refusal(stderr)) {
        (Exit::Code(0), _) => Ok(()),
        (Exit::TimedOut, _) | (Exit::Code(_), DeviceRefusal::Expired) => Err(Error::Expired { volume }),
        (Exit::Code(_), DeviceRefusal::Denied) => Err(Error::Denied { volume, said: said() }),
        _ => Err(Error::Refused {
            volume,
            exit,
            said: said(),
            hint: HINT,
        }),
    }
}

/// The line that tells of the error, among warnings.
fn error(stderr: &str) -> &str {
    let lines = || stderr.lines().map(str::trim).filter(|line| !line.is_empty());
    let error = lines().find(|line| line.starts_with("Error"));
    error.or_else(|| lines().next_back()).unwrap_or("it gave no reason")
}

/// A login's container, which doesn't outlive the login.
struct Login {
    engine: Arc<dyn Engine>,
    container: Option<Container>,
}

impl Login {
    async fn attend(mut self, volume: &str, told: impl Future<Output = ()>, stop: &CancellationToken) -> Result<Exit, Error> {
        let stopped = || Error::Stopped { volume: volume.to_owned() };
        let container = self.container.clone().ok_or_else(stopped)?;
        let waiting = async {
            let exit = self.engine.wait(&container);
            tokio::pin!(exit, told);
            tokio::select! {
                exit = &mut exit => exit,
                () = &mut told => exit.await,
            }
        };
        let exit = tokio::select! {
            biased;
            exit = waiting => Some(exit),
            () = stop.cancelled() => None,
        };
        let ended = match &exit {
            Some(exit) => exit.is_ok(),
            None => matches!(timeout(ENDING, self.engine.stop(&container, STOP_GRACE)).await, Ok(Ok(()))),
        };
        let gone = end(self.engine.as_ref(), &container, STOP_GRACE).await;
        self.container = None;
        match exit {
            _ if !ended && !gone => Err(Error::StillRunning { container: container.id }),
            Some(exit) => Ok(exit?),
            None => Err(stopped()),
        }
    }
}

impl Drop for Login {
    fn drop(&mut self) {
        if let (Some(container), Ok(runtime)) = (self.container.take(), tokio::runtime::Handle::try_current()) {
            let engine = self.engine.clone();
            runtime.spawn(async move { end(engine.as_ref(), &container, Duration::ZERO).await });
        }
    }
}
