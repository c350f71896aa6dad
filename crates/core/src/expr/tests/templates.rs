//! What rendering gives: types, paths, laziness, references.

use serde_json::{Value, json};

use super::super::{Condition, Expression, Fault, Limits, Template};
use super::{Fixture, compile_error, eval, fixture, holds, render, text};

#[test]
fn a_lone_expression_keeps_its_type() {
    for (source, expected) in [
        ("{{ context.n }}", json!(7)),
        ("{{ context.flag }}", json!(true)),
        ("{{ context.none }}", json!(null)),
        ("{{ context.list }}", json!([3, 1, 2])),
        ("{{ context.tags }}", json!({"z": 1, "a": 2})),
        ("{{- context.name -}}", json!("Ada")),
        ("{{ {'a': {'b': 1}} }}", json!({"a": {"b": 1}})),
    ] {
        assert_eq!(text(source), expected, "{source}");
    }
}

#[test]
fn mixed_text_is_a_string() {
    for (source, expected) in [
        ("n={{ context.n }}", "n=7"),
        (" {{ context.n }}", " 7"),
        ("{{ context.n }}{{ context.flag }}", "7true"),
        ("[{{ context.none }}]", "[]"),
        ("{{ context.tags }}!", r#"{"z":1,"a":2}!"#),
        (
            "{{ context.list }} {{ ['a', {'k': none}] }}",
            r#"[3,1,2] ["a",{"k":null}]"#,
        ),
        ("{{ context.name }} & \"{{ context.name }}\"", "Ada & \"Ada\""),
        ("100% {# no comment #} }} {", "100% {# no comment #} }} {"),
        ("{{ context.n }} ends with a line\n", "7 ends with a line\n"),
    ] {
        assert_eq!(text(source), json!(expected), "{source}");
    }
}

#[test]
fn numbers_survive_exactly() {
    assert_eq!(text("{{ context.big }}"), json!(u64::MAX));
    assert_eq!(text("{{ context.small }}"), json!(i64::MIN));
    assert_eq!(text("{{ context.ratio }}"), json!(0.1));
    assert_eq!(text("{{ context.whole }}").to_string(), "2.0");
    assert_eq!(
        text("{{ [context.big, context.whole] }}").to_string(),
        format!("[{},2.0]", u64::MAX)
    );
    assert_eq!(
        text("{{ context.big }}|{{ context.whole }}"),
        json!(format!("{}|2.0", u64::MAX))
    );
}

#[test]
fn the_order_of_keys_survives() {
    let rendered = render(json!({"z": "{{ context.n }}", "a": {"y": 1, "b": "{{ context.tags }}"}})).unwrap();
    assert_eq!(rendered.to_string(), r#"{"z":7,"a":{"y":1,"b":{"z":1,"a":2}}}"#);
}

#[test]
fn a_value_without_templates_is_cloned_and_asks_nothing() {
    let value = json!({"url": "http://x/{id}", "n": [1, {"deep": "100%"}]});
    let template = Template::compile(&value, &Limits::DEFAULT).unwrap();
    let scope = fixture();
    assert!(template.is_literal());
    assert_eq!(template.as_literal(), Some(&value));
    assert_eq!(template.render(&scope).unwrap(), value);
    assert!(scope.asked.borrow().is_empty());
    assert!(
        !Template::compile(&json!([1, "{{ 1 }}"]), &Limits::DEFAULT)
            .unwrap()
            .is_literal()
    );
}

#[test]
fn a_missing_value_is_an_error_that_names_expression_and_place() {
    let error = render(json!({"body": {"items": [1, 2, "{{ context.missing }}"]}})).unwrap_err();
    assert_eq!(error.path, "body.items[2]");
    assert_eq!(error.fault, Fault::Undefined("context.missing".to_owned()));
    assert_eq!(error.to_string(), "body.items[2]: `context.missing` is undefined");
    for (source, name) in [
        ("{{ context.missing.deeper.still }}", "context.missing"),
        ("a {{ context.users[9].name }}", "context.users[9]"),
        ("{{ nope }}", "nope"),
        ("{{ steps.nope.output }}", "steps.nope"),
        ("{{ steps.fetch.output.nope | upper }}", "steps.fetch.output.nope"),
        ("{{ context.n.x }}", "context.n.x"),
        ("{{ [] | first }}", "[] | first"),
        ("{{ [1, context.gone] }}", "context.gone"),
        ("{% set x = context.gone %}{{ x }}", "context.gone"),
        ("{% if context.gone %}{% endif %}", "context.gone"),
        ("{% for x in context.gone %}{% endfor %}", "context.gone"),
        ("{{ context.gone == 1 }}", "context.gone"),
        ("{{ context.gone ~ 'x' }}", "context.gone"),
    ] {
        assert_eq!(
            render(json!(source)).unwrap_err().fault,
            Fault::Undefined(name.to_owned()),
            "{source}"
        );
    }
}

#[test]
fn default_and_is_defined_reach_through_any_depth() {
    assert_eq!(text("{{ context.missing.deeper | default('x') }}"), json!("x"));
    assert_eq!(text("{{ nope.a.b[0]['c'].d | d(context.n) }}"), json!(7));
    assert_eq!(text("{{ context.empty | default('x') }}"), json!(""));
    assert_eq!(text("{{ context.empty | default('x', true) }}"), json!("x"));
    assert_eq!(text("{{ context.none.x | default(1) }}"), json!(1));
    assert_eq!(text("{{ [] | first | default('none') }}"), json!("none"));
    assert!(holds("context.name is defined and context.a.b.c is not defined"));
    assert!(holds("steps.nope is undefined"));
}

#[test]
fn conditions_may_be_bare_or_wrapped() {
    assert!(holds("context.n > 3 and steps.fetch.output.ok"));
    assert!(holds("  {{ context.n > 3 }}  "));
    assert!(holds("{{ {'a': {'b': 1}}.a.b }}"));
    assert!(!holds("context.empty"));
    for source in ["{{ a }} and {{ b }}", "{% if a %}{% endif %}", "a b", "", "x {{ a }}"] {
        assert!(Condition::compile(source, &Limits::DEFAULT).is_err(), "{source}");
    }
}

#[test]
fn a_for_each_is_an_expression_or_a_list_with_templates() {
    let compile = |value: Value| Expression::compile_value(&value, &Limits::DEFAULT);
    let list = |value: Value| compile(value).unwrap().evaluate(&fixture()).unwrap();
    assert_eq!(
        list(json!("context.users | map(attribute='name') | list")),
        json!(["Bo", "Al", "Cy"])
    );
    assert_eq!(list(json!("{{ context.list }}")), json!([3, 1, 2]));
    assert_eq!(list(json!([1, "two", "{{ context.n }}"])), json!([1, "two", 7]));
    assert!(compile(json!({"a": 1})).is_err());
    assert_eq!(compile(json!(["{{ steps.x.output }}"])).unwrap().references(), ["x"]);
}

#[test]
fn steps_show_output_status_error_and_code() {
    assert_eq!(
        eval("steps.fetch.status ~ ' ' ~ steps.fetch.code"),
        json!("succeeded 200")
    );
    assert_eq!(eval("steps.fetch.error"), json!(null));
    assert_eq!(eval("steps['my step'].output"), json!("text"));
    assert_eq!(
        eval("steps.fetch"),
        json!({"output": {"ok": true, "rows": [{"id": 1}, {"id": 2}]}, "status": "succeeded", "error": null, "code": 200})
    );
    assert_eq!(eval("steps | list"), json!(["fetch", "my step"]));
    assert_eq!(
        text("{% for key, step in steps | items %}{{ key }}:{{ step.status }};{% endfor %}"),
        json!("fetch:succeeded;my step:succeeded;")
    );
    assert!(holds(
        "'fetch' in steps and 'nope' not in steps and steps | length == 2"
    ));
}

#[test]
fn a_string_output_is_parsed_only_when_asked_to() {
    let scope = Fixture::default()
        .step("a", json!("{\"k\": [1, 2]}"))
        .step("b", json!({"k": [1, 2]}));
    let render = |source: &str| {
        Template::compile(&json!(source), &Limits::DEFAULT)
            .unwrap()
            .render(&scope)
    };
    assert_eq!(render("{{ steps.a.output }}").unwrap(), json!("{\"k\": [1, 2]}"));
    assert_eq!(render("{{ (steps.a.output | fromjson).k[1] }}").unwrap(), json!(2));
    assert_eq!(render("{{ (steps.b.output | fromjson).k }}").unwrap(), json!([1, 2]));
    assert!(
        render("{{ 'nope' | fromjson }}")
            .unwrap_err()
            .to_string()
            .contains("not a JSON text")
    );
}

#[test]
fn references_name_the_steps_that_are_read_statically() {
    let value = json!({"a": "{{ steps.b.output }}{{ steps['c d'].status }}", "e": ["{{ steps.a is defined }}"], "f": "{{ run.id }}"});
    let template = Template::compile(&value, &Limits::DEFAULT).unwrap();
    assert_eq!(template.references(), ["a", "b", "c d"]);
    assert_eq!(template.roots(), ["run"]);
    assert!(!template.reads_steps_dynamically());
    for source in [
        "{{ steps[item.key].output }}",
        "{{ steps | length }}",
        "{% for s in steps %}{% endfor %}",
    ] {
        let template = Template::compile(&json!(source), &Limits::DEFAULT).unwrap();
        assert!(
            template.reads_steps_dynamically() && template.references().is_empty(),
            "{source}"
        );
    }
    let local = Template::compile(&json!("{% set steps = {'x': 1} %}{{ steps.x }}"), &Limits::DEFAULT).unwrap();
    assert!(local.references().is_empty() && !local.reads_steps_dynamically());
}

#[test]
fn only_what_is_reached_is_asked_for_and_only_once() {
    let scope = fixture();
    let value = json!([
        "{{ context.n }}{{ context.name }}",
        "{{ steps.fetch.output.ok }}",
        "{{ steps.fetch.status if context.flag else steps.other.output }}"
    ]);
    Template::compile(&value, &Limits::DEFAULT)
        .unwrap()
        .render(&scope)
        .unwrap();
    assert_eq!(*scope.asked.borrow(), ["context", "steps.fetch"]);
}

#[test]
fn compile_errors_say_where_and_what() {
    let error = Template::compile(&json!({"body": {"odd key": [0, "{{ 1 + }}"]}}), &Limits::DEFAULT).unwrap_err();
    assert_eq!(
        error.to_string(),
        r#"body["odd key"][1]: an expression is missing at column 7"#
    );
    for (source, expected) in [
        ("{{ context.x", "`}}` is missing at column 3"),
        ("a\nb {{ 1 ? }}", "unexpected character `?` at line 2, column 8"),
        ("{{ x | shout }}", "there is no filter `shout` at column 8"),
        ("{{ x is shouting }}", "there is no test `shouting` at column 9"),
        (
            "{{ x | replace('a') }}",
            "`replace` needs its argument `new` at column 8",
        ),
        (
            "{{ x | upper(1) }}",
            "`upper` does not take this argument; it takes no arguments at column 14",
        ),
        (
            "{{ x | join(sep=1) }}",
            "`join` does not take this argument; it takes separator, attribute at column 13",
        ),
        (
            "{% include 'x' %}",
            "`{% include %}` is not known; there are if, for, set and raw at column 1",
        ),
        ("{% if x %}", "`{% elif or else or endif %}` is missing at column 11"),
        ("{% endfor %}", "`{% endfor %}` closes nothing here at column 1"),
        (
            "{{ now() }}",
            "`now` cannot be called; `range(...)` is the only function, try a filter at column 7",
        ),
        (
            "{{ 'a'.upper() }}",
            "`'a'.upper` cannot be called; `range(...)` is the only function, try a filter at column 13",
        ),
        ("{{ 'a }}", "the closing quote is missing at column 4"),
        ("{{ }}", "an expression is missing at column 3"),
    ] {
        assert_eq!(compile_error(source), expected, "{source}");
    }
}

#[test]
fn compiled_forms_can_be_shared_between_threads() {
    fn shared<T: Send + Sync + Clone + 'static>() {}
    shared::<Template>();
    shared::<Condition>();
    shared::<Expression>();
}
