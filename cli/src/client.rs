//! Calls to the server.

use std::time::Duration;

use moorline_proto::v1::{
    fleet_service_client::FleetServiceClient, run_service_client::RunServiceClient, shard_service_client::ShardServiceClient,
    skill_service_client::SkillServiceClient,
};
use tonic::transport::{Channel, Endpoint};

use crate::{args::Global, error::Error};

/// A page of 500 runs with long notes is larger than the 4 MiB that gRPC allows by default.
const LARGEST_ANSWER: usize = 32 << 20;

/// Half of the time after which a dead connection is noticed while a stream is silent.
const KEEP_ALIVE: Duration = Duration::from_secs(20);

/// Longest time for an answer where a worker has to look at a login first, which may take it a call to the model.
pub const WORKER_TIMEOUT: Duration = Duration::from_secs(300);

/// Longest time to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// A client of the run service. It dials with the first call, so that all failures to connect show up there.
pub fn runs(global: &Global) -> Result<RunServiceClient<Channel>, Error> {
    Ok(RunServiceClient::new(channel(global)?).max_decoding_message_size(LARGEST_ANSWER))
}

/// A client of the shard service; see [`runs`].
pub fn shards(global: &Global) -> Result<ShardServiceClient<Channel>, Error> {
    Ok(ShardServiceClient::new(channel(global)?).max_decoding_message_size(LARGEST_ANSWER))
}

/// A client of the fleet service; see [`runs`].
pub fn fleet(global: &Global) -> Result<FleetServiceClient<Channel>, Error> {
    Ok(FleetServiceClient::new(channel(global)?).max_decoding_message_size(LARGEST_ANSWER))
}

/// A client of the skill service; see [`runs`].
pub fn skills(global: &Global) -> Result<SkillServiceClient<Channel>, Error> {
    Ok(SkillServiceClient::new(channel(global)?).max_decoding_message_size(LARGEST_ANSWER))
}

/// Where a server listens that nobody told otherwise.
pub const DEFAULT_SERVER: &str = "http://127.0.0.1:7420";

fn channel(global: &Global) -> Result<Channel, Error> {
    let given = global.server.trim();
    let url = if given.is_empty() {
        DEFAULT_SERVER.to_owned()
    } else if given.contains("://") {
        given.to_owned()
    } else {
        format!("http://{given}")
    };
    if !url.starts_with("http://") {
        return Err(Error::Usage(format!(
            "{url} is not an http:// URL: this version speaks gRPC without TLS only, on loopback or behind a proxy"
        )));
    }
    let endpoint = Endpoint::from_shared(url)
        .map_err(|_| Error::Usage(format!("{} is no URL: give --server as http://HOST:PORT", global.server)))?
        .user_agent(concat!("moorline/", env!("CARGO_PKG_VERSION")))
        .map_err(|error| Error::Other(error.into()))?
        .connect_timeout(global.timeout.min(CONNECT_TIMEOUT))
        .timeout(global.timeout)
        .http2_keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE);
    Ok(endpoint.connect_lazy())
}
