//! `FleetService`: shows workers, and drains them.

use moorline_proto::v1;
use tonic::{Request, Response, Status};

use super::Caller;
use crate::{
    domain,
    flow::{Flow, fleet},
    session::Sessions,
    wire::{self, status::status},
};

/// Longest reason, in characters.
const REASON_MAX: usize = 512;

/// See the module.
pub struct Service {
    flow: Flow,
}

impl Service {
    pub(super) fn new(sessions: &Sessions) -> Self {
        Self {
            flow: sessions.flow.clone(),
        }
    }
}

#[tonic::async_trait]
impl v1::fleet_service_server::FleetService for Service {
    async fn list_workers(&self, _: Request<v1::ListWorkersRequest>) -> Result<Response<v1::ListWorkersResponse>, Status> {
        let workers = fleet::workers(&self.flow).await.map_err(status)?;
        Ok(Response::new(v1::ListWorkersResponse {
            workers: workers.into_iter().map(wire::fleet::message).collect(),
        }))
    }

    async fn get_worker(&self, request: Request<v1::GetWorkerRequest>) -> Result<Response<v1::GetWorkerResponse>, Status> {
        let wire = request.into_inner();
        text("worker_name", &wire.worker_name)?;
        let (worker, profile) = fleet::worker(&self.flow, &wire.worker_name).await.map_err(status)?;
        Ok(Response::new(v1::GetWorkerResponse {
            worker: Some(wire::fleet::message(worker)),
            profile: Some(wire::document::profile_message(profile)),
        }))
    }

    async fn drain_worker(&self, request: Request<v1::DrainWorkerRequest>) -> Result<Response<v1::DrainWorkerResponse>, Status> {
        let caller = Caller::of(&request);
        let wire = request.into_inner();
        text("worker_name", &wire.worker_name)?;
        text("reason", &wire.reason)?;
        let running_jobs = fleet::drain(&self.flow, &wire.worker_name, &wire.reason, caller.name())
            .await
            .map_err(status)?;
        Ok(Response::new(v1::DrainWorkerResponse { running_jobs }))
    }
}

fn text(field: &'static str, text: &str) -> Result<(), Status> {
    let refusal = if text.contains('\0') {
        domain::Error::invalid(field, "INVALID_TEXT", format!("{field} holds a NUL character: remove it"))
    } else if text.chars().count() > REASON_MAX {
        domain::Error::invalid(
            field,
            "TOO_LONG",
            format!("{field} has more than {REASON_MAX} characters: shorten it"),
        )
    } else {
        return Ok(());
    };
    Err(wire::status::refused(&refusal))
}
