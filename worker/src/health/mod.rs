//! The worker's own endpoint: `GET /healthz` says whether its stream is live, and why not otherwise; `GET /metrics` is for a Prometheus.
//!
//! It tells about the stream and is no sign of life of its own: what the server thinks of this worker hangs on the stream alone.

mod ask;
mod report;
mod scrape;

use std::{
    net::SocketAddr,
    sync::{Arc, OnceLock},
};

use axum::{Json, Router, extract::State, http::StatusCode, response::IntoResponse, routing::get};
use moorline_telemetry::recorder;
use tokio::{net::TcpListener, sync::watch};
use tokio_util::task::AbortOnDropHandle;

pub use self::{ask::ask, report::Report};
use crate::{link::Handle, metrics, spool::Spool};

/// Why there is no health endpoint, or no answer from one.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address can't be had.
    #[error("the health endpoint can't listen on {address}: set MOORLINE_HEALTH_LISTEN to an address and a port that are free here")]
    Listen {
        /// As set.
        address: SocketAddr,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// Nobody has said where to ask.
    #[error(
        "MOORLINE_HEALTH_LISTEN is not set, so the worker has no health endpoint: set it to an address such as 127.0.0.1:7422, here and for the worker"
    )]
    NotSet,
    /// No answer, or none that is understood.
    #[error("no worker answers on {address}: start it with MOORLINE_HEALTH_LISTEN={address}, or look at its log")]
    NoAnswer {
        /// Where was asked.
        address: SocketAddr,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
}

/// What the worker's loop is at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Load {
    /// Jobs that haven't ended.
    pub jobs: usize,
    /// Whether it is going.
    pub draining: bool,
}

/// What the endpoint tells of. It can be asked from the start, before the worker serves.
#[derive(Debug, Clone)]
pub struct Vitals(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    worker: String,
    slots: u32,
    serving: OnceLock<Serving>,
    load: watch::Sender<Load>,
}

#[derive(Debug)]
struct Serving {
    instance_id: String,
    link: Handle,
    spool: Spool,
}

impl Vitals {
    /// Of a worker that only just starts.
    pub fn new(worker: &str, slots: u32) -> Self {
        Self(Arc::new(Inner {
            worker: worker.to_owned(),
            slots,
            serving: OnceLock::new(),
            load: watch::Sender::default(),
        }))
    }

    /// The worker serves from now on. Returns where its loop tells what it is at.
    pub fn serve(&self, instance_id: String, link: Handle, spool: Spool) -> watch::Sender<Load> {
        let serving = Serving { instance_id, link, spool };
        // A worker begins to serve once.
        drop(self.0.serving.set(serving));
        self.0.load.clone()
    }
}

/// An endpoint, until it is dropped.
#[derive(Debug)]
pub struct Endpoint {
    /// Where it listens.
    pub address: SocketAddr,
    _task: AbortOnDropHandle<()>,
}

/// Answers on `address` from now on.
///
/// # Errors
///
/// [`Error::Listen`] when the address can't be had.
pub async fn listen(address: SocketAddr, vitals: Vitals) -> Result<Endpoint, Error> {
    let failed = |source| Error::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    tracing::info!(address = %bound, "the health endpoint listens");
    let router = Router::new()
        .route("/healthz", get(healthz))
        .route("/metrics", get(scrape::metrics))
        .with_state(vitals);
    recorder::begin("moorline-worker", env!("CARGO_PKG_VERSION"), metrics::ALL);
    let serving = async move {
        tokio::select! {
            ended = axum::serve(listener, router) => if let Err(error) = ended {
                tracing::error!(%error, "the health endpoint has ended: start the worker again to have it back");
            },
            () = recorder::keep() => {}
        }
    };
    Ok(Endpoint {
        address: bound,
        _task: AbortOnDropHandle::new(tokio::spawn(serving)),
    })
}

async fn healthz(State(vitals): State<Vitals>) -> impl IntoResponse {
    let report = vitals.report();
    let status = if report.live {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, Json(report))
}

#[cfg(test)]
mod tests;
