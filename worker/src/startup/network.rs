//! Whether jobs can have the network that the settings name.

use std::sync::Arc;

use moorline_proto::v1::StartupCheck;

use super::{missing, passed};
use crate::{
    config::Config,
    engine::{self, Engine},
    redact::chain,
};

pub(super) async fn check(config: &Config, engine: &Arc<dyn Engine>) -> StartupCheck {
    let (name, network) = ("job_network", &config.job_network);
    match engine.has_network(network).await {
        Ok(true) => passed(name, network),
        Ok(false) => missing(name, engine::Error::NetworkMissing { network: network.clone() }.to_string()),
        Err(error) => missing(name, chain(&error)),
    }
}
