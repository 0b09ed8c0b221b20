//! The one layer that knows the caller.
//!
//! There are no roles yet, so everyone is anonymous and the server listens on loopback only, unless it is told otherwise. Every service
//! asks this layer, and nothing else, who is calling.

use std::task::{Context, Poll};

use tower::{Layer, Service};

/// Who is calling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// Nobody that this server knows.
    Anonymous,
}

impl Caller {
    /// The caller of a request.
    pub fn of<T>(request: &tonic::Request<T>) -> Self {
        request.extensions().get().cloned().unwrap_or(Self::Anonymous)
    }

    /// Name for `requested_by` and for logs.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Anonymous => "anonymous",
        }
    }
}

/// Puts the [`Caller`] into every request.
#[derive(Debug, Clone, Copy, Default)]
pub struct KnowCaller;

impl<S> Layer<S> for KnowCaller {
    type Service = KnowingCaller<S>;

    fn layer(&self, inner: S) -> Self::Service {
        KnowingCaller { inner }
    }
}

/// See [`KnowCaller`].
#[derive(Debug, Clone)]
pub struct KnowingCaller<S> {
    inner: S,
}

impl<S, B> Service<tonic::codegen::http::Request<B>> for KnowingCaller<S>
where
    S: Service<tonic::codegen::http::Request<B>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: tonic::codegen::http::Request<B>) -> Self::Future {
        request.extensions_mut().insert(Caller::Anonymous);
        self.inner.call(request)
    }
}
