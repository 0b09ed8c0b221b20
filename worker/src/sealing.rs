//! What only this process can read: secrets that the server passes on and must not keep.

use std::fmt;

use crypto_box::{SecretKey, aead::OsRng};
use secrecy::{SecretString, zeroize::Zeroize};

/// A key pair of one process. It is never written down: what was sealed for a process before this one is lost with that process.
pub struct SealingKey(SecretKey);

/// Why something that was sealed can't be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Sealed for another key.
    #[error("it was not sealed for this process of the worker, which may have started anew meanwhile: send it again")]
    NotForThis,
    /// Not text.
    #[error("what was sealed is not text: send the key as it was issued")]
    NotText,
}

impl SealingKey {
    /// A new pair.
    pub fn generate() -> Self {
        Self(SecretKey::generate(&mut OsRng))
    }

    /// The part that the server may know, 32 bytes.
    pub fn public(&self) -> [u8; 32] {
        *self.0.public_key().as_bytes()
    }

    /// Opens a sealed box (X25519, XSalsa20-Poly1305) with a text in it.
    pub fn unseal(&self, sealed: &[u8]) -> Result<SecretString, Error> {
        let opened = self.0.unseal(sealed).map_err(|_| Error::NotForThis)?;
        match String::from_utf8(opened) {
            Ok(text) => Ok(text.into()),
            Err(error) => {
                error.into_bytes().zeroize();
                Err(Error::NotText)
            }
        }
    }
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealingKey(public ")?;
        f.write_str(&hex::encode(self.public()))?;
        f.write_str(")")
    }
}

#[cfg(test)]
mod tests {
    use crypto_box::PublicKey;
    use secrecy::ExposeSecret;

    use super::*;

    fn sealed(key: &SealingKey, text: &[u8]) -> Vec<u8> {
        PublicKey::from(key.public()).seal(&mut OsRng, text).unwrap()
    }

    #[test]
    fn what_is_sealed_for_a_process_only_that_process_reads() {
        let (mine, others) = (SealingKey::generate(), SealingKey::generate());
        let secret = sealed(&mine, b"sk-test-0123456789");
        assert_eq!(mine.unseal(&secret).unwrap().expose_secret(), "sk-test-0123456789");
        assert_eq!(others.unseal(&secret).unwrap_err(), Error::NotForThis);
        assert_eq!(mine.unseal(&secret[1..]).unwrap_err(), Error::NotForThis);
        assert_eq!(mine.unseal(&sealed(&mine, &[0xff])).unwrap_err(), Error::NotText);
    }

    #[test]
    fn the_secret_part_does_not_print() {
        let key = SealingKey::generate();
        let printed = format!("{key:?}");
        assert!(printed.contains(&hex::encode(key.public())));
        assert!(!printed.contains(&hex::encode(key.0.to_bytes())));
    }
}
