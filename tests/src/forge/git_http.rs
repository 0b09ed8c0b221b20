//! Git over smart HTTP: every request is handed to the real `git http-backend`, a CGI program, body and answer as they come.

use std::{io, process::Stdio};

use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use futures::TryStreamExt;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader},
    process::{Child, ChildStdout, Command},
};
use tokio_util::io::{ReaderStream, StreamReader};

use super::{access, state::Shared};
use crate::git::ENVIRONMENT;

/// Serves `/owner/name[.git]/…`.
pub(super) async fn serve(State(shared): State<Shared>, request: Request) -> Response {
    let path = request.uri().path().trim_start_matches('/').to_owned();
    let parts: Vec<&str> = path.splitn(3, '/').collect();
    let [owner, name, rest] = parts[..] else { return not_found() };
    let repository = format!("{owner}/{}", name.strip_suffix(".git").unwrap_or(name));
    if path.contains("..") || !super::repository_path(&shared.root, &repository).is_dir() {
        return not_found();
    }
    let query = request.uri().query().unwrap_or_default();
    let writes = rest == "git-receive-pack" || query.contains("service=git-receive-pack");
    let authorized = access::is_authorized(request.headers());
    if !authorized && (writes || shared.lock().private) {
        let ask = [(header::WWW_AUTHENTICATE, "Basic realm=\"GitHub\"")];
        return (StatusCode::UNAUTHORIZED, ask, "a token is needed\n").into_response();
    }
    match backend(&shared, &format!("/{repository}.git/{rest}"), authorized, request).await {
        Ok(response) => response,
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("git http-backend: {error}\n")).into_response(),
    }
}

fn not_found() -> Response {
    (StatusCode::NOT_FOUND, "Repository not found.\n").into_response()
}

async fn backend(shared: &Shared, path_info: &str, authorized: bool, request: Request) -> io::Result<Response> {
    let mut child = command(shared, path_info, authorized, &request).spawn()?;
    let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
    let (mut stdin, stdout) = stdin.zip(stdout).ok_or_else(|| io::Error::other("no pipes"))?;
    // In a task of its own: a backend that answers before it has read everything must not wait for us.
    tokio::spawn(async move {
        let mut body = StreamReader::new(request.into_body().into_data_stream().map_err(io::Error::other));
        // A backend that has read enough closes its end; how the request went is in its answer.
        let _ = tokio::io::copy(&mut body, &mut stdin).await;
    });
    respond(child, BufReader::new(stdout)).await
}

/// The environment of a CGI program (RFC 3875).
fn command(shared: &Shared, path_info: &str, authorized: bool, request: &Request) -> Command {
    let mut command = Command::new("git");
    command.arg("http-backend").env_clear().envs(ENVIRONMENT).kill_on_drop(true);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    command.envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
    command
        .env("GIT_PROJECT_ROOT", &*shared.root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("PATH_INFO", path_info);
    command
        .env("REQUEST_METHOD", request.method().as_str())
        .env("QUERY_STRING", request.uri().query().unwrap_or_default());
    command.env("REMOTE_ADDR", "127.0.0.1");
    if authorized {
        // Pushing is allowed to users that the web server knows.
        command.env("REMOTE_USER", "local");
    }
    for (header, variable) in [
        ("content-type", "CONTENT_TYPE"),
        ("content-length", "CONTENT_LENGTH"),
        ("content-encoding", "HTTP_CONTENT_ENCODING"),
        ("git-protocol", "GIT_PROTOCOL"),
    ] {
        if let Some(value) = request.headers().get(header).and_then(|value| value.to_str().ok()) {
            command.env(variable, value);
        }
    }
    command
}

/// Turns the program's headers into the answer's, and passes the rest on.
async fn respond(child: Child, mut stdout: BufReader<ChildStdout>) -> io::Result<Response> {
    let mut response = Response::new(Body::empty());
    let mut line = String::new();
    loop {
        line.clear();
        if stdout.read_line(&mut line).await? == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it ended without an answer"));
        }
        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        let value = value.trim();
        if name.eq_ignore_ascii_case("status") {
            let code = value.split(' ').next().unwrap_or_default();
            *response.status_mut() = code.parse().map_err(io::Error::other)?;
        } else {
            let name: HeaderName = name.parse().map_err(io::Error::other)?;
            response
                .headers_mut()
                .insert(name, HeaderValue::from_str(value).map_err(io::Error::other)?);
        }
    }
    // The program lives as long as its output is read, and ends with the connection if the client goes away.
    let rest = futures::stream::try_unfold(
        (child, ReaderStream::new(stdout.take(u64::MAX))),
        |(child, mut reader)| async move { Ok::<_, io::Error>(reader.try_next().await?.map(|bytes| (bytes, (child, reader)))) },
    );
    *response.body_mut() = Body::from_stream(rest);
    Ok(response)
}
