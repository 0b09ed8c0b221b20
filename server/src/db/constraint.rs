//! One map from the names of constraints to what a person is told.

use diesel::result::Error as DieselError;

use crate::domain::Error;

/// The name of the constraint that a statement broke, if that is how it failed.
pub fn broken(error: &DieselError) -> Option<&str> {
    match error {
        DieselError::DatabaseError(_, information) => information.constraint_name(),
        _ => None,
    }
}

/// What a broken constraint means to the caller; `None` for those that only a fault of our own can break.
pub fn explain(constraint: &str) -> Option<Error> {
    Some(match constraint {
        "runs_one_open_per_feature" => Error::already_exists(
            "RUN_ALREADY_OPEN",
            "this feature has an open run already: watch or cancel that one first (moorline run watch, moorline run cancel)",
        ),
        "runs_idempotency_key_key" => Error::already_exists(
            "IDEMPOTENCY_KEY_REUSED",
            "this idempotency key was used for another request: use a new key, or repeat the first request unchanged",
        ),
        "runs_frozen" => Error::precondition("RUN_ENDED", "the run has ended and can't be changed: create a new one"),
        "runs_status_step" => Error::precondition(
            "RUN_STATUS",
            "the run's status doesn't allow this: look at it with `moorline run get`",
        ),
        _ => return None,
    })
}
