//! Asks a worker's health endpoint, as its container's health check does.

use std::net::SocketAddr;

use moorline_telemetry::health;

use super::Error;

/// Asks the endpoint there. Returns whether the worker's stream is live, and the report as it came.
///
/// # Errors
///
/// [`Error::NoAnswer`] when nothing that understands the question answers in time.
pub async fn ask(address: SocketAddr) -> Result<(bool, String), Error> {
    health::ask(address, "/healthz")
        .await
        .map_err(|source| Error::NoAnswer { address, source })
}
