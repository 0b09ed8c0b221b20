//! The contracts in `specs/` name every method, frame and route that there is, and no other.

use std::collections::BTreeSet;

use prost::Message as _;
use prost_types::{FileDescriptorProto, FileDescriptorSet};

use super::{first_cells, read};
use crate::support::{TestApp, http::Http};

const GRPC: &str = "specs/001-celery-oauth-volumes/contracts/grpc.md";
const HTTP: &str = "specs/001-celery-oauth-volumes/contracts/http.md";
const STREAM: &str = "specs/007-scalable-codex-worker/contracts/worker-stream.md";

fn defined() -> Vec<FileDescriptorProto> {
    let set = FileDescriptorSet::decode(moorline_proto::FILE_DESCRIPTOR_SET).expect("descriptors");
    set.file.into_iter().filter(|file| file.package() == "moorline.v1").collect()
}

/// The rows of a table of methods: `Service/Method`, and whether it streams its answers.
fn written(document: &str) -> BTreeSet<(String, bool)> {
    let text = read(document);
    let rows = text.lines().filter(|line| line.starts_with("| `") && line.contains("Service/"));
    rows.map(|row| {
        let mut cells = row.trim_matches('|').split('|').map(str::trim);
        let method = cells.next().unwrap_or_default().trim_matches('`').to_owned();
        (method, cells.next() == Some("a stream"))
    })
    .collect()
}

#[test]
fn the_contracts_have_every_method_with_what_it_answers() {
    let mut methods = BTreeSet::new();
    for service in defined().iter().flat_map(|file| &file.service) {
        methods.extend(
            service
                .method
                .iter()
                .map(|method| (format!("{}/{}", service.name(), method.name()), method.server_streaming())),
        );
    }
    assert!(methods.len() > 20, "{methods:?}");
    let both: BTreeSet<_> = written(GRPC).union(&written(STREAM)).cloned().collect();
    assert_eq!(both, methods);
    assert_eq!(written(GRPC).intersection(&written(STREAM)).count(), 0);
}

#[test]
fn the_streams_contract_has_every_frame() {
    let text = read(STREAM);
    let of = |heading: &str| -> BTreeSet<String> {
        let section = text.split("\n## ").find(|section| section.starts_with(heading)).expect("a section");
        let rows = section.lines().filter(|line| line.starts_with("| `"));
        let cells = rows.filter_map(|row| row.split('|').nth(1));
        cells
            .flat_map(|cell| super::quoted(cell).map(str::to_owned).collect::<Vec<_>>())
            .collect()
    };
    let files = defined();
    for (heading, message) in [
        ("Frames of a worker", "ConnectRequest"),
        ("Frames of the server", "ConnectResponse"),
    ] {
        let defined = files
            .iter()
            .flat_map(|file| &file.message_type)
            .find(|found| found.name() == message);
        let frames: BTreeSet<_> = defined.expect(message).field.iter().map(|field| field.name().to_owned()).collect();
        assert_eq!(of(heading), frames, "{message}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_http_contract_has_every_route() {
    let app = TestApp::start().await;
    let document = Http::of(&app).get("/openapi.json").await.json();
    let mut routes = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        // Those are the methods of the other contract.
        if !path.starts_with("/v1/") {
            routes.extend(
                methods
                    .as_object()
                    .unwrap()
                    .keys()
                    .map(|method| format!("{} {path}", method.to_uppercase())),
            );
        }
    }
    let written: BTreeSet<_> = first_cells(&read(HTTP)).into_iter().collect();
    assert_eq!(written, routes);
}
