//! Asks a health endpoint, as a container's health check does. One request needs no HTTP client.

use std::{io, net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::Error;

/// Within this time an endpoint must have answered.
const DEADLINE: Duration = Duration::from_secs(5);
/// Bytes of an answer at most.
const LONGEST: u64 = 64 << 10;

/// Asks the endpoint there. Returns whether the worker's stream is live, and the report as it came.
///
/// # Errors
///
/// [`Error::NoAnswer`] when nothing that understands the question answers in time.
pub async fn ask(address: SocketAddr) -> Result<(bool, String), Error> {
    // An endpoint that listens everywhere is asked here.
    let mut here = address;
    if address.ip().is_unspecified() {
        here.set_ip(match address {
            SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
        });
    }
    let answer = tokio::time::timeout(DEADLINE, exchange(here)).await;
    let answer = answer.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
    answer.map_err(|source| Error::NoAnswer { address, source })
}

async fn exchange(address: SocketAddr) -> io::Result<(bool, String)> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET /healthz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.take(LONGEST).read_to_string(&mut answer).await?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or(io::ErrorKind::InvalidData)?;
    match head.split_ascii_whitespace().nth(1) {
        Some("200") => Ok((true, body.to_owned())),
        Some("503") => Ok((false, body.to_owned())),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}
