//! What a server may ask of the volume, apart from jobs. Each of these has the volume alone.

use moorline_proto::v1::{
    self, Failure, FailureClass, LoginVolumeCommand, SealedApiKey, VolumeChecked, VolumeCleaned, command::Command as Ask,
    command_result::Result as Answer, login_volume_command::Method,
};
use tokio_util::sync::CancellationToken;

use super::{Alone, Holding, InUse};
use crate::{agent::DeviceCode, login, redact::chain, sealing::SealingKey, stage::failure, volume::steward};

/// A step of a login that people are told of.
#[derive(Debug, Clone)]
pub enum Step {
    /// A person must enter the code.
    Code(DeviceCode),
    /// The login is stored.
    Stored,
}

/// How a command is carried out.
#[derive(Debug, Clone)]
pub struct Way<F> {
    /// Is told of each step.
    pub tell: F,
    /// Cancelled when the command is to stop.
    pub stop: CancellationToken,
}

impl Holding {
    /// Does what the command asks; `None` for one that is not about a volume. Logins that are told to stop do so, and what is over in a minute
    /// goes on to its end.
    pub async fn carry_out<F: Fn(Step)>(&self, ask: &Ask, sealing_key: &SealingKey, way: Way<F>) -> Option<Answer> {
        let volume = match ask {
            Ask::CheckVolume(ask) => &ask.volume,
            Ask::LoginVolume(ask) => &ask.volume,
            Ask::LogoutVolume(ask) => &ask.volume,
            Ask::CleanVolume(ask) => &ask.volume,
            Ask::Drain(_) | Ask::Stop(_) => return None,
        };
        if volume != self.volume() {
            return Some(Answer::Failure(not_held(&self.config().name, volume)));
        }
        let done = match ask {
            Ask::CheckVolume(ask) => self.check_on_command(ask.probe).await,
            Ask::LoginVolume(ask) => self.log_in(ask, sealing_key, way).await,
            Ask::LogoutVolume(_) => self.log_out().await,
            Ask::CleanVolume(_) => self.clean_up().await,
            Ask::Drain(_) | Ask::Stop(_) => return None,
        };
        Some(done.unwrap_or_else(Answer::Failure))
    }

    async fn had(&self, what: &'static str) -> Result<Alone, Failure> {
        self.alone(what).await.map_err(|error| self.in_use(&error))
    }

    fn in_use(&self, error: &InUse) -> Failure {
        let message = format!("the volume {} is in use: {error}", self.volume());
        let mut failure = failure("VOLUME_IN_USE", FailureClass::Environment, message);
        if let InUse::Agent { job_id } = error {
            failure.details.insert("job_id".to_owned(), job_id.clone());
        }
        failure
    }

    async fn check_on_command(&self, probe: bool) -> Result<Answer, Failure> {
        let _alone = self.had("a check of its login").await?;
        self.checked(probe).await
    }

    /// The check that a command ends with, while it still has the volume alone.
    async fn checked(&self, probe: bool) -> Result<Answer, Failure> {
        let checked = self.check(self.generation(), probe).await;
        if let Some(blocked) = checked.blocked {
            return Err(blocked);
        }
        Ok(Answer::VolumeChecked(VolumeChecked {
            preflight: Some(checked.preflight),
            diagnostics: Some(checked.diagnostics),
            capacity: self.capacity_told(),
        }))
    }

    async fn log_in<F: Fn(Step)>(&self, ask: &LoginVolumeCommand, sealing_key: &SealingKey, way: Way<F>) -> Result<Answer, Failure> {
        let stopped = || login::Error::Stopped {
            volume: self.volume().to_owned(),
        };
        let alone = tokio::select! {
            biased;
            () = way.stop.cancelled() => return Err(stopped().failure()),
            alone = self.had("a login") => alone?,
        };
        tracing::info!(volume = self.volume(), "a login begins");
        if let Err(error) = self.store(ask, sealing_key, &way).await {
            crate::metrics::LOGINS.count([self.volume().to_owned().into(), "failed".into()]);
            tracing::warn!(volume = self.volume(), error = %chain(&error), "the login came to nothing");
            return Err(error.failure());
        }
        crate::metrics::LOGINS.count([self.volume().to_owned().into(), "stored".into()]);
        tracing::info!(volume = self.volume(), "a login is stored");
        (way.tell)(Step::Stored);
        let answer = self.checked(false).await;
        drop(alone);
        answer
    }

    async fn store<F: Fn(Step)>(&self, ask: &LoginVolumeCommand, sealing_key: &SealingKey, way: &Way<F>) -> Result<(), login::Error> {
        let (engine, config) = (self.engine(), self.config());
        let (volume, generation) = (self.volume(), self.generation());
        engine.create_volume(volume, &config.job_user).await?;
        match &ask.method {
            Some(Method::ApiKey(SealedApiKey { sealed })) => {
                let key = sealing_key.unseal(sealed)?;
                login::store_api_key(engine.as_ref(), config, volume, &key, generation).await
            }
            Some(Method::Device(_)) | None => {
                let tell = |code| (way.tell)(Step::Code(code));
                login::by_device_code(engine, config, volume, generation, tell, &way.stop).await
            }
        }
    }

    async fn log_out(&self) -> Result<Answer, Failure> {
        let alone = self.had("a logout").await?;
        let done = login::log_out(self.engine().as_ref(), self.config(), self.volume(), self.generation()).await;
        done.map_err(|error| error.failure())?;
        tracing::info!(volume = self.volume(), "the volume is logged out");
        let answer = self.checked(false).await;
        drop(alone);
        answer
    }

    async fn clean_up(&self) -> Result<Answer, Failure> {
        let alone = self.had("a clean-up").await?;
        let (engine, generation) = (self.engine().as_ref(), self.generation());
        let cleaned = steward::clean(engine, self.agent(), self.config(), self.volume(), generation).await;
        drop(alone);
        let (freed_bytes, diagnostics) = cleaned.map_err(|error| {
            let code = login::code(&error).unwrap_or("CLEAN_FAILED");
            failure(code, FailureClass::Environment, chain(&error))
        })?;
        Ok(Answer::VolumeCleaned(VolumeCleaned {
            freed_bytes,
            diagnostics: Some(self.note_cleaned(diagnostics)),
        }))
    }
}

/// The answer of a worker to a command about a volume that is not its own.
pub(crate) fn not_held(worker: &str, volume: &str) -> v1::Failure {
    let message = format!("the worker {worker} doesn't hold the volume {volume}: ask the worker that does");
    failure("VOLUME_NOT_HELD", FailureClass::Environment, message)
}
