//! ListRuns: pages and filters.

use moorline_proto::v1;

use crate::support::{TestApp, app::request, kind};

async fn list(app: &TestApp, request: v1::ListRunsRequest) -> Result<v1::ListRunsResponse, tonic::Status> {
    app.runs().list_runs(request).await.map(tonic::Response::into_inner)
}

fn features(page: &v1::ListRunsResponse) -> Vec<&str> {
    page.runs.iter().map(|run| run.feature_key.as_str()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_follow_each_other_newest_first_without_gap_or_repetition() {
    let app = TestApp::start().await;
    for index in 0..7 {
        app.create(&format!("00{index}-x")).await;
    }
    let mut seen = Vec::new();
    let mut page_token = String::new();
    loop {
        let page = list(
            &app,
            v1::ListRunsRequest {
                page_size: 3,
                page_token,
                ..Default::default()
            },
        )
        .await
        .unwrap();
        assert!(page.runs.len() <= 3);
        seen.extend(features(&page).into_iter().map(str::to_owned));
        // A run that begins meanwhile belongs to no later page.
        app.create(&format!("later-{}", seen.len())).await;
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(seen, ["006-x", "005-x", "004-x", "003-x", "002-x", "001-x", "000-x"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_narrow_the_list() {
    let app = TestApp::start().await;
    app.create("001-a").await;
    app.create_with(v1::CreateRunRequest {
        codex_queue: "codex-2".to_owned(),
        ..request("002-b")
    })
    .await
    .unwrap();
    let cancelled = app.create("003-c").await;
    app.runs()
        .cancel_run(v1::CancelRunRequest {
            run_id: cancelled.run_id.clone(),
            reason: String::new(),
        })
        .await
        .unwrap();

    let of = async |request| {
        features(&list(&app, request).await.unwrap())
            .into_iter()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let statuses = vec![v1::RunStatus::Cancelled.into()];
    assert_eq!(
        of(v1::ListRunsRequest {
            statuses,
            ..Default::default()
        })
        .await,
        ["003-c"]
    );
    assert_eq!(
        of(v1::ListRunsRequest {
            feature_key: "001-a".to_owned(),
            ..Default::default()
        })
        .await,
        ["001-a"]
    );
    assert!(
        of(v1::ListRunsRequest {
            codex_queue: "codex-2".to_owned(),
            ..Default::default()
        })
        .await
        .contains(&"002-b".to_owned())
    );
    assert!(
        of(v1::ListRunsRequest {
            repository: "octo/other".to_owned(),
            ..Default::default()
        })
        .await
        .is_empty()
    );
    let created_after = cancelled.created_at;
    assert_eq!(
        of(v1::ListRunsRequest {
            created_after,
            ..Default::default()
        })
        .await,
        ["003-c"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_page_token_is_refused() {
    let app = TestApp::start().await;
    for index in 0..2 {
        app.create(&format!("00{index}-x")).await;
    }
    let refused = list(
        &app,
        v1::ListRunsRequest {
            page_token: "nonsense".to_owned(),
            ..Default::default()
        },
    )
    .await
    .unwrap_err();
    assert_eq!(kind(&refused), "InvalidArgument BAD_PAGE_TOKEN");

    let page = list(
        &app,
        v1::ListRunsRequest {
            page_size: 1,
            ..Default::default()
        },
    )
    .await
    .unwrap();
    let other_filters = v1::ListRunsRequest {
        page_token: page.next_page_token,
        repository: "octo/other".to_owned(),
        ..Default::default()
    };
    assert_eq!(
        kind(&list(&app, other_filters).await.unwrap_err()),
        "InvalidArgument BAD_PAGE_TOKEN"
    );
}
