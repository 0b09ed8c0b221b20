//! What every engine does, and what stands on it (login checks, the submit stage): one suite, run on Docker and on local processes.
//!
//! The Docker half needs an engine that answers and the image `debian:bookworm-slim` (or the one that `MOORLINE_TEST_IMAGE` names). It fails
//! without them; `MOORLINE_TEST_NO_DOCKER=1` skips it.

// All of this is tests; clippy knows only functions that bear the attribute.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "engines/agent.rs"]
mod agent;
#[path = "engines/devices.rs"]
mod devices;
#[path = "engines/docker.rs"]
mod docker;
#[path = "engines/failing.rs"]
mod failing;
#[path = "engines/left.rs"]
mod left;
#[path = "engines/logins.rs"]
mod logins;
#[path = "engines/model.rs"]
mod model;
#[path = "engines/outlet.rs"]
mod outlet;
#[path = "engines/process.rs"]
mod process;
#[path = "engines/rungs.rs"]
mod rungs;
#[path = "engines/skills.rs"]
mod skills;
#[path = "engines/submits.rs"]
mod submits;
#[path = "engines/suite.rs"]
mod suite;
#[path = "engines/walls.rs"]
mod walls;
#[path = "engines/world.rs"]
mod world;

/// Runs each case of a suite on each engine.
macro_rules! on_both_engines {
    ($($suite:ident::$case:ident)+) => {
        mod on_docker {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $case() {
                if let Some(world) = crate::world::World::docker().await {
                    crate::$suite::$case(world).await;
                }
            })+
        }
        mod on_processes {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $case() {
                crate::$suite::$case(crate::world::World::process()).await;
            })+
        }
    };
}

on_both_engines! {
    devices::a_login_by_device_code_shows_its_code_while_it_waits
    devices::a_login_that_is_broken_off_leaves_the_old_one_and_no_container
    suite::output_and_exit_code_go_where_the_spec_says
    suite::arguments_mean_nothing_to_a_shell
    suite::the_environment_is_what_the_spec_says
    suite::a_job_is_the_job_user_without_privileges
    suite::a_job_that_outlives_its_limit_has_timed_out
    suite::a_code_of_its_own_is_no_time_out
    suite::stop_lets_a_job_end_by_itself
    suite::stop_kills_what_does_not_listen
    suite::nothing_survives_the_end_of_a_job
    suite::what_clears_its_environment_does_not_survive_its_job
    suite::a_worker_that_starts_anew_finds_its_jobs
    suite::what_has_ended_meanwhile_tells_a_new_worker_how
    suite::a_new_worker_stops_what_an_old_one_has_started
    suite::a_job_keeps_its_limit_without_its_worker
    suite::list_takes_all_labels_and_remove_forgets
    suite::removing_a_running_job_ends_it
    suite::a_missing_volume_is_refused_and_not_created
    suite::a_new_volume_belongs_to_its_owner_and_is_private
    suite::a_job_writes_to_its_volume_and_the_worker_reads_it
    suite::a_link_in_a_volume_is_not_followed
    suite::capture_returns_what_a_command_says
    suite::capture_passes_input_and_else_none
    suite::capture_cuts_long_output
    suite::capture_keeps_the_time_limit
    suite::capture_tells_a_missing_program
    suite::capture_does_not_wait_for_what_a_command_left_running
    suite::a_dropped_capture_leaves_nothing_running
    logins::each_state_of_a_login_is_told_apart
    logins::a_volume_without_a_login_is_told_with_the_command_that_mends_it
    logins::a_login_is_described_without_its_secrets
    logins::a_volume_that_is_missing_is_not_created_by_the_check
    logins::a_cli_that_is_missing_is_the_environments_fault
    logins::a_cli_that_hangs_has_timed_out
    logins::without_a_volume_the_check_is_skipped
    logins::modes_that_are_too_wide_are_mended
    logins::a_volume_that_somebody_uses_is_told_with_who_it_is
    logins::what_piled_up_is_cleaned_away_and_the_login_stays
    submits::an_agents_work_becomes_a_patch_and_a_log
    submits::an_agent_that_is_stopped_leaves_its_login_looked_after
    submits::a_job_of_an_older_lease_does_not_get_the_volume
    submits::an_agent_is_not_started_on_a_bad_login
    submits::a_login_that_dies_at_work_is_told_with_its_remedy
    submits::an_account_without_quota_is_reported_as_a_failed_check
    submits::secrets_that_an_agent_prints_are_not_passed_on
    submits::another_runs_folder_is_out_of_sight
    submits::an_agent_can_not_move_its_checkout_away
    submits::a_link_in_the_place_of_the_checkout_is_refused
    submits::an_engine_that_fails_at_work_leaves_no_agent_behind
    submits::a_cancelled_job_has_stopped_though_its_engine_failed
    submits::an_agent_that_prints_no_events_has_failed
    submits::an_agent_that_changes_nothing_has_failed
    submits::an_agent_that_takes_too_long_is_ended_by_its_container
    submits::an_agent_that_fills_the_disk_is_stopped
    submits::an_agent_that_fills_its_home_behind_a_shut_door_is_stopped
    submits::an_agent_that_filled_the_disk_and_ended_leaves_no_patch
    submits::an_agent_within_its_disk_is_left_alone
    submits::a_stop_ends_the_agent
    submits::a_stage_that_is_given_up_takes_its_container_with_it
    submits::an_agent_that_outlives_its_worker_is_gone_on_with
    submits::an_agent_that_ended_while_no_worker_was_there_is_gone_on_with
    submits::an_agent_that_was_killed_while_no_worker_was_there_was_lost
    submits::an_adopted_agent_can_be_stopped
    submits::an_adopted_agent_keeps_its_own_limit
    submits::what_is_left_with_a_login_is_ended_before_the_next_job_uses_it
    skills::a_program_finds_the_phase_within_its_walls
    skills::what_a_program_gets_wrong_is_told_and_made_up_for
    skills::without_a_fallback_a_skills_failure_is_the_stages
    skills::a_program_that_hangs_is_ended_in_time_for_the_built_in_way
    skills::both_ways_failing_keeps_both_reasons
    skills::an_engine_that_fails_starts_no_built_in_way
    skills::a_program_that_is_told_to_stop_is_no_failure
    skills::an_agent_works_by_a_skills_instructions
    skills::a_program_works_in_the_agents_place
    skills::an_agent_that_fails_by_a_skill_is_followed_by_the_built_in_way
    skills::a_bad_login_or_no_time_starts_no_built_in_way
    skills::a_program_writes_what_is_published
    skills::texts_of_another_branch_are_not_published
    skills::a_skills_agent_that_outlives_its_worker_is_gone_on_with_and_made_up_for
    skills::a_built_in_agent_that_took_over_outlives_its_worker
    skills::a_program_that_outlives_its_worker_is_gone_on_with
    skills::a_program_that_goes_with_its_machine_is_not_at_fault
    skills::another_publisher_of_the_run_is_replaced_and_a_stranger_is_not
    skills::a_repositorys_skill_is_no_process_of_the_workers_own_user
}
