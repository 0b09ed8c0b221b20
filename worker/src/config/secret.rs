//! Secrets: from the environment, or from a file that it names. Never from the command line, which the process list shows.

use std::{env, ffi::OsString, fs, io::Read as _};

use super::{Error, args::invalid};
use crate::variables::Variable;

/// Far more than any secret has, so that a wrong path doesn't fill the memory.
const LARGEST: u64 = 1 << 20;

/// A secret setting's value: that of its variable, or what is in the file that `<variable>_FILE` names; `None` where neither is set.
///
/// An empty file counts as not set, as a blank variable does: whoever mounts a file for each secret need not fill all of them.
pub(super) fn read(variable: &Variable, file: &Variable) -> Result<Option<String>, Error> {
    from(variable.name, file.name, |name| env::var_os(name))
}

fn from(variable: &'static str, file_variable: &'static str, get: impl Fn(&str) -> Option<OsString>) -> Result<Option<String>, Error> {
    let set = |name: &'static str| match get(name).map(OsString::into_string) {
        None => Ok(None),
        Some(Ok(value)) => Ok(Some(value.trim().to_owned()).filter(|value| !value.is_empty())),
        Some(Err(_)) => Err(invalid(name, "is no UTF-8 text: set it again")),
    };
    match (set(variable)?, set(file_variable)?) {
        (Some(_), Some(_)) => Err(invalid(file_variable, format!("is set, and so is {variable}: unset one of them"))),
        (value, None) => Ok(value),
        (None, Some(path)) => content(file_variable, &path),
    }
}

fn content(variable: &'static str, path: &str) -> Result<Option<String>, Error> {
    let wrong = |why: &str| invalid(variable, format!("names {path}, {why}"));
    let mut text = String::new();
    let read = fs::File::open(path).and_then(|file| file.take(LARGEST + 1).read_to_string(&mut text));
    match read {
        Err(error) => Err(wrong(&format!(
            "which can't be read ({error}): set a file with the secret, readable by the worker's user"
        ))),
        Ok(length) if length as u64 > LARGEST => Err(wrong("which is too large for a secret: set the file that holds it")),
        // An editor ends the last line; no secret ends so.
        Ok(_) => Ok(Some(text.trim_end_matches(['\n', '\r']).to_owned()).filter(|secret| !secret.trim().is_empty())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(set: &[(&str, &str)]) -> Result<Option<String>, String> {
        let get = |name: &str| set.iter().find(|(set, _)| *set == name).map(|(_, value)| value.into());
        from("KEY", "KEY_FILE", get).map_err(|error| error.to_string())
    }

    #[test]
    fn a_secret_comes_from_its_variable_or_from_a_file_without_the_end_of_its_last_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key").display().to_string();
        fs::write(&path, "first line\nsecond \r\n\n").unwrap();
        assert_eq!(read(&[]), Ok(None));
        assert_eq!(read(&[("KEY", " "), ("KEY_FILE", "")]), Ok(None));
        assert_eq!(read(&[("KEY", "abc")]), Ok(Some("abc".to_owned())));
        assert_eq!(read(&[("KEY_FILE", &path)]), Ok(Some("first line\nsecond ".to_owned())));
    }

    #[test]
    fn a_file_that_holds_no_secret_is_refused_by_its_path_and_never_by_its_content() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, content: &[u8]| {
            fs::write(folder.path().join(name), content).unwrap();
            folder.path().join(name).display().to_string()
        };
        let (empty, binary) = (file("empty", b"\n"), file("binary", b"\xff\xfesecret"));
        let large = file("large", &vec![b'x'; usize::try_from(LARGEST).unwrap() + 2]);
        let refused = |set: &[(&str, &str)]| read(set).unwrap_err().replace(&folder.path().display().to_string(), "/run");
        assert_eq!(read(&[("KEY_FILE", &empty)]), Ok(None));
        let said = [
            refused(&[("KEY", "abc"), ("KEY_FILE", &empty)]),
            refused(&[("KEY_FILE", &large)]),
            refused(&[("KEY_FILE", &binary)]),
            refused(&[("KEY_FILE", &folder.path().join("none").display().to_string())]),
        ];
        insta::assert_snapshot!(said.join("\n"), @"
        KEY_FILE is set, and so is KEY: unset one of them
        KEY_FILE names /run/large, which is too large for a secret: set the file that holds it
        KEY_FILE names /run/binary, which can't be read (stream did not contain valid UTF-8): set a file with the secret, readable by the worker's user
        KEY_FILE names /run/none, which can't be read (No such file or directory (os error 2)): set a file with the secret, readable by the worker's user
        ");
    }
}
