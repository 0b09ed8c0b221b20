//! The services of `moorline.v1` as proto3 JSON: `POST /v1/<Service>/<Method>`.
//!
//! A request is read by the contract's descriptors and handed to the gRPC service of this very process, so that there is one implementation.
//! A stream is answered as JSON lines; one that fails on its way ends with a line `{"error": <google.rpc.Status>}`.

use std::{convert::Infallible, sync::Arc};

use axum::{
    Extension, Json, Router,
    body::{Body, Bytes},
    extract::rejection::BytesRejection,
    http::{HeaderMap, Uri, header, uri::PathAndQuery},
    response::{IntoResponse as _, Response},
    routing::post,
};
use futures::StreamExt as _;
use moorline_telemetry::trace::Place;
use prost_reflect::{DescriptorError, DescriptorPool, DynamicMessage, MethodDescriptor, ServiceDescriptor};
use serde_json::{Value, json};
use tonic::{Request, Status, Streaming, client::Grpc, service::Routes};

use self::codec::Dynamic;
use super::{
    body,
    refusal::{Refusal, rpc_body},
};
use crate::{
    api::{self, Caller},
    session::Sessions,
    wire::status::refused,
};

mod codec;

/// Where the new routes begin.
pub const PREFIX: &str = "/v1/";

/// Media type of a streamed answer.
pub const LINES: &str = "application/x-ndjson";

/// Those that clients and operators use. The workers' own has streams in both directions, which HTTP can't carry.
const SERVICES: [&str; 4] = [
    "moorline.v1.RunService",
    "moorline.v1.ShardService",
    "moorline.v1.FleetService",
    "moorline.v1.SkillService",
];

/// The contract as it can be looked up at run time.
#[derive(Debug, Clone)]
pub struct Contract {
    /// Every message, those of `google.rpc` as well.
    pub pool: DescriptorPool,
}

impl Contract {
    /// Reads the descriptors that the program was built with.
    ///
    /// # Errors
    ///
    /// When they can't be read.
    pub fn new() -> Result<Self, DescriptorError> {
        let mut pool = DescriptorPool::decode(moorline_proto::FILE_DESCRIPTOR_SET)?;
        pool.decode_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)?;
        Ok(Self { pool })
    }

    /// The methods that are served, service by service.
    pub fn methods(&self) -> Vec<MethodDescriptor> {
        let services = SERVICES.iter().filter_map(|name| self.pool.get_service_by_name(name));
        services
            .flat_map(|service: ServiceDescriptor| service.methods().collect::<Vec<_>>())
            .collect()
    }
}

/// Path of a method.
pub fn path(method: &MethodDescriptor) -> String {
    format!("{PREFIX}{}/{}", method.parent_service().name(), method.name())
}

/// One route a method.
pub fn router(contract: Contract, sessions: &Sessions) -> Router {
    let services = api::Services::new(sessions);
    let services = Routes::new(services.runs)
        .add_service(services.shards)
        .add_service(services.fleet)
        .add_service(services.skills)
        .prepare();
    let contract = Arc::new(contract);
    contract.methods().into_iter().fold(Router::new(), |router, method| {
        let path = path(&method);
        let target = Target {
            method,
            contract: contract.clone(),
            services: services.clone(),
        };
        router.route(&path, post(answer).layer(Extension(Arc::new(target))))
    })
}

/// Where a route leads.
struct Target {
    method: MethodDescriptor,
    contract: Arc<Contract>,
    services: Routes,
}

async fn answer(
    Extension(target): Extension<Arc<Target>>,
    Extension(caller): Extension<Caller>,
    Extension(place): Extension<Place>,
    uri: Uri,
    headers: HeaderMap,
    content: Result<Bytes, BytesRejection>,
) -> Result<Response, Refusal> {
    let content = content.map_err(|rejection| body::broken(&uri, &rejection))?;
    let refuse = |status: Status| Refusal::of_rpc(&target.contract.pool, &status);
    let message = target.read(&headers, &content).map_err(|error| refuse(refused(&error)))?;
    let mut request = Request::new(message);
    request.extensions_mut().insert(caller);
    request.extensions_mut().insert(place);
    if target.method.is_server_streaming() {
        let messages = target.stream(request).await.map_err(refuse)?;
        let lines = lines(target.contract.clone(), messages);
        return Ok(([(header::CONTENT_TYPE, LINES)], Body::from_stream(lines)).into_response());
    }
    Ok(Json(target.unary(request).await.map_err(refuse)?).into_response())
}

impl Target {
    fn read(&self, headers: &HeaderMap, content: &[u8]) -> Result<DynamicMessage, crate::domain::Error> {
        let value = body::json(headers, content)?;
        DynamicMessage::deserialize(self.method.input(), value)
            .map_err(|error| body::not_json(format!("the body is no {}: {error}", self.method.input().name())))
    }

    async fn unary(&self, request: Request<DynamicMessage>) -> Result<DynamicMessage, Status> {
        let answer = self.client().unary(request, self.grpc_path(), Dynamic(self.method.clone())).await?;
        Ok(answer.into_inner())
    }

    async fn stream(&self, request: Request<DynamicMessage>) -> Result<Streaming<DynamicMessage>, Status> {
        let mut client = self.client();
        let answer = client
            .server_streaming(request, self.grpc_path(), Dynamic(self.method.clone()))
            .await?;
        Ok(answer.into_inner())
    }

    /// A client of the services in this process; what they answer is as long as it is.
    fn client(&self) -> Grpc<Routes> {
        Grpc::new(self.services.clone()).max_decoding_message_size(usize::MAX)
    }

    fn grpc_path(&self) -> PathAndQuery {
        let path = format!("/{}/{}", self.method.parent_service().full_name(), self.method.name());
        // Names of the contract are letters, dots and slashes.
        PathAndQuery::try_from(path).unwrap_or_else(|_| PathAndQuery::from_static("/"))
    }
}

/// Messages as lines. When the client leaves, the stream is dropped, and with it the call.
fn lines(contract: Arc<Contract>, messages: Streaming<DynamicMessage>) -> impl futures::Stream<Item = Result<Bytes, Infallible>> + Send {
    messages.map(move |message| {
        let line = match message {
            Ok(message) => serde_json::to_value(message).unwrap_or(Value::Null),
            Err(status) => json!({ "error": rpc_body(&contract.pool, &status) }),
        };
        Ok(Bytes::from(format!("{line}\n")))
    })
}
