//! An issuer of logins on loopback: what `auth.openai.com` is to Codex, with single-use refresh tokens.
//!
//! Codex uses it with `login --device-auth --experimental_issuer` = [`Issuer::url`], and `CODEX_REFRESH_TOKEN_URL_OVERRIDE` and
//! `CODEX_REVOKE_TOKEN_URL_OVERRIDE` = [`Issuer::refresh_url`] and [`Issuer::revoke_url`]. A
//! [`ScriptedModel`](crate::model::ScriptedModel) that was started for an issuer takes no other issuer's tokens.
//!
//! | module | is |
//! | --- | --- |
//! | `books` | what it knows: logins, which token of each counts, and what has been asked |
//! | `device`, `oauth` | its pages and endpoints |
//! | `pause` | a refresh that is stopped half-way |
//! | `token` | what it issues |

mod books;
mod device;
mod oauth;
mod pause;
#[cfg(test)]
mod tests;
mod token;

use std::{io, net::SocketAddr, time::Duration};

use axum::{
    Router,
    routing::{get, post},
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use self::books::Shared;
pub use self::{
    books::{Decision, Exchange, Kind, Outcome, Refusal},
    pause::{Pause, Point},
};

/// So long before its end Codex renews an access token, at every use of it: one that is issued for less is renewed without end.
pub const RENEWED_BEFORE: Duration = Duration::from_secs(300);

/// A running issuer. It ends when this is dropped.
#[derive(Debug)]
pub struct Issuer {
    address: SocketAddr,
    shared: Shared,
    stop: CancellationToken,
}

impl Issuer {
    /// Listens on a free port of loopback; access tokens last for an hour.
    pub async fn start() -> io::Result<Self> {
        Self::start_on(SocketAddr::from(([127, 0, 0, 1], 0))).await
    }

    /// Listens on an address.
    pub async fn start_on(address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let shared = Shared::new(format!("http://{address}"));
        let app = Router::new()
            .route("/api/accounts/deviceauth/usercode", post(device::user_code))
            .route("/api/accounts/deviceauth/token", post(device::poll))
            .route("/codex/device", get(device::page).post(device::enter))
            .route("/oauth/token", post(oauth::token))
            .route("/oauth/revoke", post(oauth::revoke))
            .with_state(shared.clone());
        let stop = CancellationToken::new();
        let stopped = stop.clone().cancelled_owned();
        tokio::spawn(async move { axum::serve(listener, app).with_graceful_shutdown(stopped).await });
        Ok(Self { address, shared, stop })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its name, such as `http://127.0.0.1:4711`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where tokens are renewed.
    pub fn refresh_url(&self) -> String {
        format!("{}/oauth/token", self.url())
    }

    /// Where tokens are given back.
    pub fn revoke_url(&self) -> String {
        format!("{}/oauth/revoke", self.url())
    }

    /// From now on access tokens last so long.
    pub fn set_lifetime(&self, lifetime: Duration) {
        self.shared.lock().lifetime = lifetime;
    }

    /// From now on Codex renews the token at every use that begins later than `age` after it was issued, and is content with it before.
    pub fn renew_after(&self, age: Duration) {
        self.set_lifetime(RENEWED_BEFORE + age);
    }

    /// From now on logins are for this account.
    pub fn set_account(&self, account: &str) {
        account.clone_into(&mut self.shared.lock().account);
    }

    /// From now on every code is as good as entered: for logins that no person is needed for.
    pub fn approve_at_once(&self) {
        self.shared.lock().approves_at_once = true;
    }

    /// From now on a person has to enter every code.
    pub fn wait_for_a_person(&self) {
        self.shared.lock().approves_at_once = false;
    }

    /// Codes that wait for a person, oldest first.
    pub fn waiting(&self) -> Vec<String> {
        self.shared.lock().waiting()
    }

    /// What a person does who enters a code, refuses it, or leaves it until it has expired. Whether there was such a code.
    pub fn decide(&self, user_code: &str, decision: Decision) -> bool {
        self.shared.lock().decide(user_code, decision)
    }

    /// A new login as Codex stores it in `auth.json`.
    pub fn credential(&self) -> String {
        let mut books = self.shared.lock();
        let grant = books.grant();
        let account = books.account.clone();
        let tokens = books.log_in(&grant).ok();
        tokens.map(|tokens| tokens.file(&account)).unwrap_or_default()
    }

    /// Stops the next refresh at a point.
    pub fn pause_at(&self, point: Point) -> Pause {
        self.shared.pause_at(point)
    }

    /// Answers the next refreshes with a status, such as 500, without deciding anything.
    pub fn fail_next(&self, status: u16, times: usize) {
        self.shared.lock().failures = (status, times);
    }

    /// Takes back every login, as a person does who signs out everywhere.
    pub fn revoke_all(&self) {
        self.shared.lock().revoke_all();
    }

    /// What has been asked so far, in order of the decisions.
    pub fn journal(&self) -> Vec<Exchange> {
        self.shared.lock().journal.clone()
    }

    /// How many times a refresh token came that had been used before.
    pub fn reused(&self) -> usize {
        self.journal()
            .iter()
            .filter(|exchange| exchange.outcome == Outcome::Refused(Refusal::Reused))
            .count()
    }

    /// Makes an API key good, as far as the model goes.
    pub fn add_key(&self, key: &str) {
        self.shared.lock().keys.push(key.to_owned());
    }

    /// What makes each token that was ever issued good, refresh tokens and the signatures of the others: for a search of places where none
    /// may be.
    pub fn secrets(&self) -> Vec<String> {
        self.shared.lock().secrets()
    }

    /// Whether the login whose refresh token this is could still be renewed by it.
    pub fn counts(&self, refresh_token: &str) -> bool {
        self.shared.lock().counts(refresh_token)
    }

    /// Who asks with this access token: for the model.
    pub(crate) fn reader(&self) -> Reader {
        Reader(self.shared.clone())
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Judges access tokens.
#[derive(Debug, Clone)]
pub(crate) struct Reader(Shared);

impl Reader {
    /// Why an access token isn't good, as the code of the error that the real service answers with.
    pub(crate) fn judge(&self, access_token: &str) -> Result<(), &'static str> {
        self.0.lock().judge(access_token)
    }
}
