//! HTTP and JSON: the services of `moorline.v1` for those without gRPC, and the routes of the system that Moorline replaces.
//!
//! # Layout
//!
//! - [`guard`]: refuses what a foreign web page sends
//! - [`rpc`]: `POST /v1/<Service>/<Method>`, into the gRPC services of this process
//! - [`workflows`]: `/api/workflows/speckit/…`, in the old words
//! - [`health`]: `/healthz` and `/readyz`; [`metrics`]: `/metrics`
//! - [`mod@ask`]: the question of health checks
//! - [`openapi`]: `/openapi.json`, from the types of the old routes and the descriptors of the new ones
//! - [`refusal`]: the one place that gives errors their HTTP status
//! - [`body`]: JSON in

mod ask;
mod body;
mod guard;
mod health;
mod metrics;
mod openapi;
mod refusal;
mod rpc;
mod workflows;

use axum::{
    Router,
    extract::DefaultBodyLimit,
    http::{Method, StatusCode, Uri},
    middleware,
};
use tokio::net::TcpListener;

pub use ask::{Error as NotReady, ask};
pub use guard::Hosts;
use refusal::Refusal;

use crate::{
    api::{KnowCaller, MESSAGE_MAX, Tell},
    session::Sessions,
};

/// Why there is no HTTP API.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The contract can't be read.
    #[error("the descriptors of the contract can't be read: build the server again")]
    Contract(#[from] prost_reflect::DescriptorError),
    /// The API's description can't be made.
    #[error("the API's description can't be made: build the server again")]
    Description(#[from] serde_json::Error),
}

/// Everything that is answered over HTTP, for those who call by one of these host names.
///
/// # Errors
///
/// When the contract can't be read.
pub fn router(sessions: &Sessions, hosts: Hosts) -> Result<Router, Error> {
    let contract = rpc::Contract::new()?;
    let described = openapi::document(&contract)?;
    Ok(Router::new()
        .merge(workflows::router().with_state(sessions.flow.clone()))
        .merge(health::router().with_state(sessions.clone()))
        .merge(metrics::router(sessions))
        .merge(openapi::router(&described)?)
        .merge(rpc::router(contract, sessions))
        .fallback(no_such_route)
        .method_not_allowed_fallback(no_such_method)
        .layer(DefaultBodyLimit::max(MESSAGE_MAX))
        .layer(KnowCaller)
        .layer(Tell::Http)
        .layer(middleware::from_fn_with_state(std::sync::Arc::new(hosts), guard::check)))
}

/// Answers until `leaving` is over and open calls have ended.
///
/// # Errors
///
/// When the transport fails.
pub async fn serve(listener: TcpListener, router: Router, leaving: impl Future<Output = ()> + Send + 'static) -> std::io::Result<()> {
    use axum::serve::ListenerExt as _;
    // Events and lines of output are small, and wanted at once.
    let listener = listener.tap_io(|connection| drop(connection.set_nodelay(true)));
    axum::serve(listener, router).with_graceful_shutdown(leaving).await
}

async fn no_such_route(uri: Uri) -> Refusal {
    let message = format!("there is nothing at {}: see /openapi.json for what there is", uri.path());
    Refusal::plain(&uri, StatusCode::NOT_FOUND, "ROUTE_NOT_FOUND", message)
}

async fn no_such_method(method: Method, uri: Uri) -> Refusal {
    let message = format!(
        "{method} is not known at {}: use a method that the header Allow names, or see /openapi.json",
        uri.path()
    );
    Refusal::plain(&uri, StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED", message)
}
