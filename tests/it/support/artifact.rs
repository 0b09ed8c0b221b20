//! Uploads as a worker makes them.

use moorline_proto::v1;
use sha2::{Digest as _, Sha256};
use tonic::Status;

use super::TestApp;

/// Uploads an artifact of an offered job, in pieces of a few bytes.
pub async fn upload(app: &TestApp, offer: &v1::Offer, kind: v1::ArtifactType, content: &[u8]) -> Result<v1::Artifact, Status> {
    upload_as(app, offer, kind, content, &hex::encode(Sha256::digest(content)), "file.txt").await
}

/// The same with an announced digest and a name.
pub async fn upload_as(
    app: &TestApp,
    offer: &v1::Offer,
    kind: v1::ArtifactType,
    content: &[u8],
    digest: &str,
    file_name: &str,
) -> Result<v1::Artifact, Status> {
    let header = v1::ArtifactHeader {
        job_id: offer.job_id.clone(),
        lease_token: offer.lease_token,
        r#type: kind.into(),
        file_name: file_name.to_owned(),
        content_type: "text/plain".to_owned(),
        digest: digest.to_owned(),
    };
    let mut messages = vec![v1::UploadArtifactRequest {
        header: Some(header),
        content: bytes::Bytes::new(),
    }];
    messages.extend(content.chunks(7).map(|piece| v1::UploadArtifactRequest {
        header: None,
        content: bytes::Bytes::copy_from_slice(piece),
    }));
    let answer = app.workers().upload_artifact(tokio_stream::iter(messages)).await?;
    Ok(answer.into_inner().artifact.expect("the artifact in the answer"))
}
