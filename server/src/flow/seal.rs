//! An API key on its way to a worker. The way leads over the database, so it is sealed for the one process that may read it.

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use crypto_box::{PublicKey, aead::OsRng};
use secrecy::{ExposeSecret as _, SecretString};

use super::Error;
use crate::domain;

/// Seals a key (X25519, XSalsa20-Poly1305, an ephemeral sender) and returns it in base64.
///
/// # Errors
///
/// `API_KEY_MISSING`; `WORKER_TOO_OLD` when the worker has told no key to seal with.
pub(super) fn api_key(key: &SecretString, sealing_key: Option<&[u8]>) -> Result<String, Error> {
    let key = key.expose_secret().trim();
    if key.is_empty() {
        let message = "the API key is empty: pass one, or log in by device code";
        return Err(domain::Error::invalid("api_key", "API_KEY_MISSING", message).into());
    }
    let sealed = sealing_key
        .and_then(|bytes| PublicKey::from_slice(bytes).ok())
        .and_then(|public| public.seal(&mut OsRng, key.as_bytes()).ok());
    match sealed {
        Some(sealed) => Ok(BASE64.encode(sealed)),
        None => {
            let message = "the worker can't take an API key: update it to the server's version, or log in by device code";
            Err(domain::Error::precondition("WORKER_TOO_OLD", message).into())
        }
    }
}

#[cfg(test)]
mod tests {
    use crypto_box::SecretKey;

    use super::*;

    #[test]
    fn only_the_worker_can_read_a_key_and_no_two_sealed_keys_look_alike() {
        let worker = SecretKey::generate(&mut OsRng);
        let key = SecretString::from("sk-test-key\n");
        let seal = || BASE64.decode(api_key(&key, Some(worker.public_key().as_bytes())).unwrap()).unwrap();
        let sealed = seal();
        assert_eq!(worker.unseal(&sealed).unwrap(), b"sk-test-key");
        assert_ne!(sealed, seal());
        assert!(SecretKey::generate(&mut OsRng).unseal(&sealed).is_err());
    }

    #[test]
    fn without_a_key_on_either_side_nothing_is_sealed() {
        let worker = SecretKey::generate(&mut OsRng);
        assert!(api_key(&SecretString::from(" "), Some(worker.public_key().as_bytes())).is_err());
        assert!(api_key(&SecretString::from("sk-x"), None).is_err());
        assert!(api_key(&SecretString::from("sk-x"), Some(b"short")).is_err());
    }
}
