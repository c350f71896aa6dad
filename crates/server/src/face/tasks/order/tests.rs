use serde_json::json;

use super::super::document::Gpu;
use super::super::view::sim::Sim;
use super::*;

#[test]
fn a_task_without_steps_is_its_type_and_its_payload_word_for_word() {
    let payload = json!({ "prompt": "{{payload.x}} {{ steps }} {% if %}", "x": [1.0, null] });
    let sim = Sim::start(json!({
        "type": "text.chat", "payload": payload, "backend": "modal",
        "resources": { "gpu": "A100", "vram": 8000.5, "ram": 100, "cpu": 1.5, "timeout": 30 },
    }));
    let order = sim.resolved("task").expect("an order");
    assert_eq!((order.task_type.as_str(), order.payload), ("text.chat", payload));
    assert_eq!((order.backend.as_deref(), order.step_id), (Some("modal"), None));
    let expected = Resources {
        gpu: Gpu::Model("A100".to_owned()),
        vram_mb: Some(8_000.5),
        ram_mb: Some(100.0),
        cpu: Some(1.5),
        timeout_ms: Some(30_000),
    };
    assert_eq!(order.resources, expected);
    for payload in [json!("text"), json!([1, 2]), json!(true)] {
        let sim = Sim::start(json!({ "type": "t", "payload": payload, "backend": "auto" }));
        let order = sim.resolved("task").expect("an order");
        assert_eq!(
            (order.payload, order.backend, order.resources),
            (payload, None, Resources::default())
        );
    }
}

#[test]
fn a_sequence_hands_results_on_by_number() {
    let mut sim = Sim::steps(
        json!({ "url": "https://example.com/episode.mp3" }),
        json!([
            { "task": "download.file", "input": { "url": "{{payload.url}}" } },
            { "task": "whisper.transcribe", "input": { "audio_path": "{{steps.0.path}}", "gone": "{{steps.0.none}}", "fast": true } },
            { "task": "openai.summarize", "input": { "text": "{{steps.1.text}}", "again": "{{steps.step_0.path}}", "n": "{{steps.1.segments.length}}" } },
        ]),
    );
    assert_eq!(
        sim.payload("step_0"),
        json!({ "url": "https://example.com/episode.mp3" })
    );
    sim.succeed("step_0", json!({ "path": "/tmp/a.mp3" }));
    assert_eq!(
        sim.payload("step_1"),
        json!({ "audio_path": "/tmp/a.mp3", "fast": true })
    );
    sim.succeed("step_1", json!({ "text": "Hello", "segments": [1, 2] }));
    let last = sim.resolved("step_2").expect("it can be said");
    assert_eq!(last.payload, json!({ "text": "Hello", "again": "/tmp/a.mp3", "n": 2 }));
    assert_eq!(
        (last.task_type.as_str(), last.step_id.as_deref()),
        ("openai.summarize", Some("step_2"))
    );
}

#[test]
fn all_results_together_are_a_list_in_a_sequence_and_an_object_in_a_graph() {
    let mut sim = Sim::steps(
        json!({}),
        json!([{ "task": "a" }, { "task": "b", "input": { "all": "{{steps}}" } }]),
    );
    sim.succeed("step_0", json!(1));
    assert_eq!(sim.payload("step_1"), json!({ "all": [1] }));
    let mut sim = Sim::steps(
        json!({}),
        json!([{ "id": "a", "task": "a", "optional": true }, { "task": "b" }, { "task": "c", "dependsOn": ["a"], "input": { "all": "{{steps}}" } }]),
    );
    sim.break_down("a", "no").succeed("step_1", json!(2));
    let expected = json!({ "all": { "a": { "error": "no", "skipped": true }, "step_1": 2 } });
    assert_eq!(sim.payload("step_2"), expected);
}

#[test]
fn what_did_not_run_or_was_allowed_to_fail_is_seen_as_it_is_shown() {
    let mut sim = Sim::steps(
        json!({ "flag": "" }),
        json!([
            { "id": "cond", "task": "t", "runWhen": "{{payload.flag}}" },
            { "id": "slow", "task": "t", "optional": true, "timeout": 0.2 },
            { "id": "list", "task": "t", "optional": true, "forEach": "{{payload.flag}}" },
            { "id": "use", "task": "t", "dependsOn": ["cond", "slow", "list"], "input": {
                "cond": "{{steps.cond}}", "slow": "{{steps.slow.error}}", "list": "{{steps.list}}", "text": "because {{steps.cond.reason}}",
            } },
        ]),
    );
    sim.next_timer();
    let list = "forEach template \"{{payload.flag}}\" did not resolve to array, got: string";
    let expected = json!({
        "cond": { "skipped": true, "reason": "condition-false", "condition": "{{payload.flag}}" },
        "slow": "\"slow\" timed out after 200ms",
        "list": { "error": list, "skipped": true },
        "text": "because condition-false",
    });
    assert_eq!(sim.payload("use"), expected);
    sim.finish(&[]);
    let shown = &sim.detail()["result"]["stepResults"];
    assert_eq!(shown["cond"], expected["cond"]);
    assert_eq!(shown["slow"]["error"], expected["slow"]);
    assert_eq!(shown["list"], expected["list"]);
}

#[test]
fn items_are_given_to_their_own_calls_only() {
    let sim = Sim::steps(
        json!({ "items": [{ "name": "x" }, "y"], "title": "T" }),
        json!([{ "id": "each", "task": "t", "forEach": "{{payload.items}}", "input": {
            "name": "{{item.name}}", "item": "{{item}}", "at": "{{index}}", "text": "{{index}} of {{payload.title}}: {{item}}",
        } }]),
    );
    let first = json!({ "name": "x", "item": { "name": "x" }, "at": 0, "text": "0 of T: {\"name\":\"x\"}" });
    assert_eq!(sim.payload("each[0]"), first);
    assert_eq!(
        sim.payload("each[1]"),
        json!({ "item": "y", "at": 1, "text": "1 of T: y" })
    );
}

#[test]
fn a_step_has_its_own_resources_or_its_tasks() {
    let sim = Sim::start(json!({
        "type": "p", "payload": 1, "resources": { "gpu": true, "vram": 10, "timeout": 60 }, "backend": "ray",
        "steps": [{ "id": "a", "task": "t" }, { "id": "b", "task": "t", "resources": { "ram": 5 }, "input": null }],
    }));
    let (a, b) = (sim.resolved("a"), sim.resolved("b"));
    let (a, b) = (a.expect("an order"), b.expect("an order"));
    assert_eq!((a.resources.gpu, a.resources.vram_mb), (Gpu::Any, Some(10.0)));
    assert_eq!(
        (b.resources.gpu, b.resources.vram_mb, b.resources.ram_mb),
        (Gpu::None, None, Some(5.0))
    );
    assert_eq!(
        (b.resources.timeout_ms, b.backend.as_deref(), b.payload),
        (Some(60_000), Some("ray"), json!({}))
    );
}

#[test]
fn an_input_that_grows_without_bounds_fails_for_good() {
    let mut templates = vec!["{{payload.big}}"; 40];
    templates.push("{{payload.none}}");
    let sim = Sim::steps(
        json!({ "big": "x".repeat(500_000) }),
        json!([{ "task": "t", "input": { "x": templates } }]),
    );
    let failure = sim.resolved("step_0").expect_err("too large");
    assert_eq!(
        (failure.kind.as_deref(), failure.retryable),
        (Some("invalid_input"), Some(false))
    );
}
