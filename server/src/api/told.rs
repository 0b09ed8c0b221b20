//! The one layer that measures calls and takes in the caller's place in a trace, over gRPC and HTTP alike.
//!
//! A call's span ends, and its time is taken, when its answer begins: what streams is wanted to last. Workers' own calls are part of a trace
//! only where the worker says of which.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use axum::extract::MatchedPath;
use moorline_telemetry::trace::{HEADER, Kind, Place, Span};
use tokio::time::Instant;
use tonic::{Code, codegen::http};
use tower::{Layer, Service};

use crate::metrics;

/// Puts the caller's [`Place`], or that of the call's own span, into every request.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tell;

impl<S> Layer<S> for Tell {
    type Service = Telling<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Telling { inner }
    }
}

/// See [`Tell`].
#[derive(Debug, Clone)]
pub struct Telling<S> {
    inner: S,
}

/// What kind of call it is.
enum Call {
    /// Of a service of the contract, such as `moorline.v1.RunService/CreateRun`.
    Rpc(String),
    /// Of a route.
    Route(String),
    /// Of health checks, scrapers and reflection; the worker's stream, which lasts for days.
    Untold,
}

impl Call {
    fn of<B>(request: &http::Request<B>) -> Self {
        let path = request.uri().path().trim_start_matches('/');
        if path.starts_with("moorline.v1.") && path != "moorline.v1.WorkerService/Connect" {
            return Self::Rpc(path.to_owned());
        }
        match request.extensions().get::<MatchedPath>().map(MatchedPath::as_str) {
            Some(route) if route.starts_with("/v1/") || route.starts_with("/api/") => Self::Route(route.to_owned()),
            _ => Self::Untold,
        }
    }

    fn span(&self, above: &Place) -> Option<Span> {
        match self {
            Self::Rpc(name) if name.starts_with("moorline.v1.WorkerService") && above.is_none() => None,
            Self::Rpc(name) | Self::Route(name) => Some(Span::begin(name.clone(), Kind::Server, above)),
            Self::Untold => None,
        }
    }

    fn over<B>(self, began: Instant, span: Option<Span>, response: &http::Response<B>) {
        let (transport, method, code, is_fault) = match self {
            Self::Untold => return,
            Self::Rpc(name) => {
                let code = response
                    .headers()
                    .get("grpc-status")
                    .map_or(Code::Ok, |code| Code::from_bytes(code.as_bytes()));
                // What no service has is anybody's word.
                let name = if code == Code::Unimplemented { "other".to_owned() } else { name };
                (
                    "grpc",
                    name,
                    format!("{code:?}"),
                    matches!(code, Code::Internal | Code::Unknown | Code::DataLoss),
                )
            }
            Self::Route(name) => {
                let status = response.status();
                ("http", name, status.as_str().to_owned(), status.is_server_error())
            }
        };
        if let Some(mut span) = span {
            span.set("rpc.response.status_code", code.clone());
            if is_fault {
                span.fail(&code);
            }
        }
        metrics::CALLS.took(began.elapsed(), [transport.into(), method.into(), code.into()]);
    }
}

impl<S, B, R> Service<http::Request<B>> for Telling<S>
where
    S: Service<http::Request<B>, Response = http::Response<R>>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: http::Request<B>) -> Self::Future {
        let began = Instant::now();
        let header = request.headers().get(HEADER).and_then(|value| value.to_str().ok());
        let above = header.map(Place::parse).unwrap_or_default();
        let call = Call::of(&request);
        let span = call.span(&above);
        request.extensions_mut().insert(span.as_ref().map_or(above, Span::place));
        let answer = self.inner.call(request);
        Box::pin(async move {
            let response = answer.await?;
            call.over(began, span, &response);
            Ok(response)
        })
    }
}

/// The place below which what a request begins hangs.
pub fn place<T>(request: &tonic::Request<T>) -> Place {
    request.extensions().get().cloned().unwrap_or_default()
}
