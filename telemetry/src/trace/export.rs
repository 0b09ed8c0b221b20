//! Where spans go.
//!
//! A thread of its own sends them in batches. While the collector is away they wait in a queue of bounded length and are dropped when it is
//! full: nothing that a program does waits for them, but its end, and that for a bounded time.

use std::{sync::OnceLock, time::Duration};

use opentelemetry::{KeyValue, trace::TracerProvider as _};
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::{
    Resource,
    trace::{SdkTracer, SdkTracerProvider},
};

use crate::variables::{OTEL_SERVICE_NAME, OTLP_ENDPOINT, OTLP_TIMEOUT};

/// Longest time that the last spans of a program may take.
const FAREWELL: Duration = Duration::from_secs(3);

/// Longest time of one batch, unless `OTEL_EXPORTER_OTLP_TIMEOUT` says otherwise.
const BATCH: Duration = Duration::from_secs(5);

static TRACER: OnceLock<SdkTracer> = OnceLock::new();

/// Why spans can't be sent.
#[derive(Debug, thiserror::Error)]
#[error(
    "{} can't be used ({why}): set it to the address of an OTLP collector's gRPC port, such as http://127.0.0.1:4317, or leave it unset",
    OTLP_ENDPOINT.name
)]
pub struct Error {
    why: String,
}

/// Spans are sent until this is ended.
#[derive(Debug)]
#[must_use = "the last spans are sent at its end"]
pub struct Exporting(Option<SdkTracerProvider>);

/// Begins to send spans, if the environment says where. The service's name is `program` unless `OTEL_SERVICE_NAME` says otherwise. To be
/// called within the program's runtime.
///
/// # Errors
///
/// When the address is none.
pub fn begin(program: &'static str, version: &'static str) -> Result<Exporting, Error> {
    let Some(endpoint) = OTLP_ENDPOINT.read() else {
        return Ok(Exporting(None));
    };
    let failed = |why: &dyn std::fmt::Display| Error { why: why.to_string() };
    let mut exporter = SpanExporter::builder().with_tonic().with_endpoint(endpoint);
    if OTLP_TIMEOUT.read().is_none() {
        exporter = exporter.with_timeout(BATCH);
    }
    let mut resource = Resource::builder().with_attribute(KeyValue::new("service.version", version));
    if OTEL_SERVICE_NAME.read().is_none() {
        resource = resource.with_service_name(program);
    }
    let provider = SdkTracerProvider::builder()
        .with_batch_exporter(exporter.build().map_err(|error| failed(&error))?)
        .with_resource(resource.build())
        .build();
    // A second beginning in one process goes on with the first one's.
    drop(TRACER.set(provider.tracer("moorline")));
    Ok(Exporting(Some(provider)))
}

pub(super) fn tracer() -> Option<&'static SdkTracer> {
    TRACER.get()
}

impl Exporting {
    /// Whether spans are sent.
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Sends what there is, within a bounded time: a collector that is away costs a program no more than that.
    pub async fn end(self) {
        let Some(provider) = self.0 else { return };
        let flushed = tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(FAREWELL));
        // What can't be sent by then is lost, and nobody is left to mind.
        drop(tokio::time::timeout(FAREWELL, flushed).await);
    }
}
