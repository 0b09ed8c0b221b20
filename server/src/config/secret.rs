//! A secret in a file.

use std::{fs, io::Read as _, path::Path};

use secrecy::SecretString;

/// Far more than an address has.
const LARGEST: u64 = 1 << 20;

/// Why a secret can't be had from a file.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is given twice.
    #[error("{variable}_FILE is set, and so is {variable}: unset one of them")]
    Twice {
        /// The variable.
        variable: &'static str,
    },
    /// The file can't be used.
    #[error("{variable}_FILE names {path}, which {why}: set a file with the secret, readable by the server's user")]
    Unusable {
        /// The variable.
        variable: &'static str,
        /// The path.
        path: String,
        /// Why not.
        why: String,
    },
}

/// What is in the file, without the end of its last line.
pub(super) fn read(variable: &'static str, path: &Path) -> Result<SecretString, Error> {
    let unusable = |why: String| Error::Unusable {
        variable,
        path: path.display().to_string(),
        why,
    };
    let mut text = String::new();
    let read = fs::File::open(path).and_then(|file| file.take(LARGEST).read_to_string(&mut text));
    read.map_err(|error| unusable(format!("can't be read ({error})")))?;
    match text.trim_end_matches(['\n', '\r']) {
        secret if secret.trim().is_empty() => Err(unusable("is empty".to_owned())),
        secret => Ok(secret.to_owned().into()),
    }
}
