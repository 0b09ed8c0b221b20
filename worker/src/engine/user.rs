//! The user that jobs run as.

use std::{num::ParseIntError, str::FromStr};

use rustix::process::geteuid;

/// A numeric user and group, written `uid:gid`, or `uid` when both are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct User {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
}

/// The setting isn't a user.
#[derive(Debug, thiserror::Error)]
#[error("MOORLINE_JOB_USER is {given:?}: set it to numbers, such as 1000:1000")]
pub struct Error {
    /// What was given.
    given: String,
    /// What is wrong with it.
    #[source]
    source: ParseIntError,
}

impl FromStr for User {
    type Err = Error;

    fn from_str(given: &str) -> Result<Self, Error> {
        let number = |part: &str| {
            part.trim().parse::<u32>().map_err(|source| Error {
                given: given.to_owned(),
                source,
            })
        };
        let (uid, gid) = given.split_once(':').unwrap_or((given, given));
        Ok(Self {
            uid: number(uid)?,
            gid: number(gid)?,
        })
    }
}

impl std::fmt::Display for User {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.uid, self.gid)
    }
}

/// Whether this process may become another user.
pub fn is_root() -> bool {
    geteuid().is_root()
}

#[cfg(test)]
mod tests {
    use super::User;

    #[test]
    fn a_lone_number_is_user_and_group() {
        assert_eq!("1000:100".parse::<User>().unwrap(), User { uid: 1000, gid: 100 });
        assert_eq!("7".parse::<User>().unwrap(), User { uid: 7, gid: 7 });
    }

    #[test]
    fn a_name_is_refused_with_the_setting_in_the_message() {
        assert!("app".parse::<User>().unwrap_err().to_string().contains("MOORLINE_JOB_USER"));
    }
}
