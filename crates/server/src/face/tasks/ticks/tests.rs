use quintet_core::command::Command;
use quintet_core::outcome::Failure;

use super::super::view::sim::{BEGIN, Sim};
use super::*;

#[test]
fn a_task_without_steps_is_one_step_under_its_type() {
    let mut sim = Sim::start(json!({ "type": "text.chat", "payload": 1 }));
    let token = sim.work("task").token;
    sim.command(Command::Heartbeat {
        token,
        progress: Some(40.0),
        message: Some("half way".to_owned()),
    });
    sim.wait(250).succeed("task", json!({ "text": "Hi" }));
    let expected = [
        "step:start text.chat null",
        "progress - {\"progress\":40,\"message\":\"half way\"}",
        "step:complete text.chat {\"text\":\"Hi\"} 250ms",
        "pipeline:complete - {\"totalDuration\":250,\"stepCount\":1}",
    ];
    assert_eq!(sim.told(), expected);
    let first = serde_json::to_value(&sim.ticks[0]).expect("JSON");
    let at = BEGIN.as_ms();
    assert_eq!(
        first,
        json!({ "type": "step:start", "stepId": "text.chat", "stepTask": "text.chat", "timestamp": at })
    );
    let last = serde_json::to_value(&sim.ticks[3]).expect("JSON");
    let data = json!({ "totalDuration": 250, "stepCount": 1 });
    assert_eq!(
        last,
        json!({ "type": "pipeline:complete", "timestamp": at + 250, "data": data })
    );
}

#[test]
fn attempts_that_fail_are_told_and_the_start_only_once() {
    let mut sim = Sim::start(json!({ "type": "t", "payload": 1, "retry": { "attempts": 2 } }));
    sim.fail("task", Failure::new("x", "one"));
    sim.next_timer();
    sim.fail("task", Failure::new("x", "two"));
    let expected = [
        "step:start t null",
        "step:retry t {\"error\":\"one\",\"attempt\":1,\"nextAt\":\"2026-11-21T10:00:01.000Z\"}",
        "step:error t {\"error\":\"two\"}",
        "task:failed - {\"error\":\"two\"}",
    ];
    assert_eq!(sim.told(), expected);
}

#[test]
fn a_pipeline_tells_its_steps_and_how_far_it_is() {
    let mut sim = Sim::steps(
        json!({}),
        json!([
            { "id": "a", "task": "t.a" },
            { "id": "b", "task": "t.b", "dependsOn": ["a"], "optional": true, "retry": { "attempts": 1 } },
            { "id": "c", "task": "t.c", "dependsOn": ["a"], "runWhen": "{{payload.no}}" },
            { "id": "d", "task": "t.d", "dependsOn": ["b"] },
        ]),
    );
    sim.wait(10).succeed("a", json!(1));
    sim.wait(10).fail("b", Failure::new("x", "no luck"));
    sim.wait(10).succeed("d", json!(2));
    let expected = [
        "step:start a null",
        "step:complete a 1 10ms",
        "progress - {\"progress\":50}",
        "step:start b null",
        "step:complete c {\"skipped\":true,\"reason\":\"condition-false\",\"condition\":\"{{payload.no}}\"}",
        "progress - {\"progress\":50}",
        "step:error b {\"error\":\"no luck\",\"optional\":true}",
        "progress - {\"progress\":75}",
        "step:start d null",
        "step:complete d 2 10ms",
        "progress - {\"progress\":100}",
        "pipeline:complete - {\"totalDuration\":30,\"stepCount\":4}",
    ];
    assert_eq!(sim.told(), expected);
    assert_eq!(sim.ticks[1].step_task.as_deref(), Some("t.a"));
}

#[test]
fn items_are_told_as_how_far_their_step_is() {
    let mut sim = Sim::steps(
        json!([1, 2]),
        json!([{ "id": "each", "task": "t", "forEach": "{{payload}}", "timeout": 1 }]),
    );
    sim.wait(5).succeed("each[1]", json!("b"));
    sim.wait(5).succeed("each[0]", json!("a"));
    let expected = [
        "step:start each null",
        "step:progress each {\"done\":0,\"total\":2}",
        "step:progress each {\"done\":1,\"total\":2}",
        "step:progress each {\"done\":2,\"total\":2}",
        "step:complete each [\"a\",\"b\"] 10ms",
        "progress - {\"progress\":100}",
        "pipeline:complete - {\"totalDuration\":10,\"stepCount\":1}",
    ];
    assert_eq!(sim.told(), expected);
}

#[test]
fn an_item_that_fails_fails_its_step_in_the_words_of_the_view() {
    let mut sim = Sim::steps(
        json!([1]),
        json!([{ "id": "each", "task": "t", "forEach": "{{payload}}", "timeout": 1 }]),
    );
    sim.next_timer();
    let text = "\"each[0]\" timed out after 1000ms";
    let told = sim.told();
    assert_eq!(
        told[told.len() - 2],
        format!("step:error each {}", json!({ "error": text }))
    );
    assert_eq!(
        told[told.len() - 1],
        format!("task:failed - {}", json!({ "error": text }))
    );
    let mut sim = Sim::steps(
        json!(1),
        json!([{ "id": "each", "task": "t", "forEach": "{{payload.x}}" }]),
    );
    let text = "forEach template \"{{payload.x}}\" did not resolve to array, got: undefined";
    assert_eq!(sim.told()[0], format!("step:error each {}", json!({ "error": text })));
    assert!(sim.finish(&[]).held.is_empty());
}

#[test]
fn of_thousands_of_items_some_hundreds_are_told() {
    let items: Vec<Value> = (0..5_000).map(Value::from).collect();
    let mut sim = Sim::steps(
        json!(items),
        json!([{ "id": "each", "task": "t", "forEach": "{{payload}}" }]),
    );
    sim.finish(&[]);
    let progress = sim.ticks.iter().filter(|tick| tick.kind == "step:progress").count();
    assert!((100..=201).contains(&progress), "{progress}");
    assert_eq!(sim.ticks.last().map(|tick| tick.kind), Some("pipeline:complete"));
}

#[test]
fn what_is_called_off_has_failed() {
    let mut sim = Sim::start(json!({ "type": "t", "payload": 1 }));
    sim.command(Command::Cancel { by: None, reason: None });
    assert_eq!(sim.told()[1..], ["task:failed - {\"error\":\"cancelled\"}"]);
}
