//! The one layer that measures calls and takes in the caller's place in a trace, over gRPC and HTTP alike.
//!
//! A call's span ends, and its time is taken, when its answer begins: what streams is wanted to last. Workers' own calls are part of a trace
//! only where the worker says of which.

use std::{
    collections::BTreeSet,
    pin::Pin,
    sync::LazyLock,
    task::{Context, Poll},
};

use axum::extract::MatchedPath;
use moorline_telemetry::trace::{HEADER, Kind, Place, Span};
use prost_reflect::DescriptorPool;
use tokio::time::Instant;
use tonic::{Code, codegen::http};
use tower::{Layer, Service};

use crate::metrics;

/// Puts the caller's [`Place`], or that of the call's own span, into every request.
#[derive(Debug, Clone, Copy)]
pub enum Tell {
    /// Of calls over gRPC, by the methods of the contract.
    Grpc,
    /// Of calls over HTTP, by the routes that they have found.
    Http,
}

impl<S> Layer<S> for Tell {
    type Service = Telling<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Telling { inner, tell: *self }
    }
}

/// See [`Tell`].
#[derive(Debug, Clone)]
pub struct Telling<S> {
    inner: S,
    tell: Tell,
}

/// The methods of the contract. What else callers put into a path is theirs alone, and without end.
static METHODS: LazyLock<BTreeSet<String>> = LazyLock::new(|| {
    let pool = DescriptorPool::decode(moorline_proto::FILE_DESCRIPTOR_SET).unwrap_or_default();
    pool.services()
        .flat_map(|service| service.methods().collect::<Vec<_>>())
        .map(|method| format!("{}/{}", method.parent_service().full_name(), method.name()))
        .collect()
});

/// What kind of call it is.
#[derive(Debug, PartialEq, Eq)]
enum Call {
    /// Of a method of the contract, such as `moorline.v1.RunService/CreateRun`, or `other`.
    Rpc(String),
    /// Of a route.
    Route(String),
    /// Of health checks, scrapers and reflection; the worker's stream, which lasts for days.
    Untold,
}

impl Call {
    fn of<B>(tell: Tell, request: &http::Request<B>) -> Self {
        let path = request.uri().path().trim_start_matches('/');
        match (tell, request.extensions().get::<MatchedPath>().map(MatchedPath::as_str)) {
            (Tell::Grpc, _) if path == "moorline.v1.WorkerService/Connect" => Self::Untold,
            (Tell::Grpc, _) if METHODS.contains(path) => Self::Rpc(path.to_owned()),
            (Tell::Grpc, _) if path.starts_with("moorline.v1.") => Self::Rpc("other".to_owned()),
            (Tell::Http, Some(route)) if route.starts_with("/v1/") || route.starts_with("/api/") => Self::Route(route.to_owned()),
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
        let call = Call::of(self.tell, &request);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_somebody_made_up_is_no_name() {
        let call = |tell, path: &str| Call::of(tell, &http::Request::get(path).body(()).unwrap());
        let create = "moorline.v1.RunService/CreateRun";
        assert_eq!(call(Tell::Grpc, &format!("/{create}")), Call::Rpc(create.to_owned()));
        for made_up in ["/moorline.v1.Nothing/1", "/moorline.v1.RunService/Nothing", "/moorline.v1./"] {
            assert_eq!(call(Tell::Grpc, made_up), Call::Rpc("other".to_owned()), "{made_up}");
            assert_eq!(call(Tell::Http, made_up), Call::Untold, "{made_up}");
        }
        assert_eq!(call(Tell::Http, &format!("/{create}")), Call::Untold);
        assert_eq!(call(Tell::Grpc, "/moorline.v1.WorkerService/Connect"), Call::Untold);
        assert_eq!(call(Tell::Grpc, "/grpc.health.v1.Health/Check"), Call::Untold);
    }
}
