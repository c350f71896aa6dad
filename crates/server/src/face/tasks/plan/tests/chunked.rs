//! Steps whose input is cut up.

use quintet_executors::media::{MergeBy, SplitBy};
use serde_json::Value;

use super::super::super::view::sim::Sim;
use super::super::*;
use super::task;

fn rule() -> ChunkRule {
    ChunkRule {
        input_field: "audio_path".to_owned(),
        size_ms: 60_000,
        overlap_ms: 5_000,
        merge: MergeBy::ConcatSegments,
        split: SplitBy::None,
    }
}

fn chunking() -> Rules {
    Rules {
        chunking: [("audio.transcribe".to_owned(), rule())].into(),
        ..Rules::default()
    }
}

#[test]
fn a_long_input_is_cut_up_and_its_results_become_one() {
    let body = json!({ "type": "audio.transcribe", "payload": { "audio_path": "/a.wav" } });
    let mut sim = Sim::start_by(body, &chunking());
    assert_eq!(sim.out(), ["task:split"]);
    let split = sim.resolved("task:split").expect("it can be said");
    assert_eq!(
        (split.payload, split.chunk),
        (json!({ "audio_path": "/a.wav" }), Some(rule()))
    );
    let chunks: Vec<Value> = (0..6)
        .map(|n| json!({ "audio_path": "/a.wav", "_chunk": { "index": n } }))
        .collect();
    sim.succeed("task:split", json!(chunks));
    assert_eq!(sim.held.len(), 4, "four at a time");
    let chunk = sim.resolved("task:chunks[1]").expect("it can be said");
    assert_eq!(
        (chunk.task_type.as_str(), &chunk.payload, chunk.chunk),
        ("audio.transcribe", &chunks[1], None)
    );
    for n in 0..6 {
        sim.succeed(&format!("task:chunks[{n}]"), json!(n));
    }
    let merge = sim.resolved("task").expect("it can be said");
    assert_eq!(merge.chunk, Some(rule()));
    let parts = merge.parts.expect("parts");
    assert_eq!(
        (parts.chunks, parts.results),
        (chunks, (0..6).map(Value::from).collect())
    );
    sim.succeed("task", json!({ "text": "all" }));
    let detail = sim.detail();
    assert_eq!(
        (&detail["status"], &detail["result"]),
        (&json!("completed"), &json!({ "text": "all" }))
    );
}

#[test]
fn what_fails_of_a_cut_up_step_is_the_steps_own_failure() {
    let steps = |optional: bool| {
        let body = json!({ "type": "p", "payload": { "p": "/a" }, "steps": [
            { "id": "hear", "task": "audio.transcribe", "optional": optional, "input": { "audio_path": "{{payload.p}}" }, "timeout": 5 },
            { "id": "use", "task": "t", "dependsOn": ["hear"], "input": { "from": "{{steps.hear}}" } } ] });
        Sim::start_by(body, &chunking())
    };
    let mut sim = steps(false);
    sim.break_down("hear:split", "no such file").finish(&[]);
    let detail = sim.detail();
    assert_eq!(
        (&detail["status"], &detail["error"]),
        (&json!("failed"), &json!("no such file"))
    );
    let mut sim = steps(true);
    sim.succeed("hear:split", json!([{}, {}]))
        .break_down("hear:chunks[1]", "boom")
        .succeed("hear:chunks[0]", json!(1));
    let failure = sim.resolved("hear").expect_err("a part has failed");
    sim.fail("hear", failure);
    assert_eq!(
        sim.payload("use"),
        json!({ "from": { "error": "boom", "skipped": true } })
    );
    let mut sim = steps(true);
    sim.succeed("hear:split", json!([{}]));
    sim.next_timer();
    let failure = sim.resolved("hear").expect_err("a part has failed");
    assert_eq!(failure.message, "\"hear[0]\" timed out after 5000ms");
}

#[test]
fn a_cut_up_step_that_does_not_have_to_run_is_skipped_whole() {
    let body = json!({ "type": "p", "payload": { "yes": 0 }, "steps": [
        { "id": "hear", "task": "audio.transcribe", "runWhen": "{{payload.yes}}" },
        { "id": "use", "task": "t", "dependsOn": ["hear"], "input": { "why": "{{steps.hear.reason}}" } } ] });
    let sim = Sim::start_by(body, &chunking());
    assert_eq!(sim.out(), ["use"]);
    assert_eq!(sim.payload("use"), json!({ "why": "condition-false" }));
}

#[test]
fn loops_are_not_cut_up_by_rule_and_parts_need_their_names() {
    let body =
        json!({ "type": "p", "payload": [1], "steps": [{ "task": "audio.transcribe", "forEach": "{{payload}}" }] });
    assert_eq!(compile(&task(&body), &chunking()).expect("a plan").steps.len(), 1);
    let body = json!({ "type": "p", "payload": 1, "steps": [{ "id": "a", "task": "audio.transcribe" }, { "id": "a:split", "task": "t" }] });
    let refused = compile(&task(&body), &chunking()).expect_err("a name is needed");
    assert_eq!(
        refused[0].text(),
        "steps: the id \"a:split\" is needed for a part of a step that is cut up"
    );
}
