//! Whether agents can be given embeddings.

use std::time::Duration;

use moorline_proto::v1::{StartupCheck, StartupEmbedding};

use super::{Check, missing, passed, timed};
use crate::{
    config::Config,
    embedding::{self, Provider},
};

const NAME: &str = "embedding";
/// Longest time of the call that `MOORLINE_EMBEDDING_PROBE` asks for.
const LIMIT: Duration = Duration::from_secs(10);

/// What is set, and what a call shows where one is asked for.
pub(super) async fn check(config: &Config) -> (Check, StartupEmbedding) {
    let mut profile = StartupEmbedding::default();
    let check = timed(async {
        let (check, found) = look(config).await;
        profile = found;
        check
    });
    (check.await, profile)
}

async fn look(config: &Config) -> (StartupCheck, StartupEmbedding) {
    let settings = &config.embedding;
    let mut profile = StartupEmbedding {
        provider: settings.provider.name().to_owned(),
        model: settings.model.clone(),
        credential_source: settings.credential_source().to_owned(),
        dimension: settings.dimension.map(i64::from).unwrap_or_default(),
        probed: false,
    };
    if settings.provider == Provider::None {
        return (passed(NAME, "none: the agents of this fleet use no embeddings"), profile);
    }
    let provider = settings.provider.name();
    if let Some(variables) = settings.missing_key() {
        let detail = format!(
            "the provider {provider} needs a key: set {variables} (or a file that holds it by {}), another DEFAULT_EMBEDDING_PROVIDER, or none where agents use \
             no embeddings",
            variables
                .split(" or ")
                .map(|name| format!("{name}_FILE"))
                .collect::<Vec<_>>()
                .join(" or ")
        );
        return (missing(NAME, detail), profile);
    }
    let what = format!("{provider}, model {}, credential {}", settings.model, settings.credential_source());
    if !settings.probe {
        return (passed(NAME, what), profile);
    }
    match embedding::probe(settings, LIMIT).await {
        Ok(found) => {
            (profile.dimension, profile.probed) = (i64::try_from(found).unwrap_or(i64::MAX), true);
            (passed(NAME, format!("{what}, {found} dimensions by a real call")), profile)
        }
        Err(refusal) => (missing(NAME, refusal.to_string()), profile),
    }
}
