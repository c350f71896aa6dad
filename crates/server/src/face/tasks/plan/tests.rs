mod braces;
mod chunked;
mod conditions;

use quintet_core::plan::{Join, Plan, SkipMode};
use quintet_core::retry::Backoff;
use serde_json::Value;

use super::super::document;
use super::super::template::{Roots, paths_in};
use super::super::view::sim::Sim;
use super::*;

fn task(body: &Value) -> Task {
    Task::parse(body, &document::Rules::default()).expect("the document is right")
}

fn pipeline(steps: Value) -> Task {
    task(&json!({ "type": "p", "payload": {}, "steps": steps }))
}

fn plan(steps: Value) -> PlanSpec {
    compile(&pipeline(steps), &Rules::default()).expect("a plan")
}

fn problems(steps: Value) -> Vec<String> {
    let refused = compile(&pipeline(steps), &Rules::default()).expect_err("it is refused");
    refused.iter().map(Problem::text).collect()
}

fn edges(spec: &PlanSpec) -> Vec<(&str, Vec<&str>)> {
    let edges = spec.steps.iter().map(|step| {
        let before = step.depends_on.iter().map(|before| before.step.as_str());
        (step.key.as_str(), before.collect())
    });
    edges.collect()
}

#[test]
fn tasks_without_steps_share_one_plan() {
    let plan = |body: Value| compile(&task(&body), &Rules::default()).expect("a plan");
    let one = plan(json!({ "type": "text.chat", "payload": { "prompt": "{{ steps }} {% raw %}" } }));
    assert_eq!(
        one,
        plan(json!({ "type": "image.detect", "payload": [1], "priority": 5, "metadata": {} }))
    );
    let [step] = &one.steps[..] else {
        panic!("one step: {one:?}")
    };
    assert_eq!(
        (step.key.as_str(), step.action.as_str(), step.queue()),
        ("task", "backend", "default")
    );
    assert_eq!(
        (step.retry.max_attempts, step.retry.delay_ms, step.timeouts),
        (3, 1_000, Timeouts::default())
    );
    assert!(!one.settings.list_steps && step.name.is_empty());
    Plan::compile(one).expect("it compiles");
}

#[test]
fn settings_of_a_step_go_before_those_of_its_task() {
    let body = json!({
        "type": "p", "payload": {}, "retry": { "attempts": 2, "backoff": "exponential", "delay": 7_200_000 },
        "resources": { "timeout": 60 }, "steps": [
            { "task": "a" },
            { "task": "b", "timeout": 0.2, "retry": { "maxDelay": 50 } },
            { "task": "c", "resources": { "timeout": 5 } },
            { "task": "d", "resources": { "gpu": true }, "timeout": 0 },
        ],
    });
    let rules = Rules {
        call_timeout_ms: Some(9_000),
        ..Rules::default()
    };
    let steps = compile(&task(&body), &rules).expect("a plan").steps;
    let limits: Vec<_> = steps
        .iter()
        .map(|step| (step.timeouts.attempt_ms, step.timeouts.total_ms))
        .collect();
    assert_eq!(limits, [60_000, 200, 5_000, 60_000].map(|ms| (Some(9_000), Some(ms))));
    let retry = |n: usize| {
        let retry = &steps[n].retry;
        (
            retry.max_attempts,
            retry.backoff,
            retry.delay_ms,
            retry.max_delay_ms,
            retry.jitter_percent,
        )
    };
    assert_eq!(
        retry(0),
        (2, Backoff::Exponential, 7_200_000, 7_200_000, 0),
        "no wait is shorter than was asked for"
    );
    assert_eq!(retry(1), (3, Backoff::Fixed, 1_000, 50, 0));
}

#[test]
fn queues_are_told_apart_by_backend_and_by_who_works_there() {
    let rules = Rules {
        queues: ["default", "gpu", "mail"].map(str::to_owned).into(),
        bullmq: ["mail".to_owned()].into(),
        backends: ["modal".to_owned()].into(),
        ..Rules::default()
    };
    let route = |queue: &str, backend: Value| {
        let body = json!({ "type": "t", "payload": 1, "queue": queue, "backend": backend });
        let spec = compile(&task(&body), &rules).expect("a plan");
        let step = &spec.steps[0];
        (
            step.action.clone(),
            step.queue().to_owned(),
            step.outside,
            spec.settings.list_steps,
        )
    };
    let backend = |queue: &str| ("backend".to_owned(), queue.to_owned(), false, false);
    assert_eq!(route("gpu", json!(null)), backend("gpu"));
    assert_eq!(route("gpu", json!("auto")), backend("gpu"));
    assert_eq!(route("gpu", json!("modal")), backend("gpu@modal"));
    assert_eq!(
        route("gpu", json!("elsewhere")),
        backend("gpu"),
        "who is not there has no queue of his own"
    );
    assert_eq!(route("nowhere", json!("modal")), backend("default@modal"));
    assert_eq!(
        route("mail", json!("modal")),
        ("bullmq".to_owned(), "bullmq:mail".to_owned(), true, true)
    );
    assert_eq!(queue_of("cpu", Some("ray")), "cpu@ray");
}

#[test]
fn the_readmes_pipeline_becomes_its_graph() {
    let spec = plan(json!([
        { "id": "download", "task": "download.file", "input": { "url": "{{payload.url}}" } },
        { "id": "frames", "task": "scenes.detect", "dependsOn": ["download"] },
        { "id": "audio", "task": "convert.audio", "dependsOn": ["download"] },
        { "id": "yolo", "task": "yolo.detect", "dependsOn": ["frames"] },
        { "id": "faces", "task": "faces.detect", "dependsOn": ["frames"] },
        { "id": "whisper", "task": "whisper.transcribe", "dependsOn": ["audio"] },
        { "id": "merge", "task": "analyze.video", "dependsOn": ["yolo", "faces", "whisper"] },
    ]));
    let expected = [
        ("download", vec![]),
        ("frames", vec!["download"]),
        ("audio", vec!["download"]),
        ("yolo", vec!["frames"]),
        ("faces", vec!["frames"]),
        ("whisper", vec!["audio"]),
        ("merge", vec!["yolo", "faces", "whisper"]),
    ];
    assert_eq!(edges(&spec), expected);
    assert_eq!(spec.settings.on_failure, FailurePolicy::FailFast);
    assert!(
        spec.steps
            .iter()
            .all(|step| step.join == Join::All && step.skip == SkipMode::Satisfy)
    );
    assert_eq!(spec.steps[0].name, "download.file");
    Plan::compile(spec).expect("it compiles");
}

#[test]
fn a_step_is_given_only_what_its_templates_read() {
    let spec = plan(json!([
        { "id": "a", "task": "t" },
        { "id": "it's", "task": "t", "optional": true },
        { "id": "c", "task": "t", "runWhen": "{{payload.x}}" },
        { "id": "each", "task": "t", "dependsOn": ["a", "it's", "c"], "forEach": "{{payload.items}}", "input": {
            "a": "{{steps.a.x}} and {{steps.a.y}}", "b": ["{{steps.it's}}"], "c": "{{steps.c}}", "i": "{{item.x}}", "n": "{{index}}",
        } },
        { "id": "none", "task": "t", "input": { "x": "{{item}} {{other}}" } },
    ]));
    let expected = json!({
        "step": 3,
        "steps": {
            "a": { "n": 0, "output": "{{ steps['a'].output }}" },
            "c": { "n": 2, "output": "{{ steps['c'].output }}", "status": "{{ steps['c'].status }}" },
            "it's": {
                "n": 1, "output": "{{ steps['it\\'s'].output }}", "status": "{{ steps['it\\'s'].status }}",
                "error": "{{ steps['it\\'s'].error }}",
            },
        },
        "item": "{{ item }}",
        "index": "{{ index }}",
    });
    assert_eq!(spec.steps[3].input, expected);
    assert_eq!(spec.steps[4].input, json!({ "step": 4 }));
    Plan::compile(spec).expect("it compiles");
}

#[test]
fn what_is_read_from_a_lower_level_is_waited_for() {
    let spec = plan(json!([
        { "id": "a", "task": "t" },
        { "id": "b", "task": "t" },
        { "id": "c", "task": "t", "dependsOn": ["a"], "input": { "x": "{{steps.b.x}}" }, "runWhen": "{{steps.step_1}}" },
    ]));
    assert_eq!(edges(&spec)[2], ("c", vec!["a", "b"]));
    let all = plan(json!([
        { "id": "a", "task": "t" }, { "id": "b", "task": "t" }, { "id": "c", "task": "t", "dependsOn": ["a"], "input": { "x": "{{steps}}" } },
    ]));
    assert_eq!(edges(&all)[2], ("c", vec!["a", "b"]));
    assert_eq!(all.steps[2].input["all_steps"]["b"]["n"], 1);
}

#[test]
fn what_can_never_have_ended_is_refused_by_its_field() {
    let found = problems(json!([
        { "id": "a", "task": "t" },
        { "id": "b", "task": "t", "dependsOn": ["a"], "input": { "x": ["{{steps.c.x}}"], "y": "{{steps.b}}", "z": "-{{steps.ghost}}-" } },
        { "id": "c", "task": "t", "dependsOn": ["a"], "runWhen": "{{steps.b}}", "forEach": "{{steps.0}}" },
    ]));
    let expected = [
        "steps[1].input.x[0]: step \"c\" need not have ended when this one starts: add \"c\" to dependsOn",
        "steps[1].input.y: step \"b\" need not have ended when this one starts: add \"b\" to dependsOn",
        "steps[1].input.z: there is no step \"ghost\"",
        "steps[2].runWhen: step \"b\" need not have ended when this one starts: add \"b\" to dependsOn",
        "steps[2].forEach: there is no step \"0\"",
    ];
    assert_eq!(found, expected);
    let in_a_row = problems(json!([
        { "task": "t", "input": { "x": "{{steps.0.x}}" } }, { "task": "t", "input": { "x": "{{steps.0}} {{steps.step_0}} {{steps.2}}" } },
    ]));
    let expected = [
        "steps[0].input.x: step \"0\" does not come before this one",
        "steps[1].input.x: there is no step \"2\"",
    ];
    assert_eq!(in_a_row, expected);
    let literal = problems(json!([{ "task": "t", "forEach": "abc" }]));
    assert_eq!(
        literal,
        ["steps[0].forEach: forEach template \"abc\" did not resolve to array, got: string"]
    );
}

#[test]
fn by_setting_what_leads_nowhere_gives_nothing_as_in_the_original() {
    let rules = Rules {
        graph_errors: GraphErrors::AtRun,
        ..Rules::default()
    };
    let body = json!({ "type": "p", "payload": {}, "steps": [
        { "id": "a", "task": "t", "input": { "x": "{{steps.b}}", "y": "{{steps.ghost.x}}", "z": 1 } }, { "id": "b", "task": "t" },
        { "id": "c", "task": "t", "runWhen": "{{steps.ghost}}" },
    ] });
    let sim = Sim::start_by(body, &rules);
    assert_eq!(sim.payload("a"), json!({ "z": 1 }));
    assert_eq!(sim.out(), ["a", "b"]);
}

#[test]
fn a_cycle_is_refused_or_by_setting_fails_at_once_and_calls_nobody() {
    let body = json!({ "type": "p", "payload": {}, "steps": [
        { "id": "a", "task": "t.a", "dependsOn": ["b"] }, { "id": "b", "task": "t.b", "dependsOn": ["a"] } ] });
    let text = "Pipeline deadlock: cannot run remaining steps [t.a, t.b]. Check for circular dependencies or missing \
                dependency IDs.";
    let refused = compile(&task(&body), &Rules::default()).expect_err("a cycle");
    assert_eq!(refused, [Problem::whole(format!("{text} (cycle a -> b -> a)"))]);
    let rules = Rules {
        graph_errors: GraphErrors::AtRun,
        ..Rules::default()
    };
    let mut sim = Sim::start_by(body, &rules);
    let failure = sim.resolved("task").expect_err("there is nothing to order");
    assert_eq!((failure.message.as_str(), failure.retryable), (text, Some(false)));
    sim.fail("task", failure);
    let detail = sim.detail();
    assert_eq!(
        (&detail["status"], &detail["error"], &detail["result"]),
        (&json!("failed"), &json!(text), &Value::Null)
    );
    assert_eq!(
        detail["stepStatus"][1],
        json!({ "id": "b", "task": "t.b", "status": "pending" })
    );
}

#[test]
fn a_step_on_demand_runs_where_it_is_demanded() {
    let document = |demanded: Value| {
        json!({ "type": "p", "payload": {}, "onDemand": demanded, "steps": [
            { "task": "a", "runWhen": "on-demand" }, { "task": "b", "input": { "a": "{{steps.0}}" } } ] })
    };
    let sim = Sim::start(document(json!([])));
    assert_eq!(
        sim.payload("step_1"),
        json!({ "a": { "skipped": true, "reason": "on-demand" } })
    );
    let mut sim = Sim::start(document(json!(["step_0"])));
    assert_eq!(sim.out(), ["step_0"]);
    sim.succeed("step_0", json!(5));
    assert_eq!(sim.payload("step_1"), json!({ "a": 5 }));
}

#[test]
fn loops_run_in_both_modes_over_whatever_a_path_leads_to() {
    let mut sim = Sim::steps(
        json!({ "lists": [[], [{ "n": 1 }, { "n": 2 }]] }),
        json!([
            { "task": "t", "forEach": "{{payload.lists.1}}", "forEachConcurrency": 1, "input": { "n": "{{item.n}}", "i": "{{index}}" } },
            { "task": "t", "forEach": "{{steps.0}}", "input": { "item": "{{item}}" } },
            { "task": "t", "forEach": "{{steps}}", "input": { "item": "{{item}}" } },
        ]),
    );
    assert_eq!(sim.out(), ["step_0[0]"]);
    assert_eq!(sim.payload("step_0[0]"), json!({ "n": 1, "i": 0 }));
    sim.finish(&[]);
    let result = &sim.detail()["result"];
    assert_eq!(result["steps"][0], json!([{ "n": 1, "i": 0 }, { "n": 2, "i": 1 }]));
    assert_eq!(
        result["steps"][1],
        json!([{ "item": { "n": 1, "i": 0 } }, { "item": { "n": 2, "i": 1 } }])
    );
    assert_eq!(
        result["steps"][2][1]["item"], result["steps"][1],
        "in a sequence all results are a list"
    );
}

#[test]
fn a_path_that_is_too_long_for_the_engine_is_refused_by_its_field() {
    let long = format!("{{{{payload.{}}}}}", "x".repeat(5_000));
    let found = problems(json!([{ "task": "t", "runWhen": long }]));
    assert!(
        found[0].starts_with("steps[0].runWhen: the template is too long, or reads too much"),
        "{found:?}"
    );
    let deep = format!("{{{{payload{}}}}}", ".0".repeat(60));
    assert!(problems(json!([{ "task": "t", "forEach": deep }]))[0].starts_with("steps[0].forEach: "));
}

#[test]
fn a_step_without_items_knows_no_item() {
    assert_eq!(paths_in("x", &json!("{{item}} {{index}}"), Roots::STEP).len(), 0);
}
