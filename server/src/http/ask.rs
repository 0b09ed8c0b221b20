//! Asks a server whether it is ready, as its container's health check does.

use std::{io, net::SocketAddr};

use moorline_telemetry::health;

/// Why it isn't known whether a server is ready.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody has said where to ask.
    #[error(
        "MOORLINE_HTTP_LISTEN is off, so there is nowhere to ask: set it to an address such as 127.0.0.1:7421, here and for the server"
    )]
    Off,
    /// No answer, or none that is understood.
    #[error("no server answers on {address}: start it with MOORLINE_HTTP_LISTEN={address}, or look at its log")]
    NoAnswer {
        /// Where was asked.
        address: SocketAddr,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

/// Asks the server that listens for HTTP there. Returns whether it is ready, and what it says.
///
/// # Errors
///
/// When there is nowhere to ask, or nothing that understands the question answers in time.
pub async fn ask(listen: Option<SocketAddr>) -> Result<(bool, String), Error> {
    let address = listen.ok_or(Error::Off)?;
    health::ask(address, "/readyz")
        .await
        .map_err(|source| Error::NoAnswer { address, source })
}

#[cfg(test)]
mod tests {
    use axum::{Router, http::StatusCode, routing::get};
    use tokio::net::TcpListener;

    use super::*;

    async fn answering(status: StatusCode) -> SocketAddr {
        let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().route("/readyz", get(move || async move { (status, "said") }));
        tokio::spawn(async move { axum::serve(listener, router).await });
        address
    }

    #[tokio::test]
    async fn one_that_listens_everywhere_is_asked_on_loopback() {
        let said = |answer: Result<(bool, String), Error>| answer.unwrap();
        assert_eq!(said(ask(Some(answering(StatusCode::OK).await)).await), (true, "said".to_owned()));
        assert_eq!(
            said(ask(Some(answering(StatusCode::SERVICE_UNAVAILABLE).await)).await),
            (false, "said".to_owned())
        );
    }

    #[tokio::test]
    async fn nobody_there_nowhere_to_ask_and_another_service_are_told_apart_from_an_answer() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let told = ask(Some(address)).await.unwrap_err().to_string();
        assert!(told.contains(&format!("no server answers on {address}")), "{told}");
        assert!(ask(None).await.unwrap_err().to_string().contains("MOORLINE_HTTP_LISTEN is off"));
        ask(Some(answering(StatusCode::NOT_FOUND).await)).await.unwrap_err();
    }
}
