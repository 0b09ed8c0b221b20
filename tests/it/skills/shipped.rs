//! The skills that are part of Moorline, and what is written about skills.

mod conventional_commits;
mod documented;
mod front_matter;
mod parity;
mod program;
mod refusals;
mod spec_kit_cli;
mod texts;
