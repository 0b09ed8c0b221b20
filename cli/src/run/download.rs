//! `moorline run download`: the content of an artifact, checked against its digest.

use std::{
    fs::Permissions,
    io::Write,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use moorline_proto::v1::{self, DownloadArtifactResponse};
use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;
use tonic::Streaming;

use crate::{args::Global, client, console::Console, error::Error, exit::Exit, view::Artifact};

/// Fetch the content of an artifact.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Id of the artifact, as `run artifacts` lists it.
    artifact_id: String,
    /// File to write, replaced when it exists; `-` for standard output. When not given, a file of the artifact's own name in the
    /// current folder, never replaced.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Fetches an artifact. A file appears under its name only when its content is whole and matches the digest.
pub async fn execute(args: &Args, global: &Global, console: &mut Console<'_>) -> Result<Exit, Error> {
    let request = v1::DownloadArtifactRequest {
        artifact_id: args.artifact_id.clone(),
    };
    let mut pieces = client::runs(global)?.download_artifact(request).await?.into_inner();
    let first = pieces.message().await?.ok_or(Error::Incomplete("content"))?;
    let artifact = first.artifact.clone().ok_or(Error::Incomplete("artifact"))?;

    if args.out.as_deref() == Some(Path::new("-")) {
        receive(first, pieces, &artifact, &mut *console.out).await?;
        console.out.flush()?;
        return Ok(Exit::Ok);
    }
    let own_name = Path::new(&artifact.path).file_name().map(PathBuf::from);
    let target = args
        .out
        .clone()
        .or(own_name)
        .unwrap_or_else(|| PathBuf::from(&artifact.artifact_id));
    let file = save(first, pieces, &artifact, &target).await?;
    keep(file, &target, args.out.is_some())?;

    console.note(format!("{} bytes written to {}", artifact.size_bytes, target.display()))?;
    if console.format == crate::console::Format::Json {
        console.json_line(&serde_json::json!({ "file": target, "artifact": Artifact::from(artifact) }))?;
    }
    Ok(Exit::Ok)
}

/// Receives into a nameless neighbour of the target.
async fn save(
    first: DownloadArtifactResponse,
    pieces: Streaming<DownloadArtifactResponse>,
    artifact: &v1::Artifact,
    target: &Path,
) -> Result<NamedTempFile, Error> {
    let folder = target
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    // The umask applies, as to any file that the user makes.
    let made = tempfile::Builder::new()
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(folder);
    // The source would name the passing file, which means nothing to the user.
    let mut file = made.map_err(|error| Error::File {
        doing: format!("write a file in {}", folder.display()),
        source: error.kind().into(),
    })?;
    receive(first, pieces, artifact, &mut file).await?;
    Ok(file)
}

fn keep(file: NamedTempFile, target: &Path, replace: bool) -> Result<(), Error> {
    let kept = if replace {
        file.persist(target)
    } else {
        file.persist_noclobber(target)
    };
    let doing = || format!("write {} (name another file with --out)", target.display());
    kept.map(drop).map_err(|failed| Error::File {
        doing: doing(),
        source: failed.error,
    })
}

/// Writes all pieces and checks what they add up to.
async fn receive(
    first: DownloadArtifactResponse,
    mut pieces: Streaming<DownloadArtifactResponse>,
    artifact: &v1::Artifact,
    to: &mut (dyn Write + Send),
) -> Result<(), Error> {
    let mut hash = Sha256::new();
    let mut next = Some(first);
    while let Some(piece) = next {
        hash.update(&piece.content);
        to.write_all(&piece.content)?;
        next = pieces.message().await?;
    }
    if hex::encode(hash.finalize()) != artifact.digest {
        return Err(Error::Damaged {
            artifact_id: artifact.artifact_id.clone(),
        });
    }
    Ok(())
}
