//! `GET /metrics`, for a Prometheus.

use std::sync::Arc;

use axum::{Router, extract::State, http::header, response::IntoResponse, routing::get};
use moorline_telemetry::recorder;

use crate::{flow::gauges::Gauges, metrics, session::Sessions};

type Told = (Sessions, Arc<Gauges>);

/// The one route. It isn't part of the API, and its description doesn't know it.
pub fn router(sessions: &Sessions) -> Router {
    Router::new()
        .route("/metrics", get(scrape))
        .with_state((sessions.clone(), Arc::new(Gauges::default())))
}

async fn scrape(State((sessions, gauges)): State<Told>) -> impl IntoResponse {
    metrics::STREAMS.set(sessions.registry.count() as f64, []);
    gauges.read(&sessions.flow).await;
    ([(header::CONTENT_TYPE, recorder::CONTENT_TYPE)], recorder::render())
}
