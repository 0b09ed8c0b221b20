//! Where output goes, and in which form: documents for programs, tables for people, colour and animation only on a terminal.

use std::{
    env,
    fmt::Display,
    io::{self, IsTerminal, Write},
};

use serde::Serialize;

use crate::error::Error;

/// An output stream that knows whether a person looks at it.
pub trait Stream: Write + Send {
    /// Whether it is a terminal.
    fn is_terminal(&self) -> bool;
}

impl Stream for io::Stdout {
    fn is_terminal(&self) -> bool {
        IsTerminal::is_terminal(self)
    }
}

impl Stream for io::Stderr {
    fn is_terminal(&self) -> bool {
        IsTerminal::is_terminal(self)
    }
}

/// Memory, for tests.
impl Stream for Vec<u8> {
    fn is_terminal(&self) -> bool {
        false
    }
}

/// The form of output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Tables and lines for people.
    Table,
    /// JSON for programs: one document, or one line per event.
    Json,
}

/// Something that a command can show in either form.
pub trait View: Serialize {
    /// The form for people, without a line end.
    fn table(&self, color: bool) -> String;
}

/// The two output streams of a command.
pub struct Console<'a> {
    /// Results.
    pub out: &'a mut dyn Stream,
    /// Notes, progress and errors.
    pub err: &'a mut dyn Stream,
    /// The form of results.
    pub format: Format,
    plain: bool,
}

impl<'a> Console<'a> {
    /// A console on two streams. `NO_COLOR` and `TERM=dumb` make it plain, as does a stream that is no terminal.
    pub fn new(out: &'a mut dyn Stream, err: &'a mut dyn Stream, format: Format) -> Self {
        let set = |name| env::var_os(name).filter(|value| !value.is_empty());
        let plain = set("NO_COLOR").is_some() || set("TERM").is_some_and(|term| term == "dumb");
        Self { out, err, format, plain }
    }

    /// Whether results may be coloured.
    pub fn color(&self) -> bool {
        !self.plain && self.out.is_terminal()
    }

    /// Whether progress may be animated on the error stream.
    pub fn animated(&self) -> bool {
        !self.plain && self.format == Format::Table && self.err.is_terminal()
    }

    /// Shows a result in the form that was asked for.
    pub fn show(&mut self, view: &impl View) -> Result<(), Error> {
        let text = match self.format {
            Format::Table => view.table(self.color()),
            Format::Json => serde_json::to_string_pretty(view)?,
        };
        self.line(text)
    }

    /// Writes one line of JSON.
    pub fn json_line(&mut self, value: &impl Serialize) -> Result<(), Error> {
        let line = serde_json::to_string(value)?;
        self.line(line)
    }

    /// Writes a line of results. Flushed at once, since a program may wait for it at the other end of a pipe.
    pub fn line(&mut self, text: impl Display) -> Result<(), Error> {
        writeln!(self.out, "{text}")?;
        Ok(self.out.flush()?)
    }

    /// Writes a line for people to the error stream; nothing when the output is for programs.
    pub fn note(&mut self, text: impl Display) -> Result<(), Error> {
        if self.format == Format::Table {
            writeln!(self.err, "{text}")?;
        }
        Ok(())
    }
}
