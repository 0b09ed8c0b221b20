//! An error as users see it: one clear line, the facts, and what to do next.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{
    console::{Console, Format},
    exit::Exit,
    table::one_line,
};

/// What to tell the user about an error.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The gRPC code's name in snake_case, or `usage`, `unreachable`, `timeout`, `fault`.
    pub code: String,
    /// The server's stable reason, such as `RUN_ALREADY_OPEN`.
    pub reason: Option<String>,
    /// What happened.
    pub message: String,
    /// Facts by name, such as `run_id`.
    pub metadata: BTreeMap<String, String>,
    /// Fields of the request that are wrong, and why.
    pub field_violations: Vec<FieldViolation>,
    /// What to do next.
    pub next: Option<String>,
    /// The exit code.
    pub exit_code: u8,
    #[serde(skip)]
    exit: Exit,
}

#[derive(Serialize)]
struct Document<'a> {
    error: &'a Report,
}

/// A field of the request that is wrong.
#[derive(Debug, Serialize)]
pub struct FieldViolation {
    /// Its name in the contract.
    pub field: String,
    /// What is wrong with it.
    pub description: String,
}

impl Report {
    /// A report of a message alone.
    pub fn new(code: &str, message: impl ToString, exit: Exit) -> Self {
        Self {
            code: code.to_owned(),
            reason: None,
            message: one_line(&message.to_string()),
            metadata: BTreeMap::new(),
            field_violations: Vec::new(),
            next: None,
            exit_code: exit as u8,
            exit,
        }
    }

    /// Nothing to say.
    pub fn silent(exit: Exit) -> Self {
        Self::new("", "", exit)
    }

    /// Adds what to do next.
    pub fn next(mut self, next: impl Into<String>) -> Self {
        self.next = Some(next.into());
        self
    }

    /// Writes it to the error stream and gives the exit code.
    pub fn write(&self, console: &mut Console<'_>) -> Exit {
        let text = match console.format {
            Format::Table => self.text(),
            Format::Json => serde_json::to_string(&Document { error: self }).unwrap_or_else(|_| self.text()),
        };
        if !self.message.is_empty() {
            // Nobody is left to tell when even this can't be written.
            let _ = writeln!(console.err, "{text}");
        }
        self.exit
    }

    fn text(&self) -> String {
        let reason = self.reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
        let mut lines = vec![format!("error: {}{reason}", self.message)];
        lines.extend(
            self.field_violations
                .iter()
                .filter(|wrong| wrong.description != self.message)
                .map(|wrong| one_line(&format!("{}: {}", wrong.field, wrong.description)))
                .map(indent),
        );
        lines.extend(
            self.metadata
                .iter()
                .map(|(name, value)| one_line(&format!("{name}: {value}")))
                .map(indent),
        );
        lines.extend(self.next.iter().map(|next| format!("next: {next}")));
        lines.join("\n")
    }
}

fn indent(line: String) -> String {
    format!("  {line}")
}
