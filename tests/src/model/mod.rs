//! A scripted model: the OpenAI Responses API, and Google's for Gemini, over server-sent events, with an answer that the address decides.
//!
//! Point Codex at `http://HOST:PORT/<mode>/v1` (`-c openai_base_url=…`); [`Mode`] lists the modes. The answer depends on the request
//! alone, [`Mode::Flaky`] apart, so any number of runs share one server. Gemini's base URL is `http://HOST:PORT/<mode>`.
//!
//! With a ChatGPT login, point it at [`ScriptedModel::chatgpt_url`] too (`-c chatgpt_base_url=…`). A model that was started for an
//! [`Issuer`] answers nobody whose access token isn't one of its own, or no longer good.

mod account;
mod answer;
mod body;
mod gemini;
mod mode;
mod prompt;
mod request;
mod server;
mod shell;
#[cfg(test)]
pub(crate) mod tests;

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;

pub use self::{mode::Mode, request::Request};
use crate::issuer::{Issuer, Reader};

/// A running scripted model. It ends when this is dropped.
#[derive(Debug)]
pub struct ScriptedModel {
    address: SocketAddr,
    log: RequestLog,
    go: CancellationToken,
    stop: CancellationToken,
    server: JoinHandle<io::Result<()>>,
}

impl ScriptedModel {
    /// Listens on `address`; port 0 takes a free one.
    pub async fn start(address: SocketAddr) -> io::Result<Self> {
        Self::start_for(address, None).await
    }

    /// The same for accounts of an issuer only: who asks without an access token that is good is answered 401.
    pub async fn of_issuer(address: SocketAddr, issuer: &Issuer) -> io::Result<Self> {
        Self::start_for(address, Some(issuer.reader())).await
    }

    async fn start_for(address: SocketAddr, reader: Option<Reader>) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let (log, go, stop) = (RequestLog::default(), CancellationToken::new(), CancellationToken::new());
        let app = server::router(log.clone(), go.clone(), stop.clone(), reader);
        let stopped = stop.clone().cancelled_owned();
        let serve = async move { axum::serve(listener, app).with_graceful_shutdown(stopped).await };
        Ok(Self {
            address,
            log,
            go,
            stop,
            server: tokio::spawn(serve),
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The base URL for an agent CLI, such as `http://127.0.0.1:4711/work/v1` for `work`.
    pub fn base_url(&self, mode: &str) -> String {
        format!("http://{}/{mode}/v1", self.address)
    }

    /// The base URL for the Gemini CLI, such as `http://127.0.0.1:4711/work`.
    pub fn gemini_url(&self, mode: &str) -> String {
        format!("http://{}/{mode}", self.address)
    }

    /// Where Codex with a ChatGPT login asks about its account.
    pub fn chatgpt_url(&self) -> String {
        format!("http://{}/backend-api", self.address)
    }

    /// What has been asked so far, in order.
    pub fn requests(&self) -> Vec<Request> {
        self.log.all()
    }

    /// Lets it answer those who wait, and all who ask from now on, in mode `wait`.
    pub fn go_on(&self) {
        self.go.cancel();
    }

    /// Cuts every answer that hangs, and waits until the last connection has ended.
    pub async fn stop(mut self) -> io::Result<()> {
        self.stop.cancel();
        (&mut self.server).await.map_err(io::Error::other)?
    }
}

impl Drop for ScriptedModel {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// The requests so far.
#[derive(Debug, Clone, Default)]
struct RequestLog(Arc<Mutex<Vec<Request>>>);

impl RequestLog {
    fn add(&self, request: Request) {
        self.lock().push(request);
    }

    fn all(&self) -> Vec<Request> {
        self.lock().clone()
    }

    /// How many requests to a path there were.
    fn count(&self, path: &str) -> usize {
        self.lock()
            .iter()
            .filter(|request| request.method == "POST" && request.path == path)
            .count()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Request>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
