//! What commit and pull request say.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::Publisher;
use crate::stage::{Error, message};

/// Longest commit message and body of a pull request, in bytes, and longest title in characters.
const COMMIT_MESSAGE: usize = 16 << 10;
const BODY: usize = 60 << 10;
const TITLE: usize = 256;

/// The texts of one publication.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::stage) struct Texts {
    /// Without the line by which the run knows its commit again: that is the worker's.
    pub(in crate::stage) commit_message: String,
    /// Of the pull request: one line.
    pub(in crate::stage) title: String,
    /// Of the pull request, in Markdown.
    pub(in crate::stage) body: String,
}

#[derive(Debug, Deserialize)]
struct Artifacts {
    branch_name: String,
    commit_message: String,
    pull_request: PullRequest,
}

#[derive(Debug, Deserialize)]
struct PullRequest {
    title: String,
    body: String,
}

impl Publisher<'_> {
    /// The built-in ones.
    pub(in crate::stage) async fn direct_texts(&self) -> Result<Texts, Error> {
        Ok(Texts {
            commit_message: message::commit(&self.spec),
            title: message::title(&self.spec),
            body: message::body(&self.spec, &self.ctx.offer.run_id),
        })
    }
}

/// The texts of a skill's result, and the branch that it names.
pub(super) fn read(artifacts: Map<String, Value>) -> Result<(Texts, String), String> {
    let artifacts: Artifacts = serde_json::from_value(artifacts.into()).map_err(|error| format!("its artifacts: {error}"))?;
    let texts = Texts {
        commit_message: artifacts.commit_message,
        title: artifacts.pull_request.title,
        body: artifacts.pull_request.body,
    };
    for (what, text, lines) in [
        ("commit_message", &texts.commit_message, true),
        ("pull_request.title", &texts.title, false),
        ("pull_request.body", &texts.body, true),
    ] {
        let refused = |c: char| c.is_control() && !(lines && (c == '\n' || c == '\t'));
        if let Some(found) = text.chars().find(|c| refused(*c)) {
            return Err(format!("{what} holds the control character U+{:04X}", u32::from(found)));
        }
    }
    if texts.commit_message.trim().is_empty() || texts.commit_message.len() > COMMIT_MESSAGE {
        return Err(format!("commit_message is empty, or longer than {COMMIT_MESSAGE} bytes"));
    }
    if texts.title.trim().is_empty() || texts.title.chars().count() > TITLE {
        return Err(format!("pull_request.title is empty, or longer than {TITLE} characters"));
    }
    if texts.body.len() > BODY {
        return Err(format!("pull_request.body is longer than {BODY} bytes"));
    }
    Ok((texts, artifacts.branch_name))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read_with(change: impl FnOnce(&mut Value)) -> Result<(Texts, String), String> {
        let mut artifacts = json!({
            "branch_name": "moorline/x",
            "commit_message": "x: add\n\nAll\tof it.\n",
            "pull_request": {"title": "Add x", "body": "# X\n", "more": 1},
        });
        change(&mut artifacts);
        read(artifacts.as_object().unwrap().clone())
    }

    #[test]
    fn texts_are_read_as_they_are_written() {
        let (texts, branch) = read_with(|_| {}).unwrap();
        assert_eq!(
            (texts.title.as_str(), texts.body.as_str(), branch.as_str()),
            ("Add x", "# X\n", "moorline/x")
        );
        assert_eq!(texts.commit_message, "x: add\n\nAll\tof it.\n");
    }

    #[test]
    fn texts_that_are_too_long_or_hide_something_are_refused() {
        let said = [
            read_with(|it| it["commit_message"] = "x\u{1b}[2J".into()),
            read_with(|it| it["commit_message"] = " \n".into()),
            read_with(|it| it["commit_message"] = "x".repeat(COMMIT_MESSAGE + 1).into()),
            read_with(|it| it["pull_request"]["title"] = "a\nb".into()),
            read_with(|it| it["pull_request"]["title"] = "ä".repeat(TITLE + 1).into()),
            read_with(|it| it["pull_request"]["body"] = "x".repeat(BODY + 1).into()),
            read_with(|it| it["pull_request"]["body"] = "a\0b".into()),
            read_with(|it| it["pull_request"] = Value::Null),
            read_with(|it| drop(it.as_object_mut().unwrap().remove("branch_name"))),
        ];
        let said: Vec<String> = said.into_iter().map(Result::unwrap_err).collect();
        insta::assert_snapshot!(said.join("\n"), @r"
        commit_message holds the control character U+001B
        commit_message is empty, or longer than 16384 bytes
        commit_message is empty, or longer than 16384 bytes
        pull_request.title holds the control character U+000A
        pull_request.title is empty, or longer than 256 characters
        pull_request.body is longer than 61440 bytes
        pull_request.body holds the control character U+0000
        its artifacts: invalid type: null, expected struct PullRequest
        its artifacts: missing field `branch_name`
        ");
    }
}
