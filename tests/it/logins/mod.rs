//! What becomes of logins: with and without their lease, killed half-way, and searched for.

mod kills;
mod needs_auth;
mod search;
mod secrets;
mod unguarded;
