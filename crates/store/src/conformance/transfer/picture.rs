//! What a store answers, seen through the trait alone.

use crate::deal::Turns;
use std::fmt::Write;

use quintet_core::time::Time;

use super::super::differential::{ACTIONS, KEYS, KINDS, NAMESPACES, QUEUES, SCOPES};
use super::super::support::{AnyStore, asks, claim, digest};
use crate::query::{OutboxAsk, OutboxEntry, RunFilter};
use crate::steps::{LetterFilter, StepFilter};

/// The answers to every question, as text that can be compared.
pub async fn picture(store: &AnyStore) -> String {
    let mut out = String::new();
    let mut note = |what: &dyn std::fmt::Debug| writeln!(out, "{what:?}").expect("memory");
    let odd = "a\u{0}b\u{1}c\u{1}\u{2}ü\u{10ffff}'; --";
    for namespace in NAMESPACES.into_iter().chain([odd]) {
        let page = store
            .runs(namespace, &RunFilter::default(), None, usize::MAX)
            .await
            .unwrap();
        for row in page.rows {
            note(&store.load(namespace, row.id).await.unwrap());
        }
        for workflow in store.workflows(namespace, None, usize::MAX).await.unwrap() {
            note(&store.workflow_versions(namespace, &workflow.id).await.unwrap());
            note(&workflow);
        }
        let all = LetterFilter {
            with_retried: true,
            ..LetterFilter::default()
        };
        note(
            &store
                .steps(namespace, &StepFilter::default(), 0, usize::MAX)
                .await
                .unwrap(),
        );
        note(&store.letters(namespace, &all, 0, usize::MAX).await.unwrap());
        note(
            &store
                .letters(namespace, &LetterFilter::default(), 0, usize::MAX)
                .await
                .unwrap(),
        );
        for action in ACTIONS.into_iter().chain([odd]) {
            note(&store.step_counts(namespace, action).await.unwrap());
        }
        for kind in KINDS.into_iter().chain([odd]) {
            note(&store.records(namespace, kind, None, usize::MAX).await.unwrap());
        }
        for scope in SCOPES {
            for key in KEYS.into_iter().chain([odd]) {
                note(&store.idempotency(namespace, scope, key, Time(0)).await.unwrap());
            }
        }
    }
    for number in 0..=u8::MAX {
        note(&store.plan(digest(number)).await.unwrap());
    }
    for action in ACTIONS.into_iter().chain([odd]) {
        note(&store.in_progress(action).await.unwrap());
    }
    for kind in KINDS.into_iter().chain([odd]) {
        note(&store.expired_records(kind, Time(i64::MAX), usize::MAX).await.unwrap());
    }
    let queues: Vec<&str> = QUEUES.into_iter().chain([odd]).collect();
    note(
        &store
            .queued(&asks(&queues), &Turns::default(), claim(0), usize::MAX)
            .await
            .unwrap(),
    );
    note(&store.due(claim(i64::MAX), usize::MAX).await.unwrap());
    note(&store.claimed(&[], None, usize::MAX).await.unwrap());
    note(&(store.next_wake().await.unwrap(), store.outbox_next().await.unwrap()));
    note(
        &store
            .outbox_due(claim(i64::MAX), OutboxAsk::up_to(usize::MAX))
            .await
            .unwrap(),
    );
    let status = store.status().await.unwrap();
    note(&(status.runs, status.queued, status.outbox, status.outbox_dead));
    out
}

/// Delivers every message, and says in which order they came.
pub async fn drained(store: &AnyStore) -> Vec<OutboxEntry> {
    let mut all = Vec::new();
    loop {
        let due = store
            .outbox_due(claim(i64::MAX), OutboxAsk::up_to(usize::MAX))
            .await
            .unwrap();
        if due.is_empty() {
            return all;
        }
        let ids: Vec<i64> = due.iter().map(|entry| entry.id).collect();
        store.outbox_delivered(&ids).await.unwrap();
        all.extend(due);
    }
}
