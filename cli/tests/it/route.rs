//! Routing on the command line.

use moorline::exit::Exit;

use crate::{fake::Fake, moorline};

const NOBODY: &str = "http://127.0.0.1:1";

/// Worked out with `printf %s KEY | sha256sum | cut -c1-16` and `bc`.
const KNOWN: [(&str, &str, u32, u32); 6] = [
    ("acme/site", "caa854d4cbb54d31", 7, 2),
    ("acme/site|001-login", "84f147a28320df01", 3, 0),
    ("größe/ünïcode|001", "3fba5666587197f5", 3, 2),
    ("日本/語|042", "aa4b97b92f47bc79", 256, 121),
    ("a|b|c", "a52dd81bfd5e4e66", 3, 2),
    ("x", "2d711642b726b044", 1, 0),
];

#[tokio::test]
async fn known_keys_go_where_sha256sum_says_without_a_server() {
    for (key, prefix, shards, shard) in KNOWN {
        let seen = moorline(NOBODY, &format!("route {key} --shards {shards} --output json")).await;
        assert_eq!(seen.exit, Exit::Ok, "{}", seen.err);
        let route: serde_json::Value = serde_json::from_str(&seen.out).expect("a document");
        let expected = serde_json::json!({
            "affinity_key": key, "queue": format!("codex-{shard}"), "shard_index": shard,
            "hash_modulo": shards, "hash_prefix": prefix, "reason": "hash",
        });
        assert_eq!(route, expected);
    }
}

#[tokio::test]
async fn a_key_is_made_of_repository_feature_and_task() {
    let seen = moorline(NOBODY, "route --repository acme/site --feature 001-login --shards 3").await;
    insta::assert_snapshot!(seen.out, @"
    affinity key  acme/site|001-login
    queue         codex-0
    shard index   0
    hash modulo   3
    hash prefix   84f147a28320df01
    reason        hash
    ");
}

#[tokio::test]
async fn no_key_and_no_shards_are_refused() {
    let seen = moorline(NOBODY, "route --shards 3").await;
    assert_eq!(seen.exit, Exit::Usage);
    insta::assert_snapshot!(seen.err, @"error: the affinity key is empty: give a key, or a repository, a feature or a task to make one of");
    assert_eq!(moorline(NOBODY, "route key --shards 0").await.exit, Exit::Usage);
}

#[tokio::test]
async fn without_a_number_of_shards_the_server_is_asked() {
    let server = Fake::default().start().await;
    insta::assert_snapshot!(moorline(&server.url, "route some-key").await.out, @"
    affinity key  some-key
    queue         codex-1
    shard index   1
    hash modulo   3
    hash prefix   0011223344556677
    reason        hash
    volume        codex_auth_1
    shard status  active
    ");
    insta::assert_snapshot!(moorline(&server.url, "route some-key --output json").await.out, @r#"
    {
      "affinity_key": "some-key",
      "queue": "codex-1",
      "shard_index": 1,
      "hash_modulo": 3,
      "hash_prefix": "0011223344556677",
      "reason": "hash",
      "volume": "codex_auth_1",
      "shard_status": "active"
    }
    "#);
}

#[tokio::test]
async fn the_agent_is_asked_for_and_gemini_has_no_number() {
    let server = Fake::default().start().await;
    insta::assert_snapshot!(moorline(&server.url, "route some-key --agent gemini").await.out, @"
    affinity key  some-key
    queue         gemini
    hash prefix   0011223344556677
    reason        agent
    volume        gemini_auth
    shard status  offline
    ");
    assert_eq!(moorline(NOBODY, "route k --agent gemini --shards 3").await.exit, Exit::Usage);
}
