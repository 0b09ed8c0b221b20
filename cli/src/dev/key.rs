//! The API key on standard input.

use std::io::{self, IsTerminal, Read};

use secrecy::SecretString;

use crate::error::Error;

/// Longest key that is read; real ones have under 200 characters.
const LONGEST: u64 = 4096;

/// Reads a key, without the line end. From a terminal it would be shown while it is typed, so a terminal is refused.
pub fn read() -> Result<SecretString, Error> {
    let input = io::stdin();
    if input.is_terminal() {
        return Err(Error::Usage(
            "--api-key-stdin reads the key from a file or a pipe: moorline dev --api-key-stdin < FILE".to_owned(),
        ));
    }
    from(input.lock())
}

fn from(input: impl Read) -> Result<SecretString, Error> {
    let mut text = String::new();
    let read = input.take(LONGEST).read_to_string(&mut text);
    read.map_err(|source| Error::File {
        doing: "read the API key from standard input".to_owned(),
        source,
    })?;
    match text.trim() {
        "" => Err(Error::Usage(
            "standard input holds no API key, which --api-key-stdin asks for".to_owned(),
        )),
        key if key.contains(char::is_whitespace) => Err(Error::Usage("standard input holds more than one API key".to_owned())),
        key => Ok(SecretString::from(key)),
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn a_key_is_read_without_its_line_end() {
        assert_eq!(from("sk-test-1\n".as_bytes()).expect("a key").expose_secret(), "sk-test-1");
    }

    #[test]
    fn no_key_and_two_keys_are_refused() {
        for input in ["", " \n", "sk-1\nsk-2\n"] {
            assert!(matches!(from(input.as_bytes()), Err(Error::Usage(_))), "{input:?}");
        }
    }
}
