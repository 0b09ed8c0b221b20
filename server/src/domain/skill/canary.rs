//! Which runs go by skills while only a share of them does.
//!
//! Known answers, worked out by `sha256sum`, are in `server/src/domain/skill/known_answers.txt`.

use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::domain::stage::Stage;

/// Where a run stands for a stage, 0 to 99: below the policy's percentage it goes by a skill. It is
/// `u32(hex(sha256("{run_id}:{stage}"))[0..8], 16) mod 100`, the same on every server and at every retry.
pub fn bucket(run_id: Uuid, stage: Stage) -> u8 {
    let digest = Sha256::digest(format!("{run_id}:{stage}"));
    let hash = digest.iter().take(4).fold(0_u32, |hash, byte| (hash << 8) | u32::from(*byte));
    // The remainder is below 100, so the conversion can't fail.
    u8::try_from(hash % 100).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use strum::VariantArray as _;

    use super::*;

    /// Lines of the hash's first eight digits, the bucket, the stage and the run; made by `skill/known_answers.sh` with sha256sum.
    const KNOWN_ANSWERS: &str = include_str!("known_answers.txt");

    #[test]
    fn runs_stand_where_sha256sum_says() {
        let mut seen = 0;
        for line in KNOWN_ANSWERS.lines() {
            let fields: Vec<&str> = line.split(' ').collect();
            let [_, expected, stage, run_id] = fields[..] else {
                panic!("{line:?} has other fields")
            };
            let (run_id, stage) = (Uuid::parse_str(run_id).unwrap(), stage.parse().unwrap());
            assert_eq!(bucket(run_id, stage).to_string(), expected, "{run_id}:{stage}");
            seen += 1;
        }
        assert!(seen >= 30, "only {seen} known answers");
    }

    #[test]
    fn over_many_runs_the_share_is_what_was_asked_for() {
        const RUNS: usize = 100_000;
        // Ids as servers make them, in the order of time; worked out from a count, so that the test is the same each time.
        let run = |n: usize| {
            let digest = Sha256::digest(n.to_be_bytes());
            let random = digest[..10].try_into().unwrap();
            uuid::Builder::from_unix_timestamp_millis(1_760_000_000_000 + n as u64, &random).into_uuid()
        };
        for stage in Stage::VARIANTS {
            let mut below = [0_usize; 101];
            for bucket in (0..RUNS).map(|n| bucket(run(n), *stage)) {
                assert!(bucket < 100, "{bucket}");
                below[usize::from(bucket) + 1..].iter_mut().for_each(|count| *count += 1);
            }
            for percent in [0, 1, 5, 10, 25, 33, 50, 66, 75, 90, 99, 100] {
                let off = (below[percent] as f64 / RUNS as f64 * 100.0 - percent as f64).abs();
                assert!(off <= 0.5, "{stage}: {percent} % came out {off} points off");
            }
            assert_eq!((below[0], below[100]), (0, RUNS));
        }
    }

    #[test]
    fn a_run_always_stands_where_it_stood() {
        let run_id = Uuid::parse_str("01932c07-a3f0-7aaa-8bbb-0123456789ab").unwrap();
        for stage in Stage::VARIANTS {
            let first = bucket(run_id, *stage);
            assert!((0..1000).all(|_| bucket(run_id, *stage) == first));
        }
        let upper = Uuid::parse_str("01932C07-A3F0-7AAA-8BBB-0123456789AB").unwrap();
        assert_eq!(bucket(upper, Stage::Submit), bucket(run_id, Stage::Submit));
    }
}
