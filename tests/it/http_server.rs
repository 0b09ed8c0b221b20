//! Where HTTP listens, whom it lets in, and what it says of itself.

use moorline_server::{
    Config,
    config::Database,
    flow::Timers,
    serve::{Error, start},
};
use moorline_tests::{
    db::TestDb,
    proxy::{Cut, Proxy},
};
use secrecy::SecretString;
use tokio_util::sync::CancellationToken;

use crate::support::{
    TestApp,
    http::{Answer, Http, answer},
};

fn config(database: &TestDb, http_listen: Option<&str>) -> Config {
    let url = Database::External(SecretString::from(database.url().to_owned()));
    let artifacts = std::env::temp_dir().join("moorline-test-artifacts");
    Config {
        http_listen: http_listen.map(|address| address.parse().unwrap()),
        ..Config::new("127.0.0.1:0".parse().unwrap(), url, artifacts)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn http_listens_where_it_is_told_to_or_nowhere() {
    let database = TestDb::new().await.unwrap();
    let refused = start(config(&database, Some("0.0.0.0:0")), CancellationToken::new())
        .await
        .unwrap_err();
    assert!(matches!(refused, Error::Insecure(_)), "{refused}");

    let shutdown = CancellationToken::new();
    let running = start(config(&database, None), shutdown.clone()).await.unwrap();
    assert_eq!(running.http_address, None);
    shutdown.cancel();
    running.finished().await.unwrap();

    let app = TestApp::start().await;
    let taken = app.http().replace("http://", "");
    let refused = start(config(&database, Some(&taken)), CancellationToken::new())
        .await
        .unwrap_err()
        .to_string();
    assert!(refused.contains(&taken) && refused.contains("MOORLINE_HTTP_LISTEN"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn foreign_web_pages_and_host_names_are_refused() {
    let app = TestApp::start().await;
    let http = Http::of(&app);
    let asked = async |path: &str, name: &str, value: &str| -> Answer { answer(http.client.get(http.url(path)).header(name, value)).await };
    let page = asked("/healthz", "origin", "https://evil.example").await;
    insta::assert_snapshot!(page.steady(), @r#"
    403
    {
      "detail": {
        "code": "FOREIGN_ORIGIN",
        "message": "a web page of \"https://evil.example\" may not call this server: open the page from localhost, call without a browser, or add the page's host to MOORLINE_HTTP_HOSTS"
      }
    }
    "#);
    let name = asked("/api/workflows/speckit/runs", "host", "evil.example:7421").await;
    insta::assert_snapshot!(name.steady(), @r#"
    403
    {
      "detail": {
        "code": "FOREIGN_HOST",
        "message": "this server is not called \"evil.example:7421\": call it as 127.0.0.1 or localhost, or add the name to MOORLINE_HTTP_HOSTS; other names are refused, since a web page could have made them point here"
      }
    }
    "#);
    assert_eq!(
        asked("/v1/RunService/ListRuns", "host", "evil.example").await.rpc_kind(),
        "403 7 FOREIGN_HOST"
    );
    assert_eq!(asked("/healthz", "origin", "http://localhost:3000").await.status, 200);
    assert_eq!(asked("/healthz", "host", "localhost").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_is_set_is_let_in() {
    let database = TestDb::new().await.unwrap();
    let shutdown = CancellationToken::new();
    let named = Config {
        http_hosts: vec!["moorline.example".to_owned()],
        ..config(&database, Some("127.0.0.1:0"))
    };
    let running = start(named, shutdown.clone()).await.unwrap();
    let url = format!("http://{}/healthz", running.http_address.unwrap());
    let request = super::support::http::client().get(url).header("host", "moorline.example");
    assert_eq!(answer(request).await.status, 200);
    shutdown.cancel();
    running.finished().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn health_is_that_of_the_process_and_readiness_that_of_the_database() {
    let database = TestDb::new().await.unwrap();
    let line = Proxy::start(database.target().unwrap()).await.unwrap();
    let url = database.url_through(line.address()).unwrap();
    let app = TestApp::on(database, url, Timers::default(), "codex_auth_").await;
    let http = Http::of(&app);
    for path in ["/healthz", "/readyz"] {
        let asked = http.get(path).await;
        assert_eq!((asked.status, asked.json()["status"].as_str()), (200, Some("ok")), "{path}");
    }
    line.change(|rules| rules.refuse = true);
    line.cut(Cut::Reset);
    assert_eq!(http.get("/healthz").await.status, 200);
    assert_eq!(http.get("/readyz").await.kind(), "503 DATABASE_UNAVAILABLE");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_that_is_described_answers_as_described() {
    let app = TestApp::start().await;
    let http = Http::of(&app);
    let described = http.get("/openapi.json").await;
    assert_eq!((described.status, described.header("content-type")), (200, "application/json"));
    let document = described.json();
    assert_eq!(document["openapi"], "3.1.0");
    let mut wrong = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let url = path
                .replace("{run_id}", "00000000-0000-7000-8000-000000000000")
                .replace("{artifact_id}", "x");
            let request = match method.as_str() {
                "get" => http.client.get(http.url(&url)),
                _ => http
                    .client
                    .post(http.url(&url))
                    .header("content-type", "application/json")
                    .body("{}"),
            };
            // Some streams go on until the server ends: what they begin with says enough.
            let answer = request.send().await.unwrap();
            let status = answer.status().as_u16();
            let known = operation["responses"].get(status.to_string()).is_some();
            let missing = status == 404 && answer.text().await.unwrap().contains("ROUTE_NOT_FOUND");
            if !known || missing {
                wrong.push(format!("{method} {path}: {status}"));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}
