//! The table of late events (`crates/core/tests/zombies/table.txt`) through real commits, on both stores; and races.
//!
//! Whoever is late is so twice over. A process that has not heard of the newest commit decides on the copy that it has:
//! the store refuses its write by the run's version, whatever it decided. Then it looks again, and meets the fence of
//! the attempt.

#[path = "zombies/engines.rs"]
mod engines;
#[path = "../../core/tests/zombies/late.rs"]
mod late;
#[path = "zombies/lines.rs"]
mod lines;
#[path = "zombies/races.rs"]
mod races;
#[path = "../../core/tests/zombies/situation.rs"]
mod situation;
#[path = "zombies/stores.rs"]
mod stores;
#[path = "zombies/story.rs"]
mod story;
#[path = "../../core/tests/support/mod.rs"]
mod support;
#[path = "../../core/tests/zombies/table.rs"]
mod table;
#[path = "zombies/writer.rs"]
mod writer;

use writer::Writer;

/// Says of properties that they hold on both stores.
macro_rules! on_both_stores {
    ($($home:ident::$property:ident;)*) => {
        on_both_stores!(on_sqlite, sqlite, $($home::$property;)*);
        on_both_stores!(on_postgresql, postgres, $($home::$property;)*);
    };
    ($name:ident, $store:ident, $($home:ident::$property:ident;)*) => {
        mod $name {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $property() {
                crate::$home::$property(crate::stores::$store().await).await;
            })*
        }
    };
}

on_both_stores! {
    lines::every_late_event_meets_what_the_table_says_and_never_on_an_old_copy;
    races::one_answer_is_recorded_and_all_who_say_the_same_are_told_that_it_is;
    races::one_answer_is_recorded_also_when_each_comes_with_a_key_of_its_own;
    races::of_many_different_answers_one_is_recorded_and_all_others_are_told_which;
    races::of_a_cancel_and_an_answer_one_wins_and_everybody_is_told_which;
    races::of_an_answer_in_time_and_the_clock_one_ends_the_attempt;
    races::a_retry_asked_for_by_many_is_one_new_attempt;
    races::a_step_claimed_by_many_is_handed_out_once;
    races::an_attempt_that_many_find_lost_is_made_again_once;
    engines::one_of_many_answers_is_recorded_and_all_engines_tell_the_same;
    engines::a_cancel_or_an_answer_wins_and_all_engines_tell_the_same;
}

/// Otherwise the history's own key would refuse it, one way longer; the fence is the version.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgresql_finds_an_old_version_in_the_very_statement_that_writes() {
    let fixture = stores::postgres().await;
    // The one says nothing but what became of the run; the other takes an entry out of the queue, too.
    for (number, (situation, late)) in [("complete", "cancel"), ("enqueued", "claim")].into_iter().enumerate() {
        let mut at = situation::build(situation);
        let mut writer = Writer::of(&at, fixture.process(0));
        story::store(&mut at, &mut writer, number as u64).await;
        let (command, _) = late::make(late, &at);
        let decision = writer.decide(&at.sim.state, command);
        assert!(writer.commit(&decision).await);
        let before = (fixture.round_trips)();
        assert!(!writer.commit(&decision).await);
        assert_eq!((fixture.round_trips)() - before, 1, "{situation}");
    }
}
