//! A collector of traces that keeps what it is sent.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use opentelemetry_proto::tonic::{
    collector::trace::v1::{
        ExportTraceServiceRequest, ExportTraceServiceResponse,
        trace_service_server::{TraceService, TraceServiceServer},
    },
    common::v1::any_value::Value,
    trace::v1::Span,
};
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;
use tonic::{Request, Response, Status, transport::server::TcpIncoming};

/// A span, with the service that sent it.
#[derive(Debug, Clone)]
pub struct Sent {
    pub service: String,
    pub span: Span,
}

impl Sent {
    pub fn trace_id(&self) -> String {
        hex::encode(&self.span.trace_id)
    }

    /// An attribute that is a text.
    pub fn text(&self, name: &str) -> String {
        text(&self.span.attributes, name)
    }
}

fn text(attributes: &[opentelemetry_proto::tonic::common::v1::KeyValue], name: &str) -> String {
    let value = attributes.iter().find(|attribute| attribute.key == name);
    match value.and_then(|attribute| attribute.value.clone()?.value) {
        Some(Value::StringValue(text)) => text,
        _ => String::new(),
    }
}

/// See the module. Ends when dropped.
pub struct Collector {
    pub address: SocketAddr,
    kept: Kept,
    _task: AbortOnDropHandle<()>,
}

#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<Sent>>>);

#[tonic::async_trait]
impl TraceService for Kept {
    async fn export(&self, request: Request<ExportTraceServiceRequest>) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let mut kept = self.0.lock().unwrap();
        for of_service in request.into_inner().resource_spans {
            let resource = of_service.resource.unwrap_or_default();
            let service = text(&resource.attributes, "service.name");
            for scope in of_service.scope_spans {
                let sent = |span| Sent {
                    service: service.clone(),
                    span,
                };
                kept.extend(scope.spans.into_iter().map(sent));
            }
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

impl Collector {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let kept = Kept::default();
        let service = TraceServiceServer::new(kept.clone());
        let serving = tonic::transport::Server::builder()
            .add_service(service)
            .serve_with_incoming(TcpIncoming::from(listener));
        let task = tokio::spawn(async move { drop(serving.await) });
        Self {
            address,
            kept,
            _task: AbortOnDropHandle::new(task),
        }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// All that has come so far.
    pub fn spans(&self) -> Vec<Sent> {
        self.kept.0.lock().unwrap().clone()
    }
}
