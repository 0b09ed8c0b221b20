//! The workers of this process.

use std::{future, time::Duration};

use anyhow::anyhow;
use moorline_worker::{
    config::Config,
    run::{self, STOP_LIMIT, Shutdown, run_with},
};
use tokio::{sync::watch, task::JoinSet};
use tokio_util::sync::CancellationToken;

use crate::error::Error;

/// Workers, each a task.
pub struct Workers {
    names: Vec<String>,
    welcomed: Vec<watch::Receiver<bool>>,
    tasks: JoinSet<(String, Result<(), run::Error>)>,
    shutdown: Shutdown,
}

/// What a worker may take to go after its jobs have had their grace and their time to stop.
const GOING: Duration = Duration::from_secs(10);

impl Workers {
    /// Starts a worker for each of the settings.
    pub fn start(configs: Vec<Config>) -> Self {
        let mut workers = Self {
            names: Vec::new(),
            welcomed: Vec::new(),
            tasks: JoinSet::new(),
            shutdown: Shutdown::default(),
        };
        for config in configs {
            let (welcome, welcomed) = watch::channel(false);
            let (name, shutdown) = (config.name.clone(), workers.shutdown.clone());
            workers.names.push(name.clone());
            workers.welcomed.push(welcomed);
            workers
                .tasks
                .spawn(async move { (name, run_with(config, shutdown, welcome).await) });
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

    /// Tells all workers to take nothing new and to end, and waits for that. Their settings give jobs `grace` to finish; `at_once` cuts
    /// that short.
    pub async fn drain(mut self, grace: Duration, at_once: &CancellationToken) -> Result<(), Error> {
        self.shutdown.drain.cancel();
        let stop = self.shutdown.stop.clone();
        let hurry = async {
            at_once.cancelled().await;
            stop.cancel();
            future::pending().await
        };
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
        let limit = grace + STOP_LIMIT + GOING;
        let in_time = tokio::time::timeout(limit, async {
            tokio::select! {
                ended = all => ended,
                () = hurry => Ok(()),
            }
        });
        match in_time.await {
            Ok(ended) => Ok(ended?),
            Err(_) => {
                let (left, limit) = (self.tasks.len(), humantime::format_duration(limit));
                Err(
                    anyhow!("{left} of the workers did not end within {limit}: their jobs may go on, until moorline dev starts again")
                        .into(),
                )
            }
        }
    }
}
