//! Messages, codes and paths of findings, type by type.

use serde_json::json;

use super::*;

/// Findings about an input as `field: message (code)`.
fn found(schema: Value, input: Value) -> Vec<String> {
    let found = validate(&schema, &input);
    found
        .into_iter()
        .map(|error| format!("{}: {} ({})", error.field, error.message, error.code))
        .collect()
}

/// Findings about one value of a required field `x`, without the name of the field.
fn about(field: Value, value: Value) -> Vec<String> {
    let mut field = field;
    field["name"] = json!("x");
    field["label"] = json!("X");
    field["required"] = json!(true);
    let found = found(json!({ "fields": [field] }), json!({ "x": value }));
    found
        .into_iter()
        .map(|text| text.trim_start_matches("x: ").to_owned())
        .collect()
}

fn is_valid(field: &Value, value: Value) -> bool {
    about(field.clone(), value).is_empty()
}

const NONE: [&str; 0] = [];

#[test]
fn the_type_is_told_as_zod_tells_it() {
    let wrong = |name: &str, value: Value| about(json!({ "type": name }), value).join(" ");
    assert_eq!(
        wrong("string", json!(5)),
        "Expected string, received number (invalid_type)"
    );
    assert_eq!(
        wrong("textarea", Value::Null),
        "Expected string, received null (invalid_type)"
    );
    assert_eq!(
        wrong("file", json!([])),
        "Expected string, received array (invalid_type)"
    );
    assert_eq!(
        wrong("number", json!("5")),
        "Expected number, received string (invalid_type)"
    );
    assert_eq!(
        wrong("boolean", json!("true")),
        "Expected boolean, received string (invalid_type)"
    );
    assert_eq!(
        wrong("array", json!({})),
        "Expected array, received object (invalid_type)"
    );
    assert_eq!(
        wrong("object", json!([])),
        "Expected object, received array (invalid_type)"
    );
    assert_eq!(
        wrong("multiselect", json!("a")),
        "Expected array, received string (invalid_type)"
    );
    assert_eq!(
        found(json!({ "fields": [] }), json!([1])),
        [": Expected object, received array (invalid_type)"]
    );
}

#[test]
fn all_failing_checks_of_a_string_are_told() {
    let field = json!({ "type": "email", "minLength": 5, "maxLength": 2, "pattern": "^z" });
    let all = [
        "Invalid email address (invalid_string)",
        "Minimum length is 5 (too_small)",
        "Maximum length is 2 (too_big)",
        "Invalid format (invalid_string)",
    ];
    assert_eq!(about(field, json!("abc")), all);
    assert_eq!(
        about(json!({ "type": "url" }), json!("example.com")),
        ["Invalid URL (invalid_string)"]
    );
}

#[test]
fn lengths_are_counted_as_javascript_counts_them() {
    let field = json!({ "type": "string", "maxLength": 2 });
    assert!(is_valid(&field, json!("😀")));
    assert_eq!(about(field, json!("😀a")), ["Maximum length is 2 (too_big)"]);
}

#[test]
fn all_failing_checks_of_a_number_are_told() {
    let field = json!({ "type": "integer", "min": 2, "max": 1.5 });
    let all = [
        "Must be an integer (invalid_type)",
        "Minimum value is 2 (too_small)",
        "Maximum value is 1.5 (too_big)",
    ];
    assert_eq!(about(field, json!(1.75)), all);
    assert!(is_valid(&json!({ "type": "integer" }), json!(3.0)));
    assert!(is_valid(&json!({ "type": "number", "min": 0 }), json!(0)));
    let huge = json!({ "type": "number", "max": 1e21 });
    assert_eq!(about(huge, json!(1e22)), ["Maximum value is 1e+21 (too_big)"]);
}

#[test]
fn missing_fields_are_required_or_not() {
    let types = [
        "string",
        "number",
        "integer",
        "boolean",
        "email",
        "url",
        "date",
        "datetime",
        "select",
        "multiselect",
        "json",
        "file",
        "array",
        "object",
    ];
    for name in types {
        let field = |required: bool| json!({ "fields": [{ "name": "x", "type": name, "required": required }] });
        assert_eq!(found(field(true), json!({})), ["x: Required (invalid_type)"], "{name}");
        assert_eq!(found(field(false), json!({})), NONE, "{name}");
    }
    let optional = json!({ "fields": [{ "name": "x", "type": "string" }] });
    assert_eq!(
        found(optional, json!({ "x": null })),
        ["x: Expected string, received null (invalid_type)"]
    );
}

#[test]
fn a_default_stands_in_for_what_is_absent_unless_the_field_is_required() {
    let schema = |required: bool, default: Value| {
        let field = json!({ "name": "x", "type": "number", "required": required, "default": default });
        json!({ "fields": [field] })
    };
    assert_eq!(found(schema(false, json!(1)), json!({})), NONE);
    assert_eq!(found(schema(true, json!(1)), json!({})), ["x: Required (invalid_type)"]);
    let wrong = ["x: Expected number, received string (invalid_type)"];
    assert_eq!(found(schema(false, json!("one")), json!({})), wrong);
}

#[test]
fn emails_are_what_zod_takes_for_them() {
    let field = json!({ "type": "email" });
    for text in ["a@b.co", "A.b+c_d-e@x-y.example.COM", "o'neil@example.com", "1@2.io"] {
        assert!(is_valid(&field, json!(text)), "{text}");
    }
    for text in [
        "",
        "a",
        "a@b",
        "@b.co",
        ".a@b.co",
        "a.@b.co",
        "a..b@c.co",
        "a@-b.co",
        "a@b.c",
        "a@b.c1",
        "a b@c.co",
        "a@b@c.co",
        "ä@b.co",
        "a@b.co\n",
        "a'@b.co",
    ] {
        assert!(!is_valid(&field, json!(text)), "{text}");
    }
}

#[test]
fn urls_are_what_the_web_takes_for_them() {
    let field = json!({ "type": "url" });
    for text in [
        "https://example.com/a?b#c",
        "mailto:a@b.c",
        "data:,x",
        "http://localhost:1",
    ] {
        assert!(is_valid(&field, json!(text)), "{text}");
    }
    for text in ["", "example.com", "//example.com", "http://", "http://a b"] {
        assert!(!is_valid(&field, json!(text)), "{text}");
    }
}

#[test]
fn patterns_are_unanchored_and_of_javascript() {
    let matches = |pattern: &str, text: &str| is_valid(&json!({ "type": "string", "pattern": pattern }), json!(text));
    assert!(matches("b+", "abbc"));
    assert!(!matches("^b+$", "abbc"));
    assert!(matches(r"^\d{3}\/\w$", "123/a"));
    assert!(!matches(r"^\d$", "٣"), "digits are ASCII");
    assert!(matches(r"^(?=.*\d)(?=.*[a-z]).{4,}$", "abc1"), "look-ahead");
    assert!(!matches(r"^(?=.*\d)(?=.*[a-z]).{4,}$", "abcd"), "look-ahead");
    assert!(
        matches(r"^(a|b)\1$", "bb") && !matches(r"^(a|b)\1$", "ab"),
        "back-reference"
    );
}

#[test]
fn a_pattern_that_is_broken_or_too_large_is_ignored() {
    for pattern in ["(", "[a-", "a{1000000}", "*", &"a".repeat(2_000)] {
        assert!(
            is_valid(&json!({ "type": "string", "pattern": pattern }), json!("zzz")),
            "{pattern}"
        );
    }
}

#[test]
fn a_pattern_cannot_take_for_ever() {
    let field = json!({ "type": "string", "pattern": r"^(?=a)(a+)+\1$" });
    assert_eq!(
        about(field.clone(), json!("a".repeat(5_000) + "b")),
        ["Invalid format (invalid_string)"]
    );
    let many = json!({ "type": "array", "items": field });
    let last = about(many, json!(vec!["aa"; 1_001])).pop();
    assert_eq!(
        last.as_deref(),
        Some("x.1000: Too many values to check their format (invalid_string)")
    );
}

#[test]
fn dates_are_coerced_from_strings_and_numbers() {
    for name in ["date", "datetime"] {
        let field = json!({ "type": name });
        let good = [
            json!("2024-02-29"),
            json!("2024"),
            json!("2024-05"),
            json!("2024-05-01T10:00"),
            json!("2024-05-01T10:00:59.123456Z"),
            json!("2024-05-01T24:00:00"),
            json!("2024-05-01 10:00:00+02:00"),
            json!("+012024-05-01"),
            json!("Tue, 15 Nov 1994 08:12:31 GMT"),
            json!("2024/5/1"),
            json!("12/31/2024"),
            json!("December 17, 1995 03:24:00"),
            json!("17 Dec 1995"),
            json!("Sun Dec 17 1995"),
            json!(0),
            json!(-1.5e12),
            json!(null),
            json!(true),
        ];
        for value in good {
            assert!(is_valid(&field, value.clone()), "{value}");
        }
        let bad = [
            json!(""),
            json!("soon"),
            json!("2024-13-01"),
            json!("2024-00-01"),
            json!("2024-05-32"),
            json!("2024-05-01T25:00"),
            json!("2024-05-01T24:01"),
            json!("2024-05-01Tnoon"),
            json!("13/32/2024"),
            json!("1e999"),
            json!(9e15),
            json!([]),
            json!({}),
        ];
        for value in bad {
            assert_eq!(
                about(field.clone(), value.clone()),
                ["Invalid date (invalid_date)"],
                "{value}"
            );
        }
    }
}

#[test]
fn a_choice_of_strings_is_an_enumeration() {
    let field =
        json!({ "type": "select", "options": [{ "label": "A", "value": "a" }, { "label": "B", "value": "b" }] });
    assert!(is_valid(&field, json!("b")));
    let wrong = "Invalid enum value. Expected 'a' | 'b', received 'c' (invalid_enum_value)";
    assert_eq!(about(field.clone(), json!("c")), [wrong]);
    assert_eq!(
        about(field, json!(1)),
        ["Expected 'a' | 'b', received number (invalid_type)"]
    );
}

#[test]
fn a_choice_of_mixed_values_is_a_union_and_of_one_a_literal() {
    let mixed = json!({ "type": "select", "options": [{ "value": "a" }, { "value": 1 }, { "value": true }] });
    for value in [json!("a"), json!(1.0), json!(true)] {
        assert!(is_valid(&mixed, value));
    }
    assert_eq!(about(mixed, json!("1")), ["Invalid input (invalid_union)"]);
    let one = json!({ "type": "select", "options": [{ "value": 5 }] });
    assert_eq!(
        about(one, json!(6)),
        ["Invalid literal value, expected 5 (invalid_literal)"]
    );
    for none in [json!({ "type": "select" }), json!({ "type": "select", "options": [] })] {
        assert!(is_valid(&none, json!({ "any": "thing" })));
    }
}

#[test]
fn several_choices_are_told_by_their_index() {
    let field = json!({ "type": "multiselect", "options": [{ "value": "a" }, { "value": "b" }] });
    assert!(is_valid(&field, json!(["b", "b"])) && is_valid(&field, json!([])));
    let wrong = "x.1: Invalid enum value. Expected 'a' | 'b', received 'c' (invalid_enum_value)";
    assert_eq!(about(field, json!(["a", "c"])), [wrong]);
}

#[test]
fn what_is_nested_is_told_by_its_path() {
    let schema = json!({ "fields": [{ "name": "people", "type": "array", "items": { "type": "object", "properties": [
        { "name": "mail", "type": "email", "required": true },
        { "name": "tags", "type": "array", "items": { "type": "string", "minLength": 2 } },
    ] } }] });
    let input = json!({ "people": [{ "mail": "a@b.co", "more": 1 }, { "tags": ["ok", "x"] }, 3] });
    let all = [
        "people.1.mail: Required (invalid_type)",
        "people.1.tags.1: Minimum length is 2 (too_small)",
        "people.2: Expected object, received number (invalid_type)",
    ];
    assert_eq!(found(schema, input), all);
    assert!(is_valid(&json!({ "type": "object" }), json!({ "free": [1] })));
    assert!(is_valid(&json!({ "type": "array" }), json!([1, "a", null])));
    assert!(is_valid(&json!({ "type": "json" }), json!(null)));
}

#[test]
fn a_strict_schema_tells_unknown_fields_after_the_others() {
    let schema = |strict: bool| json!({ "strict": strict, "fields": [{ "name": "x", "type": "string" }] });
    let input = json!({ "a": 1, "x": 1, "b": 2 });
    let wrong_type = "x: Expected string, received number (invalid_type)";
    let unknown = ": Unrecognized key(s) in object: 'a', 'b' (unrecognized_keys)";
    assert_eq!(found(schema(true), input.clone()), [wrong_type, unknown]);
    assert_eq!(found(schema(false), input), [wrong_type]);
}

#[test]
fn a_hidden_field_need_not_be_there_but_is_checked_if_it_is() {
    let if_more = json!({ "field": "mode", "operator": "eq", "value": "more" });
    let schema = json!({ "fields": [
        { "name": "mode", "type": "string" },
        { "name": "x", "type": "number", "required": true, "showIf": if_more },
    ] });
    assert_eq!(found(schema.clone(), json!({ "mode": "less" })), NONE);
    assert_eq!(
        found(schema.clone(), json!({ "mode": "more" })),
        ["x: Required (invalid_type)"]
    );
    let wrong = ["x: Expected number, received string (invalid_type)"];
    assert_eq!(found(schema, json!({ "mode": "less", "x": "1" })), wrong);
}

#[test]
fn every_operator_shows_and_hides() {
    let shown = |operator: &str, value: Value, actual: Value| {
        let condition = json!({ "field": "mode", "operator": operator, "value": value });
        let field = json!({ "name": "x", "type": "json", "required": true, "showIf": condition });
        let input = if actual.is_null() {
            json!({})
        } else {
            json!({ "mode": actual })
        };
        !found(json!({ "fields": [field] }), input).is_empty()
    };
    let cases = [
        ("eq", json!(1), json!(1.0), json!(2)),
        ("ne", json!("a"), json!("b"), json!("a")),
        ("gt", json!(1), json!(2), json!(1)),
        ("lt", json!(1), json!(0), json!(1)),
        ("gte", json!("b"), json!("b"), json!("a")),
        ("lte", json!(1), json!(1), json!("0")),
        ("in", json!(["a", 1]), json!(1), json!("b")),
        ("notIn", json!(["a"]), json!("b"), json!("a")),
    ];
    for (operator, value, shows, hides) in cases {
        assert!(shown(operator, value.clone(), shows), "{operator}");
        assert!(!shown(operator, value.clone(), hides), "{operator}");
        let absent_shows = matches!(operator, "ne" | "notIn");
        assert_eq!(
            shown(operator, value, Value::Null),
            absent_shows,
            "{operator} of nothing"
        );
    }
}

#[test]
fn a_condition_sees_defaults_and_fields_further_out() {
    let if_more = json!({ "field": "mode", "operator": "eq", "value": "more" });
    let by_default = json!({ "fields": [
        { "name": "mode", "type": "string", "default": "more" },
        { "name": "x", "type": "json", "required": true, "showIf": if_more },
    ] });
    assert_eq!(found(by_default, json!({})), ["x: Required (invalid_type)"]);
    let if_above = json!({ "field": "a.b", "operator": "gt", "value": 0 });
    let further_out = json!({ "fields": [
        { "name": "a", "type": "object" },
        { "name": "inner", "type": "object", "properties": [
            { "name": "x", "type": "json", "required": true, "showIf": if_above },
        ] },
    ] });
    let input = |b: i32| json!({ "a": { "b": b }, "inner": {} });
    assert_eq!(
        found(further_out.clone(), input(1)),
        ["inner.x: Required (invalid_type)"]
    );
    assert_eq!(found(further_out, input(0)), NONE);
}

#[test]
fn a_schema_that_is_none_is_the_finding() {
    let mut deep = json!({ "type": "string" });
    for _ in 0..40 {
        deep = json!({ "type": "array", "items": deep });
    }
    deep["name"] = json!("x");
    let broken = [
        (json!([]), "schema: must be an object"),
        (json!({}), "fields: must be an array"),
        (json!({ "fields": [1] }), "fields.0: must be an object"),
        (
            json!({ "fields": [{ "type": "string" }] }),
            "fields.0.name: is required",
        ),
        (json!({ "fields": [{ "name": "x" }] }), "fields.0.type: is required"),
        (
            json!({ "fields": [{ "name": "x", "type": "colour" }] }),
            "fields.0.type: is not known",
        ),
        (
            json!({ "fields": [{ "name": "x", "type": "string", "minLength": "1" }] }),
            "fields.0.minLength: must be a number",
        ),
        (
            json!({ "fields": [{ "name": "x", "type": "select", "options": ["a"] }] }),
            "fields.0.options.0: must have a value",
        ),
        (
            json!({ "fields": [{ "name": "x", "type": "array", "items": { "type": 1 } }] }),
            "fields.0.items.type: must be a string",
        ),
        (
            json!({ "fields": [{ "name": "x", "type": "json", "showIf": { "field": "y", "operator": "like" } }] }),
            "fields.0.showIf.operator: is not known",
        ),
    ];
    for (schema, message) in broken {
        assert_eq!(
            found(schema, json!({})),
            [format!("_schema: Invalid input schema: {message} (invalid_schema)")]
        );
    }
    let too_deep = found(json!({ "fields": [deep] }), json!({}));
    assert!(
        too_deep[0].ends_with("is nested too deep (invalid_schema)"),
        "{too_deep:?}"
    );
}

#[test]
fn findings_are_bounded() {
    let field = json!({ "type": "array", "items": { "type": "string" } });
    assert_eq!(about(field, json!(vec![1; 100_000])).len(), 100);
}
