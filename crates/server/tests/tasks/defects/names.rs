//! The fourteenth fault of the original: what a task is called is its backends' business, so any name is as good.

use serde_json::json;

use super::tasks::House;

#[test]
fn a_name_reaches_the_backend_as_it_was_given() {
    let house = House::start();
    for name in [
        "openai.chat",
        "yolo.detect",
        "text.chat",
        "image.detect",
        "llm.chat",
        "audio/transcribe v2",
        "größe.ändern",
        "{{payload.x}}",
        "{{ steps['a'].output }}",
        "../../etc",
        "quote\" and \\ backslash",
        "__proto__",
    ] {
        let id = house.submit(&json!({ "type": name, "payload": { "x": "other" } }));
        let done = house.completed(&id);
        assert_eq!(done["type"], name);
        let steps = json!([{ "id": "a", "task": name }, { "task": "end", "dependsOn": ["a"] }]);
        house.completed(&house.submit_steps(&json!({ "x": "other" }), &steps));
        let calls = house.modal.calls_of(name);
        assert_eq!(calls.len(), 2, "{name:?}");
        assert!(calls.iter().all(|call| call.body["task_type"] == name), "{name:?}");
    }
}

#[test]
fn names_of_steps_may_be_any_too() {
    let house = House::start();
    for name in ["a b", "größe", "it's", "x[0]", "{{x}}", "step_7", "constructor"] {
        let steps = json!([
            { "id": name, "task": "t", "input": { "n": 1 } },
            { "id": "end", "task": "t", "dependsOn": [name] },
        ]);
        let done = house.completed(&house.submit_steps(&json!({}), &steps));
        assert_eq!(done["result"]["stepResults"][name], json!({ "n": 1 }), "{name}");
    }
}
