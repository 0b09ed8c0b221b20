//! A client of the HTTP API, and answers as snapshots take them.

use serde_json::Value;
use uuid::Uuid;

use super::TestApp;

/// See the module.
pub struct Http {
    pub client: reqwest::Client,
    pub base: String,
}

/// An answer that was read to its end.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub content: Vec<u8>,
}

impl Http {
    pub fn of(app: &TestApp) -> Self {
        Self {
            client: client(),
            base: app.http(),
        }
    }

    pub async fn get(&self, path: &str) -> Answer {
        answer(self.client.get(self.url(path))).await
    }

    /// Posts this text as JSON.
    pub async fn post(&self, path: &str, body: &str) -> Answer {
        let request = self.client.post(self.url(path)).header("content-type", "application/json");
        answer(request.body(body.to_owned())).await
    }

    /// The same below the old routes' path.
    pub async fn old_get(&self, path: &str) -> Answer {
        self.get(&format!("/api/workflows/speckit{path}")).await
    }

    pub async fn old_post(&self, path: &str, body: &str) -> Answer {
        self.post(&format!("/api/workflows/speckit{path}"), body).await
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }
}

/// Sends a request and reads its answer.
/// A client of HTTP. One that could speak HTTPS too needs its cryptography chosen before.
pub fn client() -> reqwest::Client {
    moorline_worker::embedding::install_crypto();
    reqwest::Client::new()
}

pub async fn answer(request: reqwest::RequestBuilder) -> Answer {
    let answer = request.send().await.expect("an answer");
    Answer {
        status: answer.status().as_u16(),
        headers: answer.headers().clone(),
        content: answer.bytes().await.expect("its body").to_vec(),
    }
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.content).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("text"))
    }

    /// `status code`, the two things that programs tell errors of the old routes apart by, such as `404 RUN_NOT_FOUND`.
    pub fn kind(&self) -> String {
        let json = self.json();
        let code = json["detail"]["code"].as_str().unwrap_or_default();
        format!("{} {code}", self.status)
    }

    /// The same for the new routes.
    pub fn rpc_kind(&self) -> String {
        let json = self.json();
        let details = json["details"].as_array();
        let reason = details.and_then(|details| details.iter().find_map(|detail| detail["reason"].as_str()));
        format!("{} {} {}", self.status, json["code"], reason.unwrap_or_default())
    }

    /// Each line of a stream.
    pub fn lines(&self) -> Vec<Value> {
        let lines = self.content.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        lines.map(|line| serde_json::from_slice(line).expect("a line of JSON")).collect()
    }

    /// Status and body, with what differs from run to run replaced.
    pub fn steady(&self) -> String {
        format!("{}\n{}", self.status, steady(self.json()))
    }
}

/// JSON for people, with ids, times and what hangs on them replaced.
pub fn steady(mut value: Value) -> String {
    replace(&mut value);
    serde_json::to_string_pretty(&value).expect("JSON")
}

fn replace(value: &mut Value) {
    match value {
        Value::String(text) => *text = parts(text),
        Value::Array(values) => values.iter_mut().for_each(replace),
        Value::Object(fields) => {
            // What comes of a run's id; 0 isn't written in proto3 JSON.
            fields.remove("canaryBucket");
            for (name, value) in fields {
                // What comes of a clock.
                if name == "durationMs" && !value.is_null() {
                    *value = "<number>".into();
                }
                replace(value);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// A text whose parts between slashes and spaces are ids or times.
fn parts(text: &str) -> String {
    let hex = |part: &str| part.len() == 12 && part.bytes().all(|byte| byte.is_ascii_hexdigit());
    let time = |part: &str| part.len() >= 20 && part.ends_with('Z') && part.as_bytes()[4] == b'-' && part.as_bytes()[10] == b'T';
    let steady = |part: &str| match part.trim_end_matches([':', ',', ')']) {
        id if Uuid::try_parse(id).is_ok() => part.replace(id, "<id>"),
        digits if hex(digits) => part.replace(digits, "<digits>"),
        at if time(at) => part.replace(at, "<time>"),
        _ => part.to_owned(),
    };
    let words = text
        .split(' ')
        .map(|word| word.split('/').map(steady).collect::<Vec<_>>().join("/"));
    words.collect::<Vec<_>>().join(" ")
}
