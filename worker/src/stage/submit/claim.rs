//! The login for this job alone: what was left with it in hand is ended first.

use moorline_proto::v1::{self, FailureClass};

use super::Submit;
use crate::{
    engine::Container,
    holding::Holding,
    stage::{
        Error, Owner, STOP_GRACE, failure,
        running::{end, labelled},
    },
};

impl Submit<'_> {
    /// Ends whatever else uses the login. A login serves one job at a time, and this is that job: what is there was left by one that could not
    /// be ended in its time.
    pub(super) async fn free_volume(&self) -> Result<(), Error> {
        let Some(volume) = &self.volume else { return Ok(()) };
        let engine = self.ctx.engine.as_ref();
        let left = match engine.list(&labelled([("moorline.volume", volume)])).await {
            Ok(left) => left,
            Err(error) => {
                // An engine that can't do this can't check the login either, and the check says best what is the matter.
                self.preflight().await?;
                return Err(self.engine_fault(&error));
            }
        };
        // Where a login serves more than one, the worker's other jobs work on.
        let at_work = self.ctx.holding.as_ref().map(Holding::agents).unwrap_or_default();
        for container in left.into_iter().filter(|container| !is_of(container, &at_work, &self.ctx.offer)) {
            let label = |name: &str| container.labels.get(name).map(String::as_str).unwrap_or_default();
            tracing::warn!(
                container = %container.id,
                of_run = label("moorline.run"),
                of_job = label("moorline.job"),
                of_worker = label("moorline.worker"),
                %volume,
                "a container with this job's login was left behind: it is stopped and removed before the job starts"
            );
            if !end(engine, &container, STOP_GRACE).await {
                let message = format!(
                    "the container {} still runs with the volume {volume} mounted, and the engine could not end it: remove it by hand, then retry \
                     the run",
                    container.id
                );
                return Err(Error::Failed(failure("VOLUME_IN_USE", FailureClass::Environment, message)));
            }
        }
        Ok(())
    }
}

/// Whether it is the container of another job of these.
fn is_of(container: &Container, at_work: &[Owner], offer: &v1::Offer) -> bool {
    let label = |name: &str| container.labels.get(name).map(String::as_str);
    let of =
        |owner: &Owner| label("moorline.job") == Some(&owner.job_id) && label("moorline.lease") == Some(&owner.lease_token.to_string());
    at_work.iter().any(|owner| owner.job_id != offer.job_id && of(owner))
}

#[cfg(test)]
mod tests;
