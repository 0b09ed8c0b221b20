//! The template: what it says, or why it can't be used.

use std::{fs, path::Path};

use toml_edit::{DocumentMut, Item, value};

/// Far more than any settings have.
const LARGEST: u64 = 1 << 20;
const KEY: &str = "approval_policy";
/// The only value that lets Codex work where nobody can be asked.
pub(super) const NEVER: &str = "never";

/// Why a template can't be used.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// It can't be read.
    #[error("CODEX_TEMPLATE_PATH names {path}, which can't be read ({why}): set a TOML file that the worker may read, or unset it")]
    Unreadable {
        /// Its path.
        path: String,
        /// What the system said.
        why: String,
    },
    /// It isn't TOML.
    #[error("CODEX_TEMPLATE_PATH names {path}, which is no TOML ({why}): mend it, or unset the variable")]
    NoToml {
        /// Its path.
        path: String,
        /// What is wrong, and in which line.
        why: String,
    },
    /// It lets Codex ask.
    #[error(
        "CODEX_TEMPLATE_PATH names {path}, which does not set approval_policy to \"never\": nobody can answer an agent that asks, so write \
         approval_policy = \"never\", or leave the key out"
    )]
    Asks {
        /// Its path.
        path: String,
    },
}

/// The template at a path, or the built-in one; either sets `approval_policy`.
pub(super) fn template(path: Option<&Path>) -> Result<DocumentMut, Unusable> {
    let mut template = match path {
        Some(path) => read(path)?,
        None => DocumentMut::new(),
    };
    match template.get(KEY).map(Item::as_str) {
        None => {
            template.insert(KEY, value(NEVER));
            Ok(template)
        }
        Some(Some(NEVER)) => Ok(template),
        Some(_) => Err(Unusable::Asks {
            path: path.map(|path| path.display().to_string()).unwrap_or_default(),
        }),
    }
}

fn read(path: &Path) -> Result<DocumentMut, Unusable> {
    let shown = || path.display().to_string();
    let unreadable = |why: String| Unusable::Unreadable { path: shown(), why };
    let found = path.metadata().map_err(|error| unreadable(error.to_string()))?;
    if !found.is_file() || found.len() > LARGEST {
        return Err(unreadable("it is no file of settings".to_owned()));
    }
    let text = fs::read_to_string(path).map_err(|error| unreadable(error.to_string()))?;
    text.parse().map_err(|error| Unusable::NoToml {
        path: shown(),
        why: what(&error, &text),
    })
}

/// What is wrong with a text and where, without any of the text: settings may hold secrets.
pub(super) fn what(error: &toml_edit::TomlError, text: &str) -> String {
    let line = error
        .span()
        .and_then(|span| text.get(..span.start))
        .map(|before| before.matches('\n').count() + 1);
    let line = line.map(|line| format!(" in line {line}")).unwrap_or_default();
    let message = error.message().lines().next().unwrap_or_default();
    // It may cite what it has found.
    let message = message
        .split(['`', '"'])
        .next()
        .unwrap_or_default()
        .trim_end_matches([' ', ',', ':']);
    format!("{message}{line}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_readable_template_that_never_asks_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("template.toml");
        let written = |text: &str| {
            fs::write(&path, text).unwrap();
            template(Some(&path)).map(|template| template.to_string()).map_err(|error| {
                let text = error.to_string();
                text.replace(&path.display().to_string(), "/etc/t.toml")
            })
        };
        assert_eq!(template(None).unwrap().to_string(), "approval_policy = \"never\"\n");
        assert_eq!(written("a = 1\n").unwrap(), "a = 1\napproval_policy = \"never\"\n");
        assert_eq!(written("approval_policy = 'never'\n").unwrap(), "approval_policy = 'never'\n");
        let said = [
            written("approval_policy = \"on-request\"\n").unwrap_err(),
            written("approval_policy = false\n").unwrap_err(),
            written("a = 1\nkey = sk-secret-secret\n").unwrap_err(),
            written("a = 1\na = 2\n").unwrap_err(),
            template(Some(folder.path()))
                .unwrap_err()
                .to_string()
                .replace(&folder.path().display().to_string(), "/etc"),
            template(Some(Path::new("/no/such/file"))).unwrap_err().to_string(),
        ];
        insta::assert_snapshot!(said.join("\n"), @r#"
        CODEX_TEMPLATE_PATH names /etc/t.toml, which does not set approval_policy to "never": nobody can answer an agent that asks, so write approval_policy = "never", or leave the key out
        CODEX_TEMPLATE_PATH names /etc/t.toml, which does not set approval_policy to "never": nobody can answer an agent that asks, so write approval_policy = "never", or leave the key out
        CODEX_TEMPLATE_PATH names /etc/t.toml, which is no TOML (string values must be quoted, expected literal string in line 2): mend it, or unset the variable
        CODEX_TEMPLATE_PATH names /etc/t.toml, which is no TOML (duplicate key in line 2): mend it, or unset the variable
        CODEX_TEMPLATE_PATH names /etc, which can't be read (it is no file of settings): set a TOML file that the worker may read, or unset it
        CODEX_TEMPLATE_PATH names /no/such/file, which can't be read (No such file or directory (os error 2)): set a TOML file that the worker may read, or unset it
        "#);
    }
}
