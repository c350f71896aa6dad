//! What every store must do, as cases that each run on a fresh store.
//!
//! A store calls [`conformance!`](crate::conformance) in one of its test files, with a function that opens an empty
//! store; each case becomes a test there. The cases know nothing of any store. Where the trait leaves a freedom (a time
//! to wake may be kept too early), the cases leave it too.
//!
//! [`differential`] goes further: it drives two stores with the same random commands and compares every answer.

pub mod commits;
pub mod content;
pub mod differential;
pub mod idempotency;
pub mod letters;
pub mod lifecycle;
pub mod limits;
pub mod lists;
pub mod outbox;
pub mod queue;
pub mod records;
pub mod retention;
pub mod runs;
pub mod shared;
pub mod steps;
pub mod support;
pub mod transfer;
pub mod usage;
pub mod wakes;
pub mod workflows;

use std::any::Any;
use std::sync::Arc;

use crate::traits::Store;

/// A store for one case, with what must live as long as it does, such as its directory.
pub struct Fixture {
    /// The store, empty.
    pub store: Arc<dyn Store>,
    /// Dropped after the store.
    pub keep: Box<dyn Any + Send>,
}

impl Fixture {
    /// A store with nothing beside it.
    pub fn new(store: impl Store) -> Self {
        Self {
            store: Arc::new(store),
            keep: Box::new(()),
        }
    }

    /// A store and what it needs.
    pub fn keeping(store: impl Store, keep: impl Any + Send) -> Self {
        Self {
            store: Arc::new(store),
            keep: Box::new(keep),
        }
    }
}

/// Makes a test of each case; takes the name of a function `fn() -> Fixture`.
#[macro_export]
macro_rules! conformance {
    ($open:ident) => {
        $crate::conformance_cases! { $open;
            commits {
                a_started_run_is_read_back_as_it_was_written,
                a_moved_run_has_its_new_row_and_both_history_entries,
                every_field_of_a_row_can_change,
                units_are_answered_in_their_order,
                a_later_unit_builds_on_an_earlier_one_of_the_same_commit,
                a_wrong_expected_version_is_a_conflict_and_changes_nothing,
                a_new_run_that_exists_is_a_conflict,
                a_run_that_does_not_exist_cannot_be_moved,
                a_run_of_another_namespace_cannot_be_moved_or_started_again,
                a_conflicting_unit_leaves_nothing_of_itself,
                a_move_that_is_refused_leaves_nothing_of_what_it_brings_along,
                a_conflict_does_not_stop_the_other_units,
                a_unit_of_several_runs_is_applied_wholly,
                a_unit_of_several_runs_is_left_out_wholly,
                the_conflict_names_the_first_run_that_was_moved,
                a_unit_can_move_one_run_twice,
                a_unit_that_contradicts_itself_is_a_conflict,
                a_version_that_skips_one_refuses_the_whole_commit,
                an_end_that_disagrees_with_the_state_refuses_the_whole_commit,
                an_empty_commit_answers_nothing,
                a_unit_without_runs_is_applied,
                of_many_writers_with_one_expectation_exactly_one_wins,
                a_unit_that_counts_on_another_version_of_a_workflow_is_outdated,
                a_workflow_of_another_name_or_namespace_is_not_the_one_that_is_counted_on,
                all_that_a_start_or_a_move_counts_on_is_looked_at_and_its_plans_are_stored,
            }
            idempotency {
                a_key_used_before_is_a_duplicate_with_the_first_record,
                a_duplicate_leaves_nothing_of_its_unit,
                the_second_unit_with_a_key_in_one_commit_is_a_duplicate,
                a_key_that_expires_at_once_is_free_for_the_next_unit,
                the_key_of_a_conflicting_unit_can_be_used_again,
                a_duplicate_is_told_before_a_conflict,
                a_record_is_absent_from_the_moment_it_expires,
                an_expired_record_is_replaced,
                keys_of_other_scopes_and_namespaces_are_other_keys,
                an_answer_that_does_not_hold_any_more_is_replaced,
                what_is_not_there_or_has_expired_need_not_be_replaced,
                a_conflict_replaces_no_answer,
                of_many_that_replace_one_answer_exactly_one_does,
                of_many_requests_with_one_key_exactly_one_takes_effect,
            }
            lists {
                runs_are_listed_newest_first,
                pages_join_without_gap_or_duplicate,
                a_full_last_page_has_no_next,
                a_page_of_nothing_is_empty,
                a_workflow_lists_its_own_runs,
                an_empty_workflow_lists_runs_of_inline_plans,
                a_prefix_lists_runs_of_workflows_that_begin_so,
                a_prefix_combines_with_the_other_filters,
                each_state_lists_its_own_runs,
                several_states_are_merged_in_order,
                the_range_of_acceptance_is_half_open,
                filters_combine,
                filtered_pages_join_without_gap_or_duplicate,
                lists_are_isolated_by_namespace,
            }
            runs {
                an_unknown_run_is_absent_everywhere,
                a_run_is_absent_from_other_namespaces,
                history_is_read_after_a_version_and_up_to_a_limit,
                loading_gives_the_whole_history,
                a_plan_is_found_by_its_digest,
                storing_a_plan_again_is_no_conflict,
                heads_tell_how_far_runs_have_come,
            }
            wakes {
                due_runs_come_earliest_first_up_to_a_limit,
                a_run_is_due_from_its_time_on_in_every_namespace,
                the_next_wake_is_the_earliest,
                an_earlier_wake_takes_effect_at_once,
                a_later_wake_takes_effect_with_reschedule_at_the_latest,
                a_timer_that_is_gone_is_gone_with_reschedule_at_the_latest,
                rescheduling_leaves_version_and_history,
                rescheduling_another_version_changes_nothing,
                rescheduling_finished_or_unknown_runs_changes_nothing,
                finished_runs_are_neither_due_nor_claimed,
                a_run_that_is_opened_again_is_due_again,
                claimed_runs_are_listed_by_id_after_one,
                claims_that_are_answered_are_no_longer_listed,
            }
            queue {
                entries_come_by_priority_then_age_then_step,
                only_the_actions_asked_for_are_answered,
                an_action_asked_for_twice_is_answered_once,
                no_actions_get_no_entries,
                a_limit_takes_the_first_of_all_actions,
                an_entry_goes_where_it_says_itself,
                a_queue_gives_no_more_than_was_asked_of_it,
                what_waits_is_counted_by_queue_in_one_namespace,
                an_entry_stays_until_it_is_removed,
                removing_an_absent_entry_is_no_conflict,
                putting_a_step_again_replaces_its_entry,
                an_entry_can_be_put_and_removed_in_one_commit,
                entries_carry_their_namespace,
                namespaces_come_in_turn_and_priorities_count_within_them,
                with_room_for_few_those_that_were_served_last_wait,
            }
            steps {
                a_row_of_a_step_is_read_back_as_it_was_written,
                writing_a_row_again_replaces_all_but_when_it_was_created,
                rows_of_steps_come_by_priority_then_creation_then_run_then_step,
                filters_of_steps_combine,
                a_page_of_steps_begins_at_its_offset_and_knows_the_total,
                steps_are_counted_by_state_in_one_namespace_and_action,
                the_oldest_that_waits_is_enqueued_or_waits_for_a_retry,
                what_is_in_progress_is_counted_by_queue_in_all_namespaces,
                the_end_of_a_run_cancels_what_is_not_settled,
                a_unit_that_is_left_out_leaves_no_row_of_a_step,
                rows_and_letters_go_with_a_run_that_is_deleted,
                letters_outlive_the_retention_of_their_run_and_rows_do_not,
            }
            letters {
                a_letter_is_read_back_as_it_was_written,
                letters_come_latest_first_then_by_run_and_step_downwards,
                a_page_of_letters_begins_at_its_offset_and_knows_the_total,
                letters_are_filtered_by_namespace_workflow_and_queue,
                a_step_that_is_tried_again_closes_all_its_open_letters_once,
                a_letter_of_the_unit_that_tries_again_is_open,
                the_latest_letter_of_a_step_is_found_without_its_attempt,
                a_letter_written_again_takes_the_place_of_the_first,
                old_letters_are_purged_open_or_not_up_to_a_limit,
                a_thousand_letters_are_purged_by_one_call,
            }
            records {
                a_document_is_read_back_as_it_was_written,
                each_write_is_one_more_version_and_keeps_the_time_of_the_first,
                of_several_documents_all_or_none_are_stored,
                every_expectation_is_about_what_was_there_before_the_call,
                a_document_that_was_removed_begins_again_at_one,
                documents_are_listed_by_id_after_one,
                documents_of_other_namespaces_and_kinds_are_other_documents,
                expired_documents_come_earliest_first_in_every_namespace,
                of_many_that_expect_one_version_exactly_one_writes,
                of_many_that_store_a_first_version_exactly_one_does,
            }
            outbox {
                a_message_is_read_back_as_it_was_written,
                messages_of_one_key_leave_one_at_a_time_in_order,
                other_keys_and_targets_do_not_wait,
                a_failed_message_delays_only_its_key_until_its_retry,
                a_message_given_up_lets_the_next_one_through,
                the_next_delivery_is_that_of_the_earliest_head,
                nothing_is_next_when_nothing_can_be_delivered,
                the_longest_due_message_comes_first,
                only_messages_that_are_asked_for_are_given_and_they_count_alone,
                ids_grow_and_are_not_given_twice,
                delivering_out_of_order_keeps_the_order_of_the_rest,
                unknown_and_dead_messages_are_left_alone,
            }
            workflows {
                the_first_version_is_one_and_is_read_back,
                versions_count_up_and_all_are_kept,
                many_writers_at_once_get_consecutive_versions,
                another_version_than_expected_stores_nothing,
                expecting_none_stores_only_the_first,
                storing_a_workflow_stores_its_plan,
                workflows_are_listed_by_id_after_one,
                workflows_are_isolated_by_namespace,
                deleting_a_workflow_keeps_its_runs,
                a_deleted_workflow_starts_again_at_one,
            }
            usage {
                unfinished_runs_are_counted_by_namespace,
                a_namespace_that_nobody_used_holds_nothing,
                everything_of_a_namespace_is_counted_and_nothing_of_another,
                of_many_runs_the_newest_stand_for_all,
            }
            retention {
                only_what_ended_before_the_time_is_removed,
                an_unfinished_run_is_never_removed,
                a_run_that_was_opened_again_is_not_removed,
                at_most_the_limit_is_removed_and_the_rest_later,
                history_and_queue_go_with_their_run,
                only_expired_records_are_forgotten,
                a_finished_run_is_deleted_with_its_history,
                an_unfinished_run_is_not_deleted,
                a_run_of_another_namespace_is_not_deleted,
            }
            content {
                any_text_comes_back_unchanged,
                text_that_looks_like_sql_is_only_text,
                two_mebibytes_come_back_unchanged,
                the_smallest_and_largest_numbers_come_back_unchanged,
            }
            lifecycle {
                the_status_counts_what_is_there,
                the_status_follows_every_change,
                a_closed_store_refuses_everything,
                closing_again_is_fine,
            }
        }
    };
}

/// The cases for stores that several nodes share.
#[macro_export]
macro_rules! conformance_shared {
    ($open:ident) => {
        $crate::conformance_cases! { $open;
            shared {
                a_taken_step_is_not_shown_to_others_until_the_claim_ends,
                its_own_owner_is_shown_a_taken_step_again,
                putting_a_taken_step_again_frees_it,
                a_taken_timer_is_not_shown_to_others_until_the_run_moves,
                a_taken_message_is_not_shown_to_others_until_it_failed,
                a_message_that_was_not_asked_for_is_not_taken,
                what_a_forgotten_node_was_delivering_is_free_at_once,
                of_many_claimers_each_step_goes_to_one,
                a_node_that_beats_is_listed_as_it_is,
                a_lease_that_runs_is_not_taken_over,
                a_node_whose_lease_ran_out_does_not_take_over_itself,
                a_lease_that_ran_out_is_renewed_if_nobody_took_it_over,
                a_node_that_was_taken_over_is_refused_until_it_is_another,
                a_node_that_was_forgotten_has_nothing_to_renew,
                of_many_that_take_over_exactly_one_does,
                a_take_over_that_was_not_finished_is_taken_over,
                a_beat_tells_what_waits_and_is_not_taken_by_others,
                a_notice_is_told_once_to_whom_it_is_for,
                runs_that_only_living_owners_hold_need_not_be_listed,
                hinting_never_waits_and_never_fails,
            }
            limits {
                a_unit_that_would_pass_a_limit_is_full,
                only_rows_in_progress_of_the_action_count_in_every_namespace,
                a_step_that_is_in_progress_already_counts_once,
                a_later_unit_of_a_commit_counts_what_an_earlier_one_began,
                a_unit_that_is_full_leaves_nothing,
                a_limit_is_looked_at_last,
                many_claimers_never_pass_a_limit,
            }
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! conformance_cases {
    ($open:ident; $($module:ident { $($case:ident,)* })*) => {
        $(mod $module {
            $(#[tokio::test]
            async fn $case() {
                let fixture = super::$open();
                $crate::conformance::$module::$case(fixture.store.clone()).await;
            })*
        })*
    };
}

/// The cases for stores that can be moved; takes the name of a function `fn() -> transfer::Fixture`.
#[macro_export]
macro_rules! conformance_transfer {
    ($open:ident) => {
        $crate::conformance_transfer! { $open;
            everything_comes_over_and_answers_the_same,
            a_moved_store_can_be_moved_on,
            an_empty_store_can_be_moved,
            a_move_goes_on_wherever_it_stopped,
            a_page_ends_at_either_limit_and_has_one_record_at_least,
            a_target_with_something_in_it_is_refused,
            a_target_of_another_source_is_refused,
            half_a_store_is_no_source,
            of_two_moves_at_the_same_time_one_is_refused,
            a_record_that_differs_is_named_and_the_target_stays_closed,
            new_messages_have_higher_numbers_than_moved_ones,
        }
    };
    ($open:ident; $($case:ident,)*) => {
        $(#[tokio::test]
        async fn $case() {
            $crate::conformance::transfer::$case($open).await;
        })*
    };
}
