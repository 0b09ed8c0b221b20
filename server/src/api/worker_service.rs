//! `WorkerService`: the workers' stream, and what they upload beside it.

use bytes::Bytes;
use futures::{StreamExt as _, stream::BoxStream};
use moorline_proto::v1;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::PIECE;
use crate::{
    domain,
    flow::{Error, artifact, logs},
    session::{self, OUTBOUND_CAPACITY, Sessions},
    wire::{self, names, status::status},
};

/// See the module.
pub struct Service {
    sessions: Sessions,
}

impl Service {
    pub(super) fn new(sessions: &Sessions) -> Self {
        Self {
            sessions: sessions.clone(),
        }
    }
}

#[tonic::async_trait]
impl v1::worker_service_server::WorkerService for Service {
    type ConnectStream = BoxStream<'static, Result<v1::ConnectResponse, Status>>;

    async fn connect(&self, request: Request<Streaming<v1::ConnectRequest>>) -> Result<Response<Self::ConnectStream>, Status> {
        let (outbound, frames) = mpsc::channel(OUTBOUND_CAPACITY);
        // The response must be on its way before the first frame is read, or the worker's call never resolves.
        self.sessions
            .tasks
            .spawn(session::serve(self.sessions.clone(), request.into_inner(), outbound));
        Ok(Response::new(ReceiverStream::new(frames).map(|frame| *frame).boxed()))
    }

    async fn upload_artifact(
        &self,
        request: Request<Streaming<v1::UploadArtifactRequest>>,
    ) -> Result<Response<v1::UploadArtifactResponse>, Status> {
        let mut pieces = request.into_inner();
        let first = pieces.message().await?.unwrap_or_default();
        let header = header(first.header).map_err(|refusal| wire::status::refused(&refusal))?;
        let rest = pieces.map(|piece| piece.map(|piece| piece.content).map_err(|_| broken_off()));
        let content = futures::stream::iter([Ok(first.content)]).chain(rest).filter(|piece| {
            let keep = piece.as_ref().map_or(true, |piece: &Bytes| !piece.is_empty());
            std::future::ready(keep)
        });
        let row = artifact::store(&self.sessions.flow, &header, content.boxed())
            .await
            .map_err(status)?;
        Ok(Response::new(v1::UploadArtifactResponse {
            artifact: Some(wire::run::artifact(&row)),
        }))
    }

    async fn upload_logs(&self, request: Request<Streaming<v1::UploadLogsRequest>>) -> Result<Response<v1::UploadLogsResponse>, Status> {
        let mut pieces = request.into_inner();
        let mut next_offset = 0;
        while let Some(piece) = pieces.message().await? {
            if piece.content.len() > PIECE {
                let message = "a piece of output is longer than 64 KiB: send it in smaller ones";
                return Err(wire::status::refused(&domain::Error::invalid("content", "TOO_LONG", message)));
            }
            let job_id = wire::id("job_id", &piece.job_id).map_err(|refusal| wire::status::refused(&refusal))?;
            next_offset = logs::store(&self.sessions.flow, job_id, piece.lease_token, piece.offset, &piece.content)
                .await
                .map_err(status)?;
        }
        Ok(Response::new(v1::UploadLogsResponse { next_offset }))
    }
}

fn header(wire: Option<v1::ArtifactHeader>) -> Result<artifact::Header, domain::Error> {
    let invalid = |field, message| domain::Error::invalid(field, "INVALID_ARTIFACT", message);
    let wire = wire.ok_or_else(|| invalid("header", "the first message of an upload must bear the header"))?;
    let kind = names::artifact_type(wire.r#type()).ok_or_else(|| invalid("header.type", "an artifact needs a type"))?;
    let plain = wire.digest.len() == 64
        && wire
            .digest
            .bytes()
            .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    if !plain {
        return Err(invalid("header.digest", "the digest must be a SHA-256 in lower-case hex"));
    }
    Ok(artifact::Header {
        job_id: wire::id("header.job_id", &wire.job_id)?,
        lease_token: wire.lease_token,
        kind,
        file_name: wire.file_name,
        content_type: wire.content_type,
        digest: wire.digest,
    })
}

fn broken_off() -> Error {
    domain::Error::invalid("content", "UPLOAD_BROKEN_OFF", "the upload ended before its end: send it again").into()
}
