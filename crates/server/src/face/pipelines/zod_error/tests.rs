//! The shape of the tree, and the texts.

use super::*;

#[test]
fn nothing_found_is_an_empty_tree() {
    let found = Findings::default();
    assert!(!found.is_any());
    assert_eq!(found.details(), json!({ "_errors": [] }));
}

#[test]
fn findings_stand_under_their_fields_and_indices() {
    let mut found = Findings::default();
    let tasks = Path::root().at("tasks");
    found.add(&tasks.at(1).at("id"), "Required");
    found.add(&tasks, "one");
    found.add(&tasks, "two");
    let tree = json!({
        "_errors": [],
        "tasks": { "_errors": ["one", "two"], "1": { "_errors": [], "id": { "_errors": ["Required"] } } },
    });
    assert_eq!(found.body(), json!({ "error": "Invalid request", "details": tree }));
    assert_eq!(tasks.at(1).at("id").dotted(), "tasks.1.id");
}

#[test]
fn a_body_with_a_thousand_faults_gets_an_answer_of_bounded_size() {
    let mut found = Findings::default();
    for nth in 0..1000 {
        found.add(&Path::root().at("x".repeat(100_000) + &nth.to_string()), "Required");
    }
    assert!(found.details().to_string().len() < 10_000);
}

#[test]
fn fields_are_read_with_the_texts_of_zod() {
    let body = json!({
        "text": 1, "none": null, "low": 0, "high": 101, "half": 0.5, "word": "c", "odd": ["a", 2], "flag": "yes",
        "many": [1], "object": [],
    });
    let mut found = Findings::default();
    let fields = Fields::of(Some(&body), Path::root(), &mut found).unwrap();
    fields.text("text", &mut found);
    fields.text("absent", &mut found);
    fields.text("none", &mut found);
    assert_eq!(fields.optional_text("none", &mut found), None);
    fields.optional_number("low", Range::above(0.0), &mut found);
    fields.optional_number("high", Range::from(0.0).to(100.0), &mut found);
    fields.optional_integer("half", Range::ANY, &mut found);
    fields.choice("word", &[("a", 1), ("b", 2)], &mut found);
    fields.choice("low", &[("a", 1), ("b", 2)], &mut found);
    assert_eq!(fields.texts("odd", &mut found), ["a"]);
    fields.optional_flag("flag", &mut found);
    fields.optional_object("object", &mut found);
    fields.list("flag", &mut found);
    let said = |path: &str| {
        let errors = found.details().pointer(&format!("{path}/_errors")).cloned();
        errors.map(|errors| {
            errors
                .as_array()
                .unwrap()
                .iter()
                .map(|text| text.as_str().unwrap().to_owned())
                .collect()
        })
    };
    let one = |path: &str| said(path).map(|texts: Vec<String>| texts.join(" & "));
    assert_eq!(one("/text").as_deref(), Some("Expected string, received number"));
    assert_eq!(one("/absent").as_deref(), Some("Required"));
    assert_eq!(one("/none").as_deref(), Some("Expected string, received null"));
    let low = "Number must be greater than 0 & Expected 'a' | 'b', received number";
    assert_eq!(one("/low").as_deref(), Some(low));
    assert_eq!(
        one("/high").as_deref(),
        Some("Number must be less than or equal to 100")
    );
    assert_eq!(one("/half").as_deref(), Some("Expected integer, received float"));
    let word = "Invalid enum value. Expected 'a' | 'b', received 'c'";
    assert_eq!(one("/word").as_deref(), Some(word));
    assert_eq!(one("/odd/1").as_deref(), Some("Expected string, received number"));
    let flag = "Expected boolean, received string & Expected array, received string";
    assert_eq!(one("/flag").as_deref(), Some(flag));
    assert_eq!(one("/object").as_deref(), Some("Expected object, received array"));
    assert_eq!(one("/many"), None);
}

#[test]
fn a_body_that_is_no_object_is_said_at_the_root() {
    let mut found = Findings::default();
    assert!(Fields::of(Some(&json!([])), Path::root(), &mut found).is_none());
    assert_eq!(
        found.details(),
        json!({ "_errors": ["Expected object, received array"] })
    );
}
