//! Names of skills, as the Agent Skills format has them.

use crate::domain::Error;

/// Longest name, in characters.
pub const NAME_MAX: usize = 64;

/// Whether a name is one that a skill can have: 1 to 64 of `a-z`, `0-9` and `-`, with a dash neither at an end nor beside another.
pub fn is_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=NAME_MAX).contains(&name.len())
        && name.bytes().all(plain)
        && !name.starts_with('-')
        && !name.ends_with('-')
        && !name.contains("--")
}

/// Checks that a name is one that a skill can have.
///
/// # Errors
///
/// `INVALID_SKILL_NAME`, of that field.
pub fn check_name(field: &'static str, name: &str) -> Result<(), Error> {
    if is_name(name) {
        return Ok(());
    }
    let message = format!(
        "{name:?} can't be a skill's name: give 1 to {NAME_MAX} of a-z, 0-9 and -, with a dash neither at an end nor beside another, such as speckit"
    );
    Err(Error::invalid(field, "INVALID_SKILL_NAME", message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_agent_skills_format() {
        for name in ["a", "speckit", "my-skill-2", "0", &"x".repeat(64)] {
            assert_eq!(check_name("skill", name), Ok(()), "{name:?}");
        }
        for name in ["", "-a", "a-", "a--b", "A", "a_b", "a.b", "a/b", "..", " a", "ä", &"x".repeat(65)] {
            assert_eq!(check_name("skill", name).unwrap_err().reason, "INVALID_SKILL_NAME", "{name:?}");
        }
    }
}
