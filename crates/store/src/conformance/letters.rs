//! Dead letters: kept until somebody tries the step again, or throws them away.

use quintet_core::time::Time;

use super::support::*;
use crate::commit::{Unit, UnitResult};
use crate::steps::{DeadLetter, LetterFilter};

const ALL: LetterFilter = LetterFilter {
    workflow: None,
    queue: None,
    with_retried: true,
};

async fn places(store: &AnyStore, filter: &LetterFilter) -> Vec<(u64, u32, u32)> {
    let page = store.letters(DEFAULT, filter, 0, usize::MAX).await.unwrap();
    assert_eq!(page.letters.len() as u64, page.total);
    page.letters.iter().map(place).collect()
}

fn place(letter: &DeadLetter) -> (u64, u32, u32) {
    (numbers([letter.run])[0], letter.node, letter.attempt)
}

async fn retry(store: &AnyStore, at: i64, number: u64, node: u32) {
    let unit = Unit {
        retried: vec![(id(number), node)],
        ..Unit::default()
    };
    assert_eq!(commit_at(store, at, vec![unit]).await, [UnitResult::Applied]);
}

pub async fn a_letter_is_read_back_as_it_was_written(store: AnyStore) {
    let text = "a\u{0}ü\u{10ffff}'; --";
    let written = DeadLetter {
        run: id(u64::MAX),
        node: u32::MAX,
        attempt: u32::MAX,
        namespace: text.into(),
        workflow: text.into(),
        step: text.into(),
        queue: text.into(),
        body: text.repeat(20_000),
        failed_at: Time(i64::MIN),
        retried_at: None,
    };
    put_letters(&store, [written.clone()]).await;
    let found = store.letter(text, written.run, u32::MAX, Some(u32::MAX)).await.unwrap();
    assert!(found == Some(written.clone()), "the letter changed");
    let listed = store.letters(text, &LetterFilter::default(), 0, 10).await.unwrap();
    assert!(listed.letters == [written], "the letter changed");
}

pub async fn letters_come_latest_first_then_by_run_and_step_downwards(store: AnyStore) {
    let of = |number, node, attempt, at| letter(number, node, attempt).with(|letter| letter.failed_at = Time(at));
    let letters = [
        of(1, 0, 1, 5),
        of(2, 0, 1, 5),
        of(2, 1, 1, 5),
        of(3, 0, 1, 4),
        of(4, 0, 1, 9),
        of(2, 1, 3, 5),
    ];
    put_letters(&store, letters).await;
    let order = [(4, 0, 1), (2, 1, 3), (2, 1, 1), (2, 0, 1), (1, 0, 1), (3, 0, 1)];
    assert_eq!(places(&store, &LetterFilter::default()).await, order);
    assert_eq!(places(&store, &ALL).await, order);
}

pub async fn a_page_of_letters_begins_at_its_offset_and_knows_the_total(store: AnyStore) {
    put_letters(&store, (0..5).map(|node| letter(1, node, 1))).await;
    for filter in [LetterFilter::default(), ALL] {
        let page = async |offset, limit| {
            let page = store.letters(DEFAULT, &filter, offset, limit).await.unwrap();
            let nodes: Vec<u32> = page.letters.iter().map(|letter| letter.node).collect();
            (nodes, page.total)
        };
        assert_eq!(page(0, 2).await, (vec![4, 3], 5));
        assert_eq!(page(3, 9).await, (vec![1, 0], 5));
        assert_eq!(page(5, 9).await, (vec![], 5));
        assert_eq!(page(0, 0).await, (vec![], 5));
    }
}

pub async fn letters_are_filtered_by_namespace_workflow_and_queue(store: AnyStore) {
    let of = |number, workflow: &str, queue: &str| {
        letter(number, 0, 1).with(|letter| {
            letter.workflow = workflow.into();
            letter.queue = queue.into();
            letter.failed_at = Time(number as i64);
        })
    };
    let away = of(5, "w", "q").with(|letter| letter.namespace = "acme".into());
    put_letters(
        &store,
        [of(1, "w", "q"), of(2, "w", "r"), of(3, "v", "q"), of(4, "", ""), away],
    )
    .await;
    for with_retried in [false, true] {
        let found = async |workflow: Option<&str>, queue: Option<&str>| {
            let filter = LetterFilter {
                workflow: workflow.map(Into::into),
                queue: queue.map(Into::into),
                with_retried,
            };
            places(&store, &filter)
                .await
                .iter()
                .map(|place| place.0)
                .collect::<Vec<_>>()
        };
        assert_eq!(found(None, None).await, [4, 3, 2, 1]);
        assert_eq!(found(Some("w"), None).await, [2, 1]);
        assert_eq!(found(None, Some("q")).await, [3, 1]);
        assert_eq!(found(Some("w"), Some("q")).await, [1]);
        assert_eq!(found(Some(""), None).await, [4]);
        assert_eq!(found(Some("W"), None).await, [0; 0]);
    }
}

pub async fn a_step_that_is_tried_again_closes_all_its_open_letters_once(store: AnyStore) {
    put_letters(
        &store,
        [letter(1, 0, 1), letter(1, 0, 2), letter(1, 1, 1), letter(2, 0, 1)],
    )
    .await;
    retry(&store, 70, 1, 0).await;
    assert_eq!(places(&store, &LetterFilter::default()).await, [(2, 0, 1), (1, 1, 1)]);
    assert_eq!(places(&store, &ALL).await.len(), 4);
    put_letters(&store, [letter(1, 0, 3)]).await;
    retry(&store, 90, 1, 0).await;
    retry(&store, 95, 8, 0).await;
    let retried = async |attempt| {
        let letter = store.letter(DEFAULT, id(1), 0, Some(attempt)).await.unwrap();
        letter.expect("the letter is there").retried_at
    };
    assert_eq!(retried(1).await, Some(Time(70)));
    assert_eq!(retried(2).await, Some(Time(70)));
    assert_eq!(retried(3).await, Some(Time(90)));
}

pub async fn a_letter_of_the_unit_that_tries_again_is_open(store: AnyStore) {
    put_letters(&store, [letter(1, 0, 1)]).await;
    let unit = Unit {
        retried: vec![(id(1), 0)],
        letters: vec![letter(1, 0, 2)],
        ..Unit::default()
    };
    assert_eq!(commit(&store, unit).await, UnitResult::Applied);
    assert_eq!(places(&store, &LetterFilter::default()).await, [(1, 0, 2)]);
}

pub async fn the_latest_letter_of_a_step_is_found_without_its_attempt(store: AnyStore) {
    put_letters(
        &store,
        [letter(1, 0, 2), letter(1, 0, 10), letter(1, 0, 1), letter(1, 1, 99)],
    )
    .await;
    let found = async |namespace, node, attempt| {
        let found = store.letter(namespace, id(1), node, attempt).await.unwrap();
        found.map(|letter| letter.attempt)
    };
    assert_eq!(found(DEFAULT, 0, None).await, Some(10));
    assert_eq!(found(DEFAULT, 0, Some(2)).await, Some(2));
    assert_eq!(found(DEFAULT, 0, Some(3)).await, None);
    assert_eq!(found(DEFAULT, 2, None).await, None);
    assert_eq!(found("acme", 0, None).await, None);
    retry(&store, 50, 1, 0).await;
    assert_eq!(found(DEFAULT, 0, None).await, Some(10), "also when it was tried again");
}

pub async fn a_letter_written_again_takes_the_place_of_the_first(store: AnyStore) {
    put_letters(&store, [letter(1, 0, 1)]).await;
    retry(&store, 50, 1, 0).await;
    let again = letter(1, 0, 1).with(|letter| letter.body = "\"again\"".to_owned());
    put_letters(&store, [again.clone()]).await;
    let page = store.letters(DEFAULT, &ALL, 0, 10).await.unwrap();
    assert_eq!((page.letters, page.total), (vec![again], 1));
}

pub async fn old_letters_are_purged_open_or_not_up_to_a_limit(store: AnyStore) {
    let of = |number: u64| letter(number, 0, 1).with(|letter| letter.failed_at = Time(number as i64));
    let away = |number| of(number).with(|letter| letter.namespace = "acme".into());
    put_letters(&store, [of(1), of(2), of(3), of(4), away(5), away(6), of(7)]).await;
    retry(&store, 50, 2, 0).await;
    let purge = async |namespace, before, limit| store.purge_letters(namespace, Time(before), limit).await.unwrap();
    assert_eq!(purge(Some(DEFAULT), 1, 10).await, 0);
    assert_eq!(purge(Some(DEFAULT), 3, 0).await, 0);
    assert_eq!(purge(Some(DEFAULT), 3, 1).await, 1);
    assert_eq!(purge(Some(DEFAULT), 3, 10).await, 1);
    assert_eq!(places(&store, &ALL).await, [(7, 0, 1), (4, 0, 1), (3, 0, 1)]);
    assert_eq!(purge(None, 6, usize::MAX).await, 3);
    assert_eq!(places(&store, &ALL).await, [(7, 0, 1)]);
    assert_eq!(store.letters("acme", &ALL, 0, 10).await.unwrap().total, 1);
}

pub async fn a_thousand_letters_are_purged_by_one_call(store: AnyStore) {
    put_letters(&store, (0..1200).map(|node| letter(1, node, 1))).await;
    assert_eq!(store.purge_letters(None, Time(i64::MAX), 1100).await.unwrap(), 1100);
    assert_eq!(store.purge_letters(None, Time(i64::MAX), 1100).await.unwrap(), 100);
}
