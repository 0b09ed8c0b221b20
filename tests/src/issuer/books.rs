//! What the issuer knows.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use serde_json::json;

use super::{
    pause::{self, Brake, Pause, Point},
    token,
};

/// One exchange with the issuer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchange {
    /// When it was decided.
    pub at: SystemTime,
    /// What was asked.
    pub kind: Kind,
    /// Number of the login, from 1; 0 when it isn't known.
    pub login: usize,
    /// Which token of that login asked: 0 for the one of the login itself, and one more with each refresh.
    pub token: u64,
    /// What came of it.
    pub outcome: Outcome,
}

/// What can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A new login by an approved code.
    Login,
    /// New tokens for a refresh token.
    Refresh,
    /// That a login ends.
    Revoke,
}

/// What came of an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The login's next token was issued, with this number.
    Issued(u64),
    /// The login has ended.
    Revoked,
    /// No.
    Refused(Refusal),
    /// The issuer failed, as it was told to.
    Failed(u16),
}

/// Why the issuer says no.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The refresh token was used before. The login ends, since one of its users must be a thief.
    Reused,
    /// The login has ended.
    Invalidated,
    /// The token, or the code, is none of the issuer's.
    Unknown,
}

/// What a person does with a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Enters it and says yes.
    Approve,
    /// Enters it and says no.
    Deny,
    /// Does nothing until it has expired.
    Expire,
}

/// A code for a device login.
#[derive(Debug)]
pub(super) struct Code {
    pub(super) user_code: String,
    pub(super) decision: Option<Decision>,
}

/// One login and all tokens that ever came of it.
#[derive(Debug)]
struct Login {
    account: String,
    /// Number of the only refresh token that counts.
    current: u64,
    revoked: bool,
}

#[derive(Debug)]
struct Access {
    login: usize,
    until: SystemTime,
}

/// What is answered to somebody who may have a login.
#[derive(Debug)]
pub(super) struct Tokens {
    pub(super) id: String,
    pub(super) access: String,
    pub(super) refresh: String,
}

impl Tokens {
    /// As Codex stores them.
    pub(super) fn file(&self, account: &str) -> String {
        let tokens = json!({
            "id_token": self.id, "access_token": self.access, "refresh_token": self.refresh, "account_id": account,
        });
        let last_refresh = chrono::Utc::now().to_rfc3339();
        json!({"auth_mode": "chatgpt", "OPENAI_API_KEY": null, "tokens": tokens, "last_refresh": last_refresh}).to_string()
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Books {
    url: String,
    pub(super) lifetime: Duration,
    pub(super) account: String,
    pub(super) approves_at_once: bool,
    pub(super) failures: (u16, usize),
    /// By the device's own id.
    pub(super) codes: BTreeMap<String, Code>,
    /// Authorization codes that haven't been used.
    grants: Vec<String>,
    logins: Vec<Login>,
    /// Refresh tokens: the index of their login, and which of its tokens they are.
    refresh: HashMap<String, (usize, u64)>,
    access: HashMap<String, Access>,
    ids: Vec<String>,
    pub(super) keys: Vec<String>,
    brakes: Vec<Brake>,
    pub(super) journal: Vec<Exchange>,
}

impl Books {
    pub(super) fn waiting(&self) -> Vec<String> {
        let waiting = self.codes.values().filter(|code| code.decision.is_none());
        waiting.map(|code| code.user_code.clone()).collect()
    }

    pub(super) fn decide(&mut self, user_code: &str, decision: Decision) -> bool {
        let code = self
            .codes
            .values_mut()
            .find(|code| code.user_code == user_code && code.decision.is_none());
        code.map(|code| code.decision = Some(decision)).is_some()
    }

    /// A code that is exchanged for a login, once.
    pub(super) fn grant(&mut self) -> String {
        let code = format!("ac_{}", token::random());
        self.grants.push(code.clone());
        code
    }

    pub(super) fn log_in(&mut self, grant: &str) -> Result<Tokens, Refusal> {
        let Some(at) = self.grants.iter().position(|known| known == grant) else {
            return Err(self.note(Kind::Login, 0, 0, Refusal::Unknown));
        };
        self.grants.remove(at);
        self.logins.push(Login {
            account: self.account.clone(),
            current: 0,
            revoked: false,
        });
        Ok(self.issue(Kind::Login, self.logins.len() - 1, 0))
    }

    pub(super) fn refresh(&mut self, refresh_token: &str) -> Result<Tokens, Refusal> {
        let Some(&(index, number)) = self.refresh.get(refresh_token) else {
            return Err(self.note(Kind::Refresh, 0, 0, Refusal::Unknown));
        };
        let login = &mut self.logins[index];
        if number < login.current {
            login.revoked = true;
            return Err(self.note(Kind::Refresh, index + 1, number, Refusal::Reused));
        }
        if login.revoked {
            return Err(self.note(Kind::Refresh, index + 1, number, Refusal::Invalidated));
        }
        login.current += 1;
        Ok(self.issue(Kind::Refresh, index, number))
    }

    /// Ends the login of a token of either kind.
    pub(super) fn revoke(&mut self, token: &str) {
        let of_refresh = self.refresh.get(token).copied();
        let Some((index, number)) = of_refresh.or_else(|| Some((self.access.get(token)?.login, 0))) else {
            self.note(Kind::Revoke, 0, 0, Refusal::Unknown);
            return;
        };
        self.logins[index].revoked = true;
        self.write(Kind::Revoke, index + 1, number, Outcome::Revoked);
    }

    pub(super) fn revoke_all(&mut self) {
        self.logins.iter_mut().for_each(|login| login.revoked = true);
    }

    pub(super) fn counts(&self, refresh_token: &str) -> bool {
        let login = |(index, number): &(usize, u64)| (&self.logins[*index], *number);
        let found = self.refresh.get(refresh_token).map(login);
        found.is_some_and(|(login, number)| !login.revoked && login.current == number)
    }

    pub(super) fn judge(&self, access_token: &str) -> Result<(), &'static str> {
        match self.access.get(access_token) {
            None if self.keys.iter().any(|key| key == access_token) => Ok(()),
            None => Err("invalid_api_key"),
            Some(access) if self.logins[access.login].revoked => Err("token_revoked"),
            Some(access) if access.until <= SystemTime::now() => Err("token_expired"),
            Some(_) => Ok(()),
        }
    }

    pub(super) fn secrets(&self) -> Vec<String> {
        let signatures = self.access.keys().chain(&self.ids).filter_map(|token| token.rsplit('.').next());
        self.refresh
            .keys()
            .map(String::as_str)
            .chain(signatures)
            .map(str::to_owned)
            .collect()
    }

    /// The failure that the next refresh is to get, if any.
    pub(super) fn failure(&mut self) -> Option<u16> {
        let (status, left) = &mut self.failures;
        *left = left.checked_sub(1)?;
        let status = *status;
        self.write(Kind::Refresh, 0, 0, Outcome::Failed(status));
        Some(status)
    }

    fn issue(&mut self, kind: Kind, index: usize, asked_by: u64) -> Tokens {
        let (login, until) = (&self.logins[index], SystemTime::now() + self.lifetime);
        let (number, jwt) = (login.current, |until| token::jwt(&self.url, &login.account, until));
        let tokens = Tokens {
            id: jwt(SystemTime::now() + Duration::from_secs(3600)),
            access: jwt(until),
            refresh: token::refresh(),
        };
        self.refresh.insert(tokens.refresh.clone(), (index, number));
        self.access.insert(tokens.access.clone(), Access { login: index, until });
        self.ids.push(tokens.id.clone());
        self.write(kind, index + 1, asked_by, Outcome::Issued(number));
        tokens
    }

    fn note(&mut self, kind: Kind, login: usize, token: u64, refusal: Refusal) -> Refusal {
        self.write(kind, login, token, Outcome::Refused(refusal));
        refusal
    }

    fn write(&mut self, kind: Kind, login: usize, token: u64, outcome: Outcome) {
        let at = SystemTime::now();
        self.journal.push(Exchange {
            at,
            kind,
            login,
            token,
            outcome,
        });
    }
}

/// The books, as handlers share them.
#[derive(Debug, Clone)]
pub(super) struct Shared(Arc<Mutex<Books>>);

impl Shared {
    pub(super) fn new(url: String) -> Self {
        Self(Arc::new(Mutex::new(Books {
            url,
            lifetime: Duration::from_secs(3600),
            account: "account-1".to_owned(),
            approves_at_once: false,
            failures: (0, 0),
            codes: BTreeMap::new(),
            grants: Vec::new(),
            logins: Vec::new(),
            refresh: HashMap::new(),
            access: HashMap::new(),
            ids: Vec::new(),
            keys: Vec::new(),
            brakes: Vec::new(),
            journal: Vec::new(),
        })))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Books> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn pause_at(&self, point: Point) -> Pause {
        let (pause, brake) = pause::pause(point);
        self.lock().brakes.push(brake);
        pause
    }

    /// The brake for a refresh that is at this point.
    pub(super) fn brake(&self, point: Point) -> Option<Brake> {
        let brakes = &mut self.lock().brakes;
        let at = brakes.iter().position(|brake| brake.point == point)?;
        Some(brakes.remove(at))
    }
}
