//! What an earlier process of this worker has left at work, and may be gone on with.
//!
//! A job's container outlives its worker. It can be gone on with where its offer is in the spool, its container is there, running or
//! ended, and what its agent began with was noted. Whether it may be is for the server to say: such a job is in the first Hello's
//! inventory, and what Welcome keeps goes on. Jobs without a container aren't claimed, so that the server offers them anew at once.

use std::collections::BTreeMap;

use moorline_proto::v1;

use crate::{
    config::Config,
    engine::{Container, Engine, Error},
    link::Lease,
    redact::chain,
    spool::Recovered,
    stage::{
        Leg, RunFolder,
        submit::{Adopted, AtWork},
        valid_id,
    },
};

/// A job that could go on.
#[derive(Debug, Clone)]
pub(super) struct Claim {
    pub(super) lease: Lease,
    pub(super) offer: v1::Offer,
    pub(super) adopted: Adopted,
}

/// Jobs of an earlier process that wait for the server's word.
#[derive(Debug, Default)]
pub(super) struct Claims {
    waiting: BTreeMap<Lease, Claim>,
    /// Those that are not gone on with, and why.
    given_up: BTreeMap<Lease, &'static str>,
    /// The runs of all jobs that the spool remembered.
    runs: BTreeMap<Lease, String>,
}

impl Claims {
    /// Leases for the first Hello's inventory.
    pub(super) fn leases(&self) -> impl Iterator<Item = &Lease> {
        self.waiting.keys()
    }

    /// Whether an agent may be at work.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Gives a job up; what is left of it is cleared up after the welcome. Returns whether it had waited.
    pub(super) fn give_up(&mut self, lease: &Lease, why: &'static str) -> bool {
        let waited = self.waiting.remove(lease).is_some();
        if waited {
            self.given_up.insert(lease.clone(), why);
        }
        waited
    }

    /// Gives them all up. Returns their containers.
    pub(super) fn give_up_all(&mut self, why: &'static str) -> Vec<Container> {
        let all = std::mem::take(&mut self.waiting);
        self.given_up.extend(all.keys().map(|lease| (lease.clone(), why)));
        all.into_values().map(|claim| claim.adopted.container).collect()
    }

    /// The server has spoken: what still waits goes on.
    pub(super) fn kept(&mut self) -> Vec<Claim> {
        std::mem::take(&mut self.waiting).into_values().collect()
    }

    /// All that the earlier process had in hand, each with its run.
    pub(super) fn recovered(&self) -> BTreeMap<Lease, String> {
        self.runs.clone()
    }

    /// Why jobs of the earlier process are not gone on with.
    pub(super) fn given_up(&self) -> BTreeMap<Lease, &'static str> {
        self.given_up.clone()
    }
}

/// Matches what the spool remembers with the containers that are there. Nothing is touched yet.
pub(super) async fn find(config: &Config, engine: &dyn Engine, recovered: &[Recovered]) -> Result<Claims, Error> {
    let mut claims = Claims::default();
    if recovered.is_empty() {
        return Ok(claims);
    }
    let labels = BTreeMap::from([("moorline.worker".to_owned(), config.name.clone())]);
    let containers = engine.list(&labels).await?;
    for job in recovered {
        claims.runs.insert(job.lease.clone(), job.offer.run_id.clone());
        if job.finished.is_some() {
            claims.given_up.insert(job.lease.clone(), "its end is on record already");
            continue;
        }
        let (run_id, lease) = (&job.offer.run_id, &job.lease);
        match claim(config, &containers, job) {
            Ok(adopted) => {
                let container = &adopted.container.id;
                tracing::info!(%run_id, job_id = %lease.job_id, %container, "an earlier start has left an agent at work: the server is asked whether it may go on");
                let claim = Claim {
                    lease: lease.clone(),
                    offer: job.offer.clone(),
                    adopted,
                };
                claims.waiting.insert(lease.clone(), claim);
            }
            Err(why) => {
                tracing::info!(%run_id, job_id = %lease.job_id, %why, "a job of an earlier start is not gone on with");
                claims.given_up.insert(lease.clone(), why);
            }
        }
    }
    Ok(claims)
}

/// What to go on with, or why not to.
fn claim(config: &Config, containers: &[Container], job: &Recovered) -> Result<Adopted, &'static str> {
    let offer = &job.offer;
    if offer.stage() != v1::Stage::Submit || !valid_id(&offer.run_id) || !valid_id(&offer.job_id) {
        return Err("its stage is cheap, and begins anew");
    }
    let of_job: Vec<&Container> = containers
        .iter()
        .filter(|container| Lease::of(container) == Some(job.lease.clone()))
        .collect();
    if of_job.is_empty() {
        return Err("its agent had not been started");
    }
    let folder = RunFolder::below(&config.work_root, &offer.run_id, &offer.job_id);
    let at_work = AtWork::read(&folder).map_err(|error| {
        tracing::warn!(job_id = %offer.job_id, error = %chain(&error), "what was noted of an agent at work can't be read");
        "what its agent began with can't be read"
    })?;
    let at_work = at_work
        .filter(|noted| noted.lease_token == job.lease.token)
        .ok_or("what its agent began with was not noted")?;
    // One job may have had several containers, one after the other: the note is of the last that may be gone on with.
    let mut of_leg = of_job
        .into_iter()
        .filter(|container| at_work.leg.is_of(container.labels.get(Leg::LABEL).map(String::as_str)));
    let container = of_leg.next().ok_or("the agent that was noted last is gone")?;
    let mounted = container.labels.get("moorline.volume").filter(|volume| !volume.is_empty());
    // A skill's program has no login.
    if at_work.leg != Leg::Program && mounted != config.volume.as_ref() {
        return Err("it uses another volume than this worker holds now");
    }
    Ok(Adopted {
        container: container.clone(),
        at_work,
        share: None,
    })
}

#[cfg(test)]
mod tests;
