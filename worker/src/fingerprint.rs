//! Keyed fingerprints: they tell accounts and logins apart, and say nothing else of them.

use hmac::{Hmac, KeyInit, Mac};
use moorline_proto::v1::VolumeDiagnostics;
use secrecy::{ExposeSecret, SecretSlice, SecretString};
use sha2::Sha256;

use crate::agent::Identity;

/// The key that all workers of a fleet share. Without it a fingerprint can't be compared with a guess.
#[derive(Debug, Clone)]
pub struct Key(SecretSlice<u8>);

impl Key {
    /// The key of a Welcome; `None` where the server sends none.
    pub fn new(key: &[u8]) -> Option<Self> {
        (!key.is_empty()).then(|| Self(key.to_vec().into()))
    }

    /// HMAC-SHA256 of a value, in hex; nothing of nothing.
    fn of(&self, value: Option<&SecretString>) -> String {
        let value = value.map(ExposeSecret::expose_secret).filter(|value| !value.is_empty());
        let mac = Hmac::<Sha256>::new_from_slice(self.0.expose_secret());
        match (value, mac) {
            (Some(value), Ok(mac)) => hex::encode(mac.chain_update(value.as_bytes()).finalize().into_bytes()),
            // A key of any length will do, so there is nothing to report.
            _ => String::new(),
        }
    }
}

/// Puts the fingerprints of a login into what is reported of its volume; takes them out where there is no key yet.
pub fn stamp(identity: &Identity, key: Option<&Key>, diagnostics: &mut VolumeDiagnostics) {
    let of = |value: &Option<SecretString>| key.map(|key| key.of(value.as_ref())).unwrap_or_default();
    diagnostics.account_fingerprint = of(&identity.account);
    diagnostics.login_fingerprint = of(&identity.refresh_token);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_the_hmac_that_others_work_out() {
        // printf rt-old | openssl dgst -sha256 -hmac 0123456789abcdef0123456789abcdef
        let key = Key::new(b"0123456789abcdef0123456789abcdef").unwrap();
        assert_eq!(key.of(Some(&"rt-old".into())), KNOWN);
        assert_eq!(key.of(Some(&"".into())), "", "nothing has no fingerprint");
        assert_eq!(key.of(None), "");
    }

    const KNOWN: &str = "c7f2c1041b83cf902e3f50fa42a12c2f3bdf62c01de9465edd86821ce09bcddc";

    #[test]
    fn without_a_key_nothing_is_said_and_the_values_never_print() {
        let identity = Identity {
            account: Some("acct-1".into()),
            refresh_token: Some("rt-old".into()),
        };
        let mut diagnostics = VolumeDiagnostics::default();
        stamp(&identity, None, &mut diagnostics);
        assert_eq!(
            (diagnostics.account_fingerprint.as_str(), diagnostics.login_fingerprint.as_str()),
            ("", "")
        );
        let key = Key::new(&[7; 32]);
        stamp(&identity, key.as_ref(), &mut diagnostics);
        assert_eq!(diagnostics.account_fingerprint.len(), 64);
        assert_ne!(diagnostics.account_fingerprint, diagnostics.login_fingerprint);
        let printed = format!("{identity:?} {key:?}");
        assert!(
            !printed.contains("acct-1") && !printed.contains("rt-old") && !printed.contains("7, 7"),
            "{printed}"
        );
        assert!(Key::new(&[]).is_none());
    }
}
