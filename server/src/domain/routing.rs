//! Which queue the Codex work of a run goes to.
//!
//! The hash is the one of the system that Moorline replaces, so runs keep their shard when they move over. Known answers,
//! worked out by `sha256sum`, are in `server/src/domain/routing/known_answers.txt`.

use std::num::NonZeroU32;

use sha2::{Digest as _, Sha256};

use super::Error;

/// Where a key goes, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Such as `codex-1`.
    pub queue: String,
    /// Number of the shard.
    pub shard_index: u32,
    /// The modulo that the hash was taken by.
    pub hash_modulo: u32,
    /// First eight bytes of the key's SHA-256, big-endian: what the modulo was taken of.
    pub hash: u64,
}

/// Makes the affinity key of a run: the given one, trimmed, unless that is blank; else repository, feature and task, each
/// trimmed, the empty ones dropped, joined with `|`.
///
/// # Errors
///
/// When all parts are blank: a key is never empty.
pub fn affinity_key(given: &str, repository: &str, feature_key: &str, task_id: &str) -> Result<String, Error> {
    let given = given.trim();
    if !given.is_empty() {
        return Ok(given.to_owned());
    }
    let parts: Vec<&str> = [repository, feature_key, task_id]
        .into_iter()
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .collect();
    if parts.is_empty() {
        return Err(Error::invalid(
            "affinity_key",
            "AFFINITY_KEY_EMPTY",
            "the affinity key is empty: give a key, or a repository, a feature or a task to make one of",
        ));
    }
    Ok(parts.join("|"))
}

/// Routes a key to one of `hash_modulo` shards: `u64_be(sha256(key)[0..8]) mod hash_modulo`.
pub fn route(key: &str, hash_modulo: NonZeroU32) -> Route {
    let digest = Sha256::digest(key.as_bytes());
    let hash = digest.iter().take(8).fold(0_u64, |hash, byte| (hash << 8) | u64::from(*byte));
    let remainder = hash % u64::from(hash_modulo.get());
    // The remainder is smaller than a u32, so the conversion can't fail.
    let shard_index = u32::try_from(remainder).unwrap_or_default();
    Route {
        queue: queue_name(shard_index),
        shard_index,
        hash_modulo: hash_modulo.get(),
        hash,
    }
}

/// Name of a shard's queue.
pub fn queue_name(shard_index: u32) -> String {
    format!("codex-{shard_index}")
}

/// Number in the name of a shard's queue; `None` for `default`, `gemini` and anything else.
pub fn shard_index(queue: &str) -> Option<u32> {
    let digits = queue.strip_prefix("codex-")?;
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| digits.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines of `modulo 1|3|7|256` remainders and a key; made by `routing/known_answers.sh` with sha256sum and bc.
    const KNOWN_ANSWERS: &str = include_str!("routing/known_answers.txt");

    #[test]
    fn keys_go_where_sha256sum_says() {
        let mut seen = 0;
        for line in KNOWN_ANSWERS.lines() {
            let mut fields = line.splitn(6, ' ');
            let hash = fields.next().and_then(|hash| u64::from_str_radix(hash, 16).ok()).unwrap();
            let expected: Vec<u32> = fields.by_ref().take(4).map(|field| field.parse().unwrap()).collect();
            let key = fields.next().unwrap();
            for (modulo, expected) in [1, 3, 7, 256].into_iter().zip(expected) {
                let route = route(key, NonZeroU32::new(modulo).unwrap());
                assert_eq!((route.shard_index, route.hash), (expected, hash), "key {key:?} modulo {modulo}");
            }
            seen += 1;
        }
        assert!(seen >= 20, "only {seen} known answers");
        assert!(!KNOWN_ANSWERS.is_ascii(), "the known answers must hold keys beyond ASCII");
    }

    #[test]
    fn a_key_is_made_of_what_is_there() {
        let key = |given, repository, feature, task| affinity_key(given, repository, feature, task).unwrap();
        assert_eq!(key("  mine ", "a/b", "f", "t"), "mine");
        assert_eq!(key("   ", " a/b ", "001-x", ""), "a/b|001-x");
        assert_eq!(key("", "a/b", " ", "T7"), "a/b|T7");
        assert_eq!(affinity_key("", " ", "", "\t").unwrap_err().reason, "AFFINITY_KEY_EMPTY");
    }

    #[test]
    fn only_shard_queues_have_a_number() {
        assert_eq!(shard_index("codex-12"), Some(12));
        for queue in ["default", "gemini", "codex-", "codex-x", "codex-+1", "codex-99999999999"] {
            assert_eq!(shard_index(queue), None, "{queue}");
        }
    }
}
