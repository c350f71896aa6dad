use quintet_core::plan::{EdgeOn, Join, SkipMode};
use quintet_core::retry::Backoff;
use serde_json::json;

use super::*;

fn read(document: Value) -> Result<(StoredDocument, Plan), FieldErrors> {
    plan_of(&document, None, PlanOptions::default())
}

fn findings(document: Value) -> Vec<String> {
    read(document).unwrap_err().0.iter().map(ToString::to_string).collect()
}

fn steps(plan: &Plan) -> Vec<(&str, Vec<&str>)> {
    plan.spec
        .steps
        .iter()
        .map(|step| {
            (
                step.key.as_str(),
                step.depends_on.iter().map(|edge| edge.step.as_str()).collect(),
            )
        })
        .collect()
}

#[test]
fn steps_without_depends_on_run_in_the_order_written() {
    let (_, plan) = read(json!({ "name": "n", "steps": [
        { "name": "one", "action": "noop" }, { "name": "two", "action": "noop", "when": "false" }, { "action": "noop" },
    ]}))
    .unwrap();
    assert_eq!(
        steps(&plan),
        [("one", vec![]), ("two", vec!["one"]), ("step_3", vec!["two"])]
    );
    assert!(plan.spec.steps.iter().all(|step| step.skip == SkipMode::Satisfy));
}

#[test]
fn one_depends_on_makes_it_a_graph_by_id_or_unique_name() {
    let (_, plan) = read(json!({ "name": "n", "steps": [
        { "id": "a", "name": "First", "action": "noop" },
        { "name": "b", "action": "noop", "depends_on": [] },
        { "name": "c", "action": "noop", "join": { "at_least": 1 },
          "depends_on": ["First", { "step": "b", "on": "failure" }] },
        { "name": "d", "action": "noop", "depends_on": "c", "join": "any" },
    ]}))
    .unwrap();
    assert_eq!(
        steps(&plan),
        [("a", vec![]), ("b", vec![]), ("c", vec!["a", "b"]), ("d", vec!["c"])]
    );
    assert_eq!(plan.spec.steps[2].depends_on[1].on, EdgeOn::Failure);
    assert_eq!(
        (plan.spec.steps[2].join, plan.spec.steps[3].join),
        (Join::AtLeast(1), Join::Any)
    );
    assert_eq!(plan.spec.steps[0].skip, SkipMode::Propagate);
}

#[test]
fn retry_counts_extra_attempts_with_a_fixed_wait_of_250_ms() {
    let policy = |retry: Value| {
        let (_, plan) = read(json!({ "name": "n", "steps": [{ "action": "noop", "retry": retry }] })).unwrap();
        plan.spec.steps[0].retry.clone()
    };
    let plain = policy(json!({ "max": 2 }));
    assert_eq!(
        (plain.max_attempts, plain.delay_ms, plain.backoff, plain.jitter_percent),
        (3, 250, Backoff::Fixed, 0)
    );
    assert_eq!(policy(json!({ "max": -1, "backoff_ms": -5 })), policy(json!({})));
    let rich = policy(
        json!({ "max": 1, "backoff_ms": 10, "backoff": "exponential", "max_backoff_ms": 40,
        "jitter_percent": 50, "non_retryable_codes": [404], "non_retryable_kinds": ["timeout"] }),
    );
    assert_eq!(
        (rich.delay_ms, rich.backoff, rich.max_delay_ms, rich.jitter_percent),
        (10, Backoff::Exponential, 40, 50)
    );
    assert_eq!(
        (rich.non_retryable_codes, rich.non_retryable_kinds),
        (vec![404], vec!["timeout".to_owned()])
    );
    assert_eq!(policy(json!({ "backoff_ms": 9_000_000 })).max_delay_ms, 9_000_000);
}

#[test]
fn wrong_types_are_all_named_by_their_paths() {
    let found = findings(
        json!({ "name": 5, "on_failure": "explode", "max_concurrency": 0, "steps": [
            { "action": 1 }, 7,
            { "action": "noop", "retry": { "max": "x", "jitter_percent": 101 }, "timeout_ms": 0, "join": "some",
              "depends_on": [1, { "on": "maybe" }], "for_each": 5, "optional": "yes" },
        ]}),
    );
    for expected in [
        "name: must be a string",
        "on_failure: must be one of fail_fast, continue, block",
        "max_concurrency: must be an integer >= 1",
        "steps[1]: must be an object",
        "steps[0].action: must be a string",
        "steps[2].retry.max: must be an integer >= 0",
        "steps[2].retry.jitter_percent: must be an integer from 0 to 100",
        "steps[2].timeout_ms: must be an integer >= 1",
        "steps[2].join: must be \"all\", \"any\" or {\"at_least\": n}",
        "steps[2].depends_on[0]: must be a step's id, or {step, on}",
        "steps[2].depends_on[1].step: is required",
        "steps[2].depends_on[1].on: must be one of success, failure, always",
        "steps[2].for_each: must be an array, a template that gives one, or {items, concurrency}",
        "steps[2].optional: must be true or false",
    ] {
        assert!(
            found.iter().any(|finding| finding == expected),
            "{expected}\n{found:#?}"
        );
    }
}

#[test]
fn a_cycle_an_unknown_step_and_a_double_id_are_refused_by_name() {
    let cycle = findings(json!({ "name": "n", "steps": [
        { "id": "a", "action": "noop", "depends_on": ["b"] }, { "id": "b", "action": "noop", "depends_on": ["a"] },
    ]}));
    assert_eq!(cycle, ["steps: cycle: a -> b -> a"]);
    let unknown = findings(json!({ "steps": [{ "id": "a", "action": "noop", "depends_on": ["x"] }] }));
    assert_eq!(unknown, ["steps[0].depends_on[0]: unknown step \"x\""]);
    let double = findings(json!({ "steps": [{ "id": "a", "action": "noop" }, { "id": "a", "action": "noop" }] }));
    assert_eq!(double, ["steps[1].id: duplicate step \"a\", first used by steps[0]"]);
}

#[test]
fn the_stored_document_is_the_originals_with_ids_and_additions() {
    let (document, _) = read(
        json!({ "name": "demo", "description": "", "typo": 1, "created_at": "0001-01-01T00:00:00Z",
        "timeout": "90s", "steps": [{ "name": "call ai-router", "action": "http", "input": { "url": "http://x" },
        "retry": { "max": 0, "other": 1 }, "requires_approval": false, "queue_timeout_ms": 5, "unknown": 1 }] }),
    )
    .unwrap();
    let expected = json!({ "id": "wf_1", "name": "demo", "steps": [{ "id": "call_ai_router", "name": "call ai-router",
        "action": "http", "input": { "url": "http://x" }, "retry": {}, "queue_timeout_ms": 5 }],
        "created_at": "2026-01-01T00:00:00Z", "timeout": "90s" });
    assert_eq!(document.into_value("wf_1", "2026-01-01T00:00:00Z"), expected);
}

#[test]
fn time_limits_are_milliseconds_or_seconds_but_not_both() {
    let timeout =
        |step: Value| read(json!({ "steps": [step] })).map(|(_, plan)| plan.spec.steps[0].timeouts.attempt_ms);
    assert_eq!(timeout(json!({ "action": "noop", "timeout_ms": 5 })).unwrap(), Some(5));
    assert_eq!(
        timeout(json!({ "action": "noop", "timeout": 1.5 })).unwrap(),
        Some(1500)
    );
    assert_eq!(
        timeout(json!({ "action": "noop", "timeout": "2m" })).unwrap(),
        Some(120_000)
    );
    for wrong in [
        json!({ "action": "noop", "timeout": 1, "timeout_ms": 5 }),
        json!({ "action": "noop", "timeout": -1 }),
    ] {
        assert!(timeout(wrong.clone()).is_err(), "{wrong}");
    }
}

#[test]
fn approval_can_be_demanded_of_every_step() {
    let document = json!({ "steps": [{ "action": "noop" }, { "action": "noop" }] });
    let (stored, plan) = plan_of(&document, None, PlanOptions { require_approval: true }).unwrap();
    assert!(plan.spec.steps.iter().all(|step| step.requires_approval));
    assert!(stored.into_value("", "")["steps"][0].get("requires_approval").is_none());
    let (_, open) = read(document).unwrap();
    assert_eq!(gated(&Arc::new(open)).unwrap().digest, plan.digest);
}

#[test]
fn an_input_schema_must_be_a_schema() {
    let document = |schema: Value| json!({ "input_schema": schema, "steps": [{ "action": "noop" }] });
    assert!(read(document(json!({ "type": "object", "required": ["a"] }))).is_ok());
    assert!(findings(document(json!({ "type": "objekt" })))[0].starts_with("input_schema: "));
    assert!(findings(document(json!(5)))[0].starts_with("input_schema: "));
}
