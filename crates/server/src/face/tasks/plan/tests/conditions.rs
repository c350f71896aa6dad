//! Conditions, which the engine evaluates, against templates, which this face fills in.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::super::document::is_truthy;
use super::super::super::view::sim::Sim;

/// Values of `payload.x` and whether JavaScript calls them true.
fn truths() -> Vec<(Value, bool)> {
    let falsy = [json!(null), json!(false), json!(0), json!(0.0), json!("")];
    let truthy = [
        json!(true),
        json!(1),
        json!(-0.5),
        json!("0"),
        json!("false"),
        json!([]),
        json!({}),
        json!([0]),
        json!({ "a": 0 }),
    ];
    let falsy = falsy.into_iter().map(|value| (value, false));
    falsy.chain(truthy.into_iter().map(|value| (value, true))).collect()
}

#[test]
fn conditions_are_true_where_javascript_says_so() {
    let runs = |payload: Value, condition: &str| {
        let sim = Sim::steps(payload, json!([{ "id": "a", "task": "t", "runWhen": condition }]));
        sim.out() == ["a"]
    };
    for (value, expected) in truths() {
        assert_eq!(runs(json!({ "x": value }), "{{payload.x}}"), expected, "{value}");
        assert_eq!(
            runs(json!({ "x": [0, { "y": value }] }), "{{ payload.x.1.y }}"),
            expected,
            "{value}"
        );
        assert_eq!(is_truthy(&value), expected, "{value}");
    }
    for (payload, condition, expected) in [
        (json!({ "x": [1] }), "{{payload.x.length}}", true),
        (json!({ "x": [] }), "{{payload.x.length}}", false),
        (json!({ "x": { "length": 0 } }), "{{payload.x.length}}", false),
        (json!({ "x": { "length": "a" } }), "{{payload.x.length}}", true),
        (json!({ "x": "text" }), "{{payload.x.length}}", false),
        (json!({ "y": 1 }), "{{payload.x.length}}", false),
        (json!({ "y": 1 }), "{{payload.x}}", false),
        (json!({ "y": 1 }), "{{payload.x.y.z}}", false),
        (json!({ "y": 1 }), "{{payload.y.z}}", false),
        (json!({ "y": null }), "{{payload.y.z}}", false),
        (json!({ "0": [{ "1": 1 }] }), "{{payload.0.0.1}}", true),
        (json!({ "a": ["x"] }), "{{payload.a.00}}", false),
        (json!({ "a": ["x"] }), "{{payload.a.-1}}", false),
        (json!({ "it's {{here}}": 1 }), "{{payload.it's \\ }}", false),
        (json!({ "it's": 1 }), "{{payload.it's}}", true),
        (json!("text"), "{{payload}}", true),
        (json!({ "a": 1 }), "{{item}}", false),
        (json!({ "a": 1 }), "{{user.a}}", false),
        (json!({ "a": 1 }), "{{}}", false),
        (json!({ "a": 1 }), "anything", true),
        (json!({ "a": 1 }), "x {{payload.none}}", true),
        (json!({ "a": 1 }), "always", true),
        (json!({ "a": 1 }), "on-demand", false),
    ] {
        assert_eq!(runs(payload, condition), expected, "{condition}");
    }
}

#[test]
fn conditions_see_results_as_templates_do() {
    let runs = |first: Value, condition: &str, work: &dyn Fn(&mut Sim)| {
        let mut a = json!({ "id": "a", "task": "t", "retry": { "attempts": 1 } });
        a.as_object_mut()
            .expect("an object")
            .extend(first.as_object().expect("an object").clone());
        let mut sim = Sim::steps(
            json!({}),
            json!([a, { "id": "b", "task": "t", "dependsOn": ["a"], "runWhen": condition }]),
        );
        work(&mut sim);
        sim.out() == ["b"]
    };
    let done = |sim: &mut Sim| {
        sim.succeed("a", json!({ "x": [0, 1], "skipped": false }));
    };
    assert!(runs(json!({}), "{{steps.a.x.1}}", &done));
    assert!(!runs(json!({}), "{{steps.a.x.0}}", &done));
    assert!(runs(json!({}), "{{steps.step_0}}", &done));
    assert!(runs(json!({}), "{{steps}}", &done));
    assert!(!runs(
        json!({ "optional": true, "runWhen": "{{payload}}" }),
        "{{steps.a.skipped}}",
        &done
    ));
    let failed = |sim: &mut Sim| {
        sim.break_down("a", "no luck");
    };
    assert!(runs(json!({ "optional": true }), "{{steps.a.skipped}}", &failed));
    assert!(runs(json!({ "optional": true }), "{{steps.a.error}}", &failed));
    assert!(!runs(json!({ "optional": true }), "{{steps.a.x}}", &failed));
    let nothing = |_: &mut Sim| {};
    assert!(runs(
        json!({ "runWhen": "{{payload.no}}" }),
        "{{steps.a.reason}}",
        &nothing
    ));
    assert!(runs(
        json!({ "runWhen": "{{payload.no}}" }),
        "{{steps.a.condition}}",
        &nothing
    ));
    assert!(!runs(
        json!({ "runWhen": "on-demand" }),
        "{{steps.a.condition}}",
        &nothing
    ));
    assert!(runs(json!({ "runWhen": "on-demand" }), "{{steps.a.skipped}}", &nothing));
}

proptest! {
    #[test]
    fn conditions_and_inputs_agree_on_every_path(
        parts in prop::collection::vec(prop_oneof![Just("a"), Just("b"), Just("0"), Just("1"), Just("00"), Just("length"), Just(""), Just("it's")], 0..4),
        leaf in prop_oneof![Just(json!(0)), Just(json!([])), Just(json!("x")), Just(json!({ "length": 0 })), Just(json!([[1, 0], { "a": "" }])), Just(json!(null))],
    ) {
        let payload = json!({ "a": { "b": leaf, "0": [leaf, 1], "it's": leaf }, "b": [leaf, { "a": leaf }], "": { "a": leaf } });
        let path = std::iter::once("payload").chain(parts).collect::<Vec<_>>().join(".");
        let text = format!("{{{{{path}}}}}");
        let steps = json!([{ "id": "when", "task": "t", "runWhen": text }, { "id": "input", "task": "t", "input": { "x": text } }]);
        let sim = Sim::steps(payload, steps);
        let found = sim.payload("input").get("x").cloned().unwrap_or_default();
        prop_assert_eq!(sim.out().contains(&"when"), is_truthy(&found), "{} is {}", path, found);
    }
}
