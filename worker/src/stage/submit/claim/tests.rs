//! A login that something else has in hand isn't used.

use std::sync::Arc;

use super::*;
use crate::{stage::running::tests::context, testing::Stubborn};

#[tokio::test]
async fn a_login_that_can_not_be_freed_is_not_used() {
    let context = context(Arc::new(Stubborn::default()));
    match super::super::run(&context).await {
        Err(Error::Failed(failure)) => {
            assert_eq!(
                (failure.code.as_str(), failure.class()),
                ("VOLUME_IN_USE", FailureClass::Environment)
            );
            assert!(failure.message.contains(&Stubborn::container().id), "{}", failure.message);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn only_other_jobs_at_work_keep_their_containers() {
    let owner = |job_id: &str, lease_token| Owner {
        job_id: job_id.to_owned(),
        lease_token,
    };
    let container = |labels: &[(&str, &str)]| Container {
        id: "c".to_owned(),
        labels: labels
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
    };
    let offer = v1::Offer {
        job_id: "job-1".to_owned(),
        lease_token: 8,
        ..Default::default()
    };
    let at_work = [owner("job-1", 8), owner("job-2", 9)];
    let spared = |job: &str, lease: &str| is_of(&container(&[("moorline.job", job), ("moorline.lease", lease)]), &at_work, &offer);
    assert!(spared("job-2", "9"));
    assert!(!spared("job-2", "5"), "an older lease's");
    assert!(!spared("job-1", "8") && !spared("job-1", "7"), "its own, from before");
    assert!(!spared("job-3", "9"));
    assert!(
        !is_of(&container(&[("moorline.volume", "codex_auth_0")]), &at_work, &offer),
        "a login"
    );
}
