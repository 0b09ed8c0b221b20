//! A request to the model, reduced to what tests ask about and to what the answer depends on.

use axum::http::{HeaderMap, Method, Uri, header::AUTHORIZATION};
use serde::Serialize;
use serde_json::Value;

/// A request as it was recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Request {
    /// `GET` or `POST`.
    pub method: String,
    /// Path without query.
    pub path: String,
    /// The scheme and the last four characters of the key, such as `Bearer …cdef`; `None` without the header.
    pub authorization: Option<String>,
    /// The model that is asked, by name.
    pub model: Option<String>,
    /// The last user message, where there is one.
    pub prompt: Option<String>,
    /// Outputs of tools since that message.
    pub tool_outputs: Vec<String>,
    /// Names of the tools on offer.
    pub tools: Vec<String>,
}

impl Request {
    /// What is kept of a request.
    pub(super) fn new(method: &Method, uri: &Uri, headers: &HeaderMap, body: &Value) -> Self {
        let input = body["input"].as_array().map(Vec::as_slice).unwrap_or_default();
        let asked = input.iter().rposition(|item| item["role"] == "user");
        let since = &input[asked.map_or(0, |at| at + 1)..];
        let is_output = |item: &&Value| item["type"].as_str().is_some_and(|kind| kind.ends_with("_call_output"));
        // Some models get their tools in the input instead of beside it.
        let in_input = input
            .iter()
            .filter(|item| item["type"] == "additional_tools")
            .map(|item| &item["tools"]);
        Self {
            method: method.to_string(),
            path: uri.path().to_owned(),
            authorization: headers.get(AUTHORIZATION).map(|value| redact(value.as_bytes())),
            model: body["model"].as_str().map(str::to_owned),
            prompt: asked.map(|at| text(&input[at]["content"])),
            tool_outputs: since.iter().filter(is_output).map(|item| text(&item["output"])).collect(),
            tools: std::iter::once(&body["tools"]).chain(in_input).flat_map(tool_names).collect(),
        }
    }

    /// Whether a tool of this name is on offer.
    pub(super) fn offers(&self, tool: &str) -> bool {
        self.tools.iter().any(|name| name == tool)
    }
}

/// Names in a list of tools, those inside a namespace included; a tool without a name goes by its type.
fn tool_names(tools: &Value) -> Vec<String> {
    let named = |tool: &Value| match tool["type"].as_str() {
        Some("namespace") => tool_names(&tool["tools"]),
        kind => tool["name"].as_str().or(kind).map(str::to_owned).into_iter().collect(),
    };
    tools.as_array().into_iter().flatten().flat_map(named).collect()
}

/// Text of a message or output, which is a string or a list of parts.
fn text(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().filter_map(|part| part["text"].as_str()).collect::<Vec<_>>().join("\n"),
        other => other.to_string(),
    }
}

pub(super) fn redact(value: &[u8]) -> String {
    let value = String::from_utf8_lossy(value);
    let (scheme, key) = value.split_once(' ').unwrap_or(("", &value));
    // Of a short key the last four characters would be most of it.
    let shown: String = if key.chars().count() < 12 {
        String::new()
    } else {
        key.chars().skip(key.chars().count() - 4).collect()
    };
    format!("{scheme} …{shown}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_than_the_end_of_a_key_is_kept() {
        assert_eq!(redact(b"Bearer sk-test-0123456789abcdef"), "Bearer …cdef");
        assert_eq!(redact(b"Bearer short"), "Bearer …");
        assert_eq!(redact(b"sk-test-0123456789abcdef"), " …cdef");
    }

    #[test]
    fn only_outputs_since_the_last_user_message_count() {
        let body = serde_json::json!({
            "input": [
                {"type": "additional_tools", "tools": [{"type": "namespace", "name": "functions", "tools": [{"type": "custom", "name": "exec"}]}]},
                {"role": "user", "content": "first"},
                {"type": "function_call_output", "output": "old"},
                {"role": "user", "content": [{"type": "input_text", "text": "second"}]},
                {"type": "function_call", "name": "exec_command"},
                {"type": "function_call_output", "output": "new"},
            ],
            "tools": [{"type": "function", "name": "exec_command"}, {"type": "web_search"}],
        });
        let request = Request::new(&Method::POST, &Uri::from_static("/work/v1/responses?x=1"), &HeaderMap::new(), &body);
        assert_eq!(request.path, "/work/v1/responses");
        assert_eq!(request.prompt.as_deref(), Some("second"));
        assert_eq!(request.tool_outputs, ["new"]);
        assert_eq!(request.tools, ["exec_command", "web_search", "exec"]);
    }
}
