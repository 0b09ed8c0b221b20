//! The gRPC services: one per file, thin. What they do is in `flow`, how it looks on the wire in `wire`.

mod auth;
mod fleet_service;
mod login;
pub(crate) mod page;
mod run_service;
mod shard_service;
mod skill_service;
mod stream;
mod told;
mod worker_service;

use moorline_proto::v1::{
    fleet_service_server::FleetServiceServer, run_service_server::RunServiceServer, shard_service_server::ShardServiceServer,
    skill_service_server::SkillServiceServer, worker_service_server::WorkerServiceServer,
};

pub use auth::{Caller, KnowCaller};
pub use told::Tell;

use crate::session::Sessions;

/// Largest message that is taken in: logs and artifacts come in pieces of 64 KiB.
pub(crate) const MESSAGE_MAX: usize = 4 * 1024 * 1024;

/// Content of one streamed piece of an artifact.
const PIECE: usize = 64 * 1024;

/// The services of `moorline.v1`.
pub struct Services {
    /// For clients.
    pub runs: RunServiceServer<run_service::Service>,
    /// For those who look after logins.
    pub shards: ShardServiceServer<shard_service::Service>,
    /// For workers.
    pub workers: WorkerServiceServer<worker_service::Service>,
    /// For those who look after workers.
    pub fleet: FleetServiceServer<fleet_service::Service>,
    /// For those who decide which skills carry which stages.
    pub skills: SkillServiceServer<skill_service::Service>,
}

impl Services {
    /// The services on top of these sessions.
    pub fn new(sessions: &Sessions) -> Self {
        Self {
            runs: RunServiceServer::new(run_service::Service::new(sessions)).max_decoding_message_size(MESSAGE_MAX),
            shards: ShardServiceServer::new(shard_service::Service::new(sessions)).max_decoding_message_size(MESSAGE_MAX),
            workers: WorkerServiceServer::new(worker_service::Service::new(sessions)).max_decoding_message_size(MESSAGE_MAX),
            fleet: FleetServiceServer::new(fleet_service::Service::new(sessions)).max_decoding_message_size(MESSAGE_MAX),
            skills: SkillServiceServer::new(skill_service::Service::new(sessions)).max_decoding_message_size(MESSAGE_MAX),
        }
    }
}
