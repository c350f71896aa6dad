//! What a workflow asks for, as the engine will do it.

use proptest::prelude::*;
use quintet_core::plan::Plan;
use serde_json::json;

use super::super::{document, graph};
use super::*;
use crate::config::Config;

fn rules() -> Tenants {
    let text = "
        tenants:
          types:
            http: { run: http, url: 'http://agents:8086/run' }
            gpu: { run: backend, backend: modal, queue: gpu, task_type: generate }
            any: { run: backend }
            none: { run: noop }
          of:
            acme: { types: { default: { run: noop } } }
    ";
    Config::parse(text).expect("settings").tenants
}

fn workflow(body: &Value, tenant: &str) -> Workflow {
    document::parse(body.to_string().as_bytes(), tenant).unwrap_or_else(|error| panic!("{body}: {error}"))
}

fn compiled(body: &Value, tenant: &str) -> Result<PlanSpec, String> {
    let workflow = workflow(body, tenant);
    let analysis = graph::admit(&workflow).unwrap();
    compile(&workflow, &analysis, &rules())
}

/// A plan that the engine takes.
fn plan(tasks: Value, configuration: Value) -> PlanSpec {
    let body = json!({ "intent_id": "i", "tasks": tasks, "configuration": configuration });
    let spec = compiled(&body, "acme").unwrap();
    Plan::compile(spec).expect("taken by the engine").spec
}

#[test]
fn tasks_are_run_as_the_rule_of_their_type_says() {
    let body = json!({
        "intent_id": "i",
        "tasks": [
            { "id": "a", "type": "http" },
            { "id": "b", "type": "gpu", "dependencies": ["a"] },
            { "id": "c", "type": "any", "dependencies": ["a"] },
            { "id": "d", "type": "none" },
        ],
        "dependencies": [{ "from": "b", "to": "d" }, { "from": "c", "to": "d" }],
    });
    let spec = compiled(&body, "other").unwrap();
    let steps: Vec<_> = spec
        .steps
        .iter()
        .map(|step| (step.action.as_str(), step.queue.as_deref(), &step.input))
        .collect();
    assert_eq!(
        steps,
        [
            (order::ACTION, None, &json!({ "task": 0 })),
            (
                "backend",
                Some("gpu@modal"),
                &json!({ "backend": "modal", "task_type": "generate", "task": 1, "after": [0] })
            ),
            ("backend", Some("default"), &json!({ "task": 2, "after": [0] })),
            ("noop", None, &json!({ "task": 3, "after": [1, 2] })),
        ]
    );
    assert_eq!(spec.steps[3].depends_on, [after("b"), after("c")]);
    assert_eq!(
        spec.steps.iter().map(|step| step.upstream).collect::<Vec<_>>(),
        [false, true, true, true]
    );
}

#[test]
fn a_type_that_nothing_is_said_of_is_refused_once_with_the_setting_that_is_missing() {
    let body = json!({
        "intent_id": "i",
        "tasks": [{ "id": "a", "type": "none" }, { "id": "b", "type": "x" }, { "id": "c" }, { "id": "d", "type": "x" }],
    });
    assert_eq!(
        compiled(&body, "other").unwrap_err(),
        "tasks[1].type: nothing says how tasks of type \"x\" are run: set tenants.types.x, or tenants.types.default; \
         tasks[2].type: nothing says how tasks of type \"\" are run: set tenants.types.default"
    );
    assert!(compiled(&body, "acme").is_ok());
    let long = json!({ "intent_id": "i", "tasks": [{ "id": "x".repeat(256) }] });
    assert_eq!(
        compiled(&long, "acme").unwrap_err(),
        "tasks[0].id: must have at most 255 bytes"
    );
}

#[test]
fn limits_hold_for_the_run_and_for_each_attempt() {
    let tasks = json!([{ "id": "a", "timeout": 1 }, { "id": "b" }]);
    let spec = plan(tasks.clone(), json!({}));
    assert_eq!(
        (spec.settings.max_concurrency, spec.settings.timeout_ms),
        (Some(4), Some(1_800_000))
    );
    assert_eq!(spec.steps[0].timeouts.attempt_ms, Some(1));
    assert_eq!(spec.steps[1].timeouts, Timeouts::default());
    let spec = plan(tasks, json!({ "max_concurrency": 1, "timeout": 1_000_001 }));
    assert_eq!(
        (spec.settings.max_concurrency, spec.settings.timeout_ms),
        (Some(1), Some(2))
    );
}

#[test]
fn the_failure_policy_says_what_goes_on_and_how_often_it_is_tried() {
    let attempts = |policy: &str, retries: u32, max_retries: u32| {
        let configuration = json!({ "failure_policy": policy, "retry_policy": { "max_retries": max_retries } });
        let spec = plan(json!([{ "id": "a", "retries": retries }]), configuration);
        (spec.settings.on_failure, spec.steps[0].retry.max_attempts)
    };
    assert_eq!(attempts("", 0, 0), (OnFailure::FailFast, 1));
    assert_eq!(attempts("abort", 2, 1), (OnFailure::FailFast, 3));
    assert_eq!(attempts("continue", 0, 5), (OnFailure::Continue, 6));
    assert_eq!(attempts("retry", 0, 0), (OnFailure::FailFast, 4));
    assert_eq!(attempts("retry", 1, 0), (OnFailure::FailFast, 2));
}

#[test]
fn delays_are_those_of_the_policy() {
    let retry = |policy: Value| {
        let spec = plan(json!([{ "id": "a" }]), json!({ "retry_policy": policy }));
        let retry = &spec.steps[0].retry;
        (retry.backoff, retry.delay_ms, retry.max_delay_ms)
    };
    assert_eq!(retry(json!({})), (Backoff::Fixed, 250, 3_600_000));
    let long = json!({ "initial_delay": 7_200_000_000_000i64, "backoff_factor": 1 });
    assert_eq!(retry(long), (Backoff::Fixed, 7_200_000, 7_200_000));
    let doubled = json!({ "initial_delay": 1_500_000_000, "max_delay": 10_000_000_000i64, "backoff_factor": 2.0 });
    assert_eq!(retry(doubled), (Backoff::Exponential, 1_500, 10_000));
}

#[test]
fn a_person_stands_in_front_of_everything_where_asked_for() {
    let body = json!({
        "intent_id": "i",
        "tasks": [{ "id": "approval" }, { "id": "approval~" }, { "id": "c", "dependencies": ["approval"] }],
        "configuration": { "enable_hitl": true },
    });
    let spec = compiled(&body, "acme").unwrap();
    let spec = Plan::compile(spec).expect("taken by the engine").spec;
    let gate = &spec.steps[0];
    assert_eq!((gate.key.as_str(), gate.action.as_str()), ("approval~~", "approval"));
    assert_eq!(spec.steps[1].depends_on, [after("approval~~")]);
    assert_eq!(spec.steps[2].depends_on, [after("approval~~")]);
    assert_eq!(spec.steps[3].depends_on, [after("approval")]);
    let with = workflow(&body, "acme");
    assert_eq!((super::gate(&with), node_of(&with, 2)), (Some(0), 3));
    let without = workflow(&json!({ "intent_id": "i", "tasks": [{ "id": "a" }] }), "acme");
    assert_eq!((super::gate(&without), node_of(&without, 2)), (None, 2));
}

#[test]
fn priorities_are_those_of_the_engine() {
    let spec = plan(
        json!([{ "id": "a", "priority": "high" }, { "id": "b" }, { "id": "c", "priority": "-1" }]),
        json!({}),
    );
    let priorities: Vec<_> = spec.steps.iter().map(|step| step.priority).collect();
    assert_eq!(priorities, [Some(10), Some(5), Some(-1)]);
}

#[test]
fn a_hundred_thousand_tasks_are_a_plan() {
    let tasks: Vec<Value> = (0..MAX_STEPS).map(|nth| json!({ "id": nth.to_string() })).collect();
    let body = |configuration: Value| json!({ "intent_id": "i", "tasks": tasks, "configuration": configuration });
    assert_eq!(compiled(&body(json!({})), "acme").unwrap().steps.len(), MAX_STEPS);
    let one_more = compiled(&body(json!({ "enable_hitl": true })), "acme");
    assert_eq!(one_more.unwrap_err(), "tasks: 100000 are more than 99999");
}

proptest! {
    #[test]
    fn nothing_that_a_client_writes_is_taken_for_a_template(
        id in "[ -~]{1,20}",
        words in prop::collection::vec(prop_oneof![Just("{{ steps.x.output }}".to_owned()), Just("{% if".to_owned()), ".{0,10}"], 4),
    ) {
        prop_assume!(id != "b");
        let task = json!({
            "id": id, "type": words[0], "description": words[1], "agent_type": words[2], "parameters": { "p": words[3] },
        });
        let spec = plan(json!([task, { "id": "b", "dependencies": [id] }]), json!({}));
        prop_assert_eq!(&spec.steps[0].input, &json!({ "task": 0 }));
        prop_assert_eq!(&spec.steps[1].input, &json!({ "task": 1, "after": [0] }));
    }

    #[test]
    fn every_graph_that_is_admitted_is_a_plan_of_the_engine(edges in prop::collection::vec((0..8usize, 0..8usize), 0..12)) {
        let tasks: Vec<Value> = (0..8).map(|nth| json!({ "id": format!("t{nth}") })).collect();
        let listed: Vec<Value> = edges.iter().map(|(from, to)| json!({ "from": format!("t{from}"), "to": format!("t{to}") })).collect();
        let workflow = workflow(&json!({ "intent_id": "i", "tasks": tasks, "dependencies": listed }), "acme");
        if let Ok(analysis) = graph::admit(&workflow) {
            let spec = compile(&workflow, &analysis, &rules()).unwrap();
            prop_assert!(Plan::compile(spec).is_ok());
        }
    }
}
