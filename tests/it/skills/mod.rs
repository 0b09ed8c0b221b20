//! Stages that go by skills.

mod claim;
mod setup;
