//! An API key on its way from a person or a program to the request: never by the command line, never shown.

use std::io::{self, IsTerminal, Read};

use crate::error::Error;

/// More than any key has; what is longer is a mistake, such as a whole file.
const LONGEST_KEY: u64 = 4_096;

/// Where people put a key that must not be there.
#[derive(Debug, clap::Args)]
pub struct Misplaced {
    #[arg(long = "api-key", hide = true, num_args = 0..=1, default_missing_value = "")]
    api_key: Option<Hidden>,
    #[arg(hide = true)]
    words: Vec<Hidden>,
}

/// A text that is read from the command line, and forgotten.
#[derive(Debug, Clone)]
struct Hidden;

impl From<&str> for Hidden {
    fn from(_: &str) -> Self {
        Self
    }
}

impl Misplaced {
    /// Explains why a key on the command line isn't taken.
    pub fn refuse(&self, volume: &str) -> Result<(), Error> {
        if self.api_key.is_none() && self.words.is_empty() {
            return Ok(());
        }
        Err(Error::Usage(format!(
            "an API key is not taken from the command line, where every process of this machine can read it and the shell's history keeps it: \
             if you gave one, replace it at its issuer, then run `moorline volume login {volume} --api-key-stdin` and give it on standard input"
        )))
    }
}

/// Reads the key: asked for without echo when standard input is a terminal, else all that it holds.
pub fn read(volume: &str) -> Result<String, Error> {
    let read = if io::stdin().is_terminal() {
        rpassword::prompt_password(format!("API key for {volume} (not shown): "))
    } else {
        let mut text = String::new();
        io::stdin().take(LONGEST_KEY + 1).read_to_string(&mut text).map(|_| text)
    };
    let text = read.map_err(|source| Error::File {
        doing: "read the API key from standard input".to_owned(),
        source,
    })?;
    let key = text.trim();
    let problem = if key.is_empty() {
        "there is no API key on standard input"
    } else if key.len() as u64 > LONGEST_KEY || key.contains(|letter: char| letter.is_whitespace() || letter.is_control()) {
        "what standard input holds is no API key"
    } else {
        return Ok(key.to_owned());
    };
    Err(Error::Usage(format!(
        "{problem}: give it alone on one line, such as `moorline volume login {volume} --api-key-stdin < FILE`"
    )))
}
