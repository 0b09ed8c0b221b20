//! The workers of this process.

use std::{future, time::Duration};

use anyhow::anyhow;
use moorline_worker::{
    config::Config,
    run::{self, run_with},
};
use tokio::{sync::watch, task::JoinSet};
use tokio_util::sync::CancellationToken;

use crate::error::Error;

/// Workers, each a task.
pub struct Workers {
    names: Vec<String>,
    welcomed: Vec<watch::Receiver<bool>>,
    tasks: JoinSet<(String, Result<(), run::Error>)>,
    drain: CancellationToken,
}

impl Workers {
    /// Starts a worker for each of the settings.
    pub fn start(configs: Vec<Config>) -> Self {
        let drain = CancellationToken::new();
        let mut workers = Self {
            names: Vec::new(),
            welcomed: Vec::new(),
            tasks: JoinSet::new(),
            drain,
        };
        for config in configs {
            let (welcome, welcomed) = watch::channel(false);
            let (name, drain) = (config.name.clone(), workers.drain.clone());
            workers.names.push(name.clone());
            workers.welcomed.push(welcomed);
            workers.tasks.spawn(async move { (name, run_with(config, drain, welcome).await) });
        }
        workers
    }

    /// Their names.
    pub fn names(&self) -> Vec<String> {
        self.names.clone()
    }

    /// Ends when the server has welcomed all of them; never when one of them ends before.
    pub fn welcome(&self) -> impl Future<Output = ()> + 'static {
        let welcomed = self.welcomed.clone();
        async move {
            for mut welcomed in welcomed {
                if welcomed.wait_for(|welcomed| *welcomed).await.is_err() {
                    future::pending::<()>().await;
                }
            }
        }
    }

    /// Ends when a worker has, which none should before it is told to.
    pub async fn broken(&mut self) -> Error {
        match self.tasks.join_next().await {
            Some(Ok((name, Ok(())))) => anyhow!("the worker {name} has ended by itself: see its log above").into(),
            Some(Ok((name, Err(error)))) => anyhow::Error::new(error).context(format!("the worker {name} has ended")).into(),
            Some(Err(error)) => anyhow::Error::new(error).context("a worker broke").into(),
            None => future::pending().await,
        }
    }

    /// Tells all workers to take nothing new and to end, and waits for that.
    pub async fn drain(mut self, grace: Duration) -> Result<(), Error> {
        self.drain.cancel();
        let all = async {
            let mut ended = Ok(());
            while let Some(worker) = self.tasks.join_next().await {
                let this = match worker {
                    Ok((_, Ok(()))) => Ok(()),
                    Ok((name, Err(error))) => Err(anyhow::Error::new(error).context(format!("the worker {name} did not end well"))),
                    Err(error) => Err(anyhow::Error::new(error).context("a worker broke while it ended")),
                };
                ended = ended.and(this);
            }
            ended
        };
        match tokio::time::timeout(grace, all).await {
            Ok(ended) => Ok(ended?),
            Err(_) => {
                let (left, grace) = (self.tasks.len(), humantime::format_duration(grace));
                Err(anyhow!("{left} of the workers did not end within {grace}: their jobs may go on without them").into())
            }
        }
    }
}
