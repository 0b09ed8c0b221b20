//! Asks a program's health endpoint, as a container's health check does. One request needs no HTTP client.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// Within this time an endpoint must have answered.
const DEADLINE: Duration = Duration::from_secs(5);
/// Bytes of an answer at most.
const LONGEST: u64 = 64 << 10;

/// Asks for `path` there. Returns whether the answer was 200, and what it says; 503 is the other answer that is one.
///
/// # Errors
///
/// When nothing that understands the question answers within five seconds.
pub async fn ask(address: SocketAddr, path: &str) -> io::Result<(bool, String)> {
    let answer = tokio::time::timeout(DEADLINE, exchange(here(address), path)).await;
    answer.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// One that listens everywhere is asked here.
fn here(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}

async fn exchange(address: SocketAddr, path: &str) -> io::Result<(bool, String)> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
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
