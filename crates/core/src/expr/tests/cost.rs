//! What a render costs does not depend on how much data lies around it.

use serde_json::{Value, json};

use super::super::{Limits, Template};
use super::Fixture;

/// An allowance that converting even a hundred values would exceed.
const TINY: Limits = Limits {
    fuel: 24,
    total_fuel: 24,
    memory: 0,
    output: 64,
    ..Limits::DEFAULT
};

#[test]
fn reading_one_field_of_a_megabyte_costs_what_reading_it_of_nothing_costs() {
    let filler: Vec<Value> = (0..50_000)
        .map(|n| json!({"id": n, "text": "some text that is here to weigh"}))
        .collect();
    let scope = Fixture::with_context(json!({"filler": filler, "y": 1})).step("a", json!({"rows": filler, "z": 2}));
    let template = json!({"x": "{{ context.y }}"});
    assert_eq!(
        Template::compile(&template, &TINY).unwrap().render(&scope).unwrap(),
        json!({"x": 1})
    );
    let template = json!("{{ steps.a.output.rows[49999].id + steps.a.output.z }}");
    assert_eq!(
        Template::compile(&template, &TINY).unwrap().render(&scope).unwrap(),
        json!(50_001)
    );
    let template = json!("{{ context.filler[10:12] | length }}");
    assert_eq!(
        Template::compile(&template, &TINY).unwrap().render(&scope).unwrap(),
        json!(2)
    );
}

#[test]
fn a_large_value_can_be_handed_on_whole() {
    let output = json!({"text": "x".repeat(900_000), "rows": vec![json!({"id": 1}); 10_000]});
    let scope = Fixture::default().step("a", output.clone());
    let template = Template::compile(&json!({"body": "{{ steps.a.output }}"}), &Limits::DEFAULT).unwrap();
    assert_eq!(template.render(&scope).unwrap(), json!({"body": output}));
}
