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
pub fn services(
    sessions: &Sessions,
) -> (
    RunServiceServer<run_service::Service>,
    ShardServiceServer<shard_service::Service>,
    WorkerServiceServer<worker_service::Service>,
    FleetServiceServer<fleet_service::Service>,
    SkillServiceServer<skill_service::Service>,
) {
    (
        RunServiceServer::new(run_service::Service::new(sessions)).max_decoding_message_size(MESSAGE_MAX),
        ShardServiceServer::new(shard_service::Service::new(sessions)).max_decoding_message_size(MESSAGE_MAX),
        WorkerServiceServer::new(worker_service::Service::new(sessions)).max_decoding_message_size(MESSAGE_MAX),
        FleetServiceServer::new(fleet_service::Service::new(sessions)).max_decoding_message_size(MESSAGE_MAX),
        SkillServiceServer::new(skill_service::Service::new(sessions)).max_decoding_message_size(MESSAGE_MAX),
    )
}
