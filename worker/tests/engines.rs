//! What every engine does: one suite, run on Docker and on local processes.
//!
//! The Docker half needs an engine that answers and the image `debian:bookworm-slim` (or the one that `MOORLINE_TEST_IMAGE` names). It fails
//! without them; `MOORLINE_TEST_NO_DOCKER=1` skips it.

// All of this is tests; clippy knows only functions that bear the attribute.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "engines/docker.rs"]
mod docker;
#[path = "engines/process.rs"]
mod process;
#[path = "engines/suite.rs"]
mod suite;
#[path = "engines/world.rs"]
mod world;

/// Runs each case of the suite on each engine.
macro_rules! on_both_engines {
    ($($case:ident)+) => {
        mod on_docker {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $case() {
                if let Some(world) = crate::world::World::docker().await {
                    crate::suite::$case(&world).await;
                }
            })+
        }
        mod on_processes {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $case() {
                crate::suite::$case(&crate::world::World::process()).await;
            })+
        }
    };
}

on_both_engines! {
    output_and_exit_code_go_where_the_spec_says
    arguments_mean_nothing_to_a_shell
    the_environment_is_what_the_spec_says
    a_job_is_the_job_user_without_privileges
    a_job_that_outlives_its_limit_has_timed_out
    a_code_of_its_own_is_no_time_out
    stop_lets_a_job_end_by_itself
    stop_kills_what_does_not_listen
    nothing_survives_the_end_of_a_job
    a_worker_that_starts_anew_finds_its_jobs
    list_takes_all_labels_and_remove_forgets
    a_running_job_is_not_removed
    a_missing_volume_is_refused_and_not_created
    a_new_volume_belongs_to_its_owner_and_is_private
    a_job_writes_to_its_volume_and_the_worker_reads_it
    a_link_in_a_volume_is_not_followed
    capture_returns_what_a_command_says
    capture_passes_input_and_else_none
    capture_cuts_long_output
    capture_keeps_the_time_limit
    capture_tells_a_missing_program
    capture_does_not_wait_for_what_a_command_left_running
    a_dropped_capture_leaves_nothing_running
}
