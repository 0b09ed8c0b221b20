//! `/openapi.json`: the old routes from their types, the new ones from the contract's descriptors.

mod comments;
mod schema;

use axum::{Router, body::Bytes, http::header, routing::get};
use prost_reflect::MethodDescriptor;
use serde_json::{Map, Value, json};

use super::{
    Error,
    rpc::{Contract, LINES, path},
    workflows,
};

/// Schema of what an old route refuses a call with, and of what a new one does.
const REFUSED: &str = "#/components/schemas/Refused";
const STATUS: &str = "#/components/schemas/google.rpc.Status";

/// The whole description.
///
/// # Errors
///
/// When the old routes' can't be written as JSON.
pub fn document(contract: &Contract) -> Result<Value, Error> {
    let mut document = workflows::description()?;
    document["info"] = json!({
        "title": "Moorline",
        "version": env!("CARGO_PKG_VERSION"),
        "description": "Routes below /v1 are the services of moorline.v1 as proto3 JSON; those below /api are the ones of the replaced system.",
    });
    for operation in operations(&mut document) {
        refused_everywhere(operation, REFUSED);
    }
    let mut schemas = schema::Schemas::default();
    schemas.message(&contract.pool, "google.rpc.Status");
    for method in contract.methods() {
        let mut operation = operation(&method, &mut schemas);
        refused_everywhere(&mut operation, STATUS);
        document["paths"][path(&method)] = json!({ "post": operation });
    }
    if let Some(components) = document["components"]["schemas"].as_object_mut() {
        components.extend(schemas.all);
    }
    Ok(document)
}

/// Serves it.
///
/// # Errors
///
/// When it can't be written.
pub fn router(document: &Value) -> serde_json::Result<Router> {
    let text = Bytes::from(serde_json::to_vec_pretty(document)?);
    let answer = async move || ([(header::CONTENT_TYPE, "application/json")], text.clone());
    Ok(Router::new().route("/openapi.json", get(answer)))
}

fn operations(document: &mut Value) -> impl Iterator<Item = &mut Value> {
    let paths = document["paths"].as_object_mut().into_iter();
    paths
        .flat_map(Map::values_mut)
        .filter_map(Value::as_object_mut)
        .flat_map(Map::values_mut)
}

/// Adds what any route may answer: the guard's refusal, and a server without its database.
fn refused_everywhere(operation: &mut Value, schema: &str) {
    let answers = [
        ("403", "The call comes from a foreign web page, or by a foreign host name"),
        ("413", "The body is too long"),
        ("500", "A fault inside"),
        ("501", "It is in the contract, but this server can't do it yet"),
        ("503", "The database does not answer, or the server is shutting down"),
    ];
    for (status, description) in answers {
        operation["responses"][status] = answer(description, "application/json", schema);
    }
}

fn operation(method: &MethodDescriptor, schemas: &mut schema::Schemas) -> Value {
    let (input, output) = (schemas.reference(&method.input()), schemas.reference(&method.output()));
    let media_type = if method.is_server_streaming() { LINES } else { "application/json" };
    let mut responses = Map::new();
    responses.insert("200".to_owned(), answer("The answer", media_type, &output));
    for (status, description) in [
        ("400", "The request is wrong, or the state of a thing does not allow it"),
        ("404", "There is no such thing"),
        ("409", "Something that excludes it is there already"),
        ("429", "There is no room for it now"),
    ] {
        responses.insert(status.to_owned(), answer(description, "application/json", STATUS));
    }
    let service = method.parent_service();
    json!({
        "tags": [service.name()],
        "operationId": format!("{}_{}", service.name(), method.name()),
        "description": comments::of(&service.parent_file(), method.path()),
        "requestBody": { "content": { "application/json": { "schema": { "$ref": input } } } },
        "responses": responses,
    })
}

fn answer(description: &str, media_type: &str, schema: &str) -> Value {
    json!({ "description": description, "content": { (media_type): { "schema": { "$ref": schema } } } })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn described() -> Value {
        document(&Contract::new().unwrap()).unwrap()
    }

    fn references(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(fields) => {
                found.extend(fields.get("$ref").and_then(Value::as_str).map(str::to_owned));
                fields.values().for_each(|value| references(value, found));
            }
            Value::Array(values) => values.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }

    #[test]
    fn every_reference_leads_to_a_schema() {
        let document = described();
        let mut found = Vec::new();
        references(&document, &mut found);
        assert!(found.len() > 100);
        let dangling: Vec<_> = found.iter().filter(|name| document.pointer(&name[1..]).is_none()).collect();
        assert_eq!(dangling, Vec::<&String>::new());
    }

    #[test]
    fn every_route_is_described() {
        let document = described();
        let routes = document["paths"].as_object().unwrap().iter();
        let lines: Vec<_> = routes
            .flat_map(|(path, methods)| methods.as_object().unwrap().keys().map(move |method| format!("{method} {path}")))
            .collect();
        insta::assert_snapshot!(lines.join("\n"), @"
        get /api/workflows/speckit/artifacts/{artifact_id}
        get /api/workflows/speckit/codex/shards
        get /api/workflows/speckit/runs
        post /api/workflows/speckit/runs
        get /api/workflows/speckit/runs/{run_id}
        get /api/workflows/speckit/runs/{run_id}/artifacts
        post /api/workflows/speckit/runs/{run_id}/codex/preflight
        post /api/workflows/speckit/runs/{run_id}/retry
        get /api/workflows/speckit/runs/{run_id}/tasks
        get /healthz
        get /readyz
        post /v1/FleetService/DrainWorker
        post /v1/FleetService/GetWorker
        post /v1/FleetService/ListWorkers
        post /v1/RunService/CancelRun
        post /v1/RunService/CreateRun
        post /v1/RunService/DownloadArtifact
        post /v1/RunService/GetRun
        post /v1/RunService/ListArtifacts
        post /v1/RunService/ListRuns
        post /v1/RunService/RetryRun
        post /v1/RunService/StreamRunLogs
        post /v1/RunService/WatchRun
        post /v1/ShardService/ActivateShard
        post /v1/ShardService/CheckVolume
        post /v1/ShardService/CleanVolume
        post /v1/ShardService/DrainShard
        post /v1/ShardService/GetShard
        post /v1/ShardService/GetVolumeDiagnostics
        post /v1/ShardService/ListPreflights
        post /v1/ShardService/ListShards
        post /v1/ShardService/LoginVolume
        post /v1/ShardService/LogoutVolume
        post /v1/ShardService/PreflightRun
        post /v1/ShardService/ResolveRoute
        post /v1/ShardService/SetShardCount
        post /v1/ShardService/UpdateVolumeNotes
        post /v1/ShardService/WatchShards
        post /v1/SkillService/GetSkillPolicy
        post /v1/SkillService/ListSkillPolicies
        post /v1/SkillService/ListSkills
        post /v1/SkillService/ResolveStages
        post /v1/SkillService/UpdateSkillPolicy
        ");
    }

    #[test]
    fn a_message_is_described_in_the_words_of_the_contract() {
        let schemas = &described()["components"]["schemas"];
        insta::assert_snapshot!(serde_json::to_string_pretty(&schemas["moorline.v1.Failure"]).unwrap(), @r##"
        {
          "additionalProperties": false,
          "description": "Why something failed, for programs and people.",
          "properties": {
            "class": {
              "$ref": "#/components/schemas/moorline.v1.FailureClass",
              "description": "Whose failure it is."
            },
            "code": {
              "description": "Stable upper-case name, such as `NO_CHANGES` or `NOT_LOGGED_IN`.",
              "type": "string"
            },
            "details": {
              "additionalProperties": {
                "type": "string"
              },
              "description": "Further facts by name, such as `conflicting_files`.",
              "type": "object"
            },
            "message": {
              "description": "What happened and what to do next, on one line.",
              "type": "string"
            }
          },
          "type": "object"
        }
        "##);
        insta::assert_snapshot!(serde_json::to_string_pretty(&schemas["moorline.v1.RetryRunRequest"]).unwrap(), @r##"
        {
          "additionalProperties": false,
          "description": "Which run to retry.",
          "properties": {
            "mode": {
              "$ref": "#/components/schemas/moorline.v1.RetryMode",
              "description": "Where to begin."
            },
            "runId": {
              "description": "The run; it must be `failed`.",
              "type": "string"
            }
          },
          "type": "object"
        }
        "##);
        insta::assert_snapshot!(serde_json::to_string_pretty(&schemas["moorline.v1.RetryMode"]).unwrap(), @r#"
        {
          "description": "Where a retry begins.",
          "enum": [
            "RETRY_MODE_UNSPECIFIED",
            "RETRY_MODE_RESUME_FAILED_STAGE",
            "RETRY_MODE_RESTART_FROM_DISCOVERY"
          ],
          "type": "string"
        }
        "#);
        insta::assert_snapshot!(serde_json::to_string_pretty(&schemas["moorline.v1.StreamRunLogsResponse"]).unwrap(), @r##"
        {
          "additionalProperties": false,
          "description": "A piece of output.",
          "properties": {
            "attempt": {
              "description": "Its attempt.",
              "format": "int32",
              "type": "integer"
            },
            "content": {
              "contentEncoding": "base64",
              "description": "The piece; not cut at line ends.",
              "type": "string"
            },
            "jobId": {
              "description": "The job that wrote it.",
              "type": "string"
            },
            "offset": {
              "description": "Where in the job's output the piece begins, in bytes.",
              "format": "int64",
              "pattern": "^-?[0-9]{1,19}$",
              "type": "string"
            },
            "stage": {
              "$ref": "#/components/schemas/moorline.v1.Stage",
              "description": "Its stage."
            }
          },
          "type": "object"
        }
        "##);
    }
}
