//! Stages by skills.

mod shipped;
