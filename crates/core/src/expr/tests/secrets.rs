//! Secrets: where they may be named, and what a render leaves in their place.

use super::*;
use crate::expr::{MASK, MAX_SECRET_NAME, Slot};

fn compile(source: &str) -> Result<Template, String> {
    Template::compile_sent(&json!(source), &Limits::DEFAULT).map_err(|error| error.to_string())
}

fn slot(pointer: &str, at: usize, name: &str) -> Slot {
    Slot {
        pointer: pointer.into(),
        at,
        name: name.into(),
    }
}

#[test]
fn a_secret_leaves_the_mask_and_its_place() {
    let value = json!({
        "url": "https://x.test/é/{{ secrets.PATH_KEY }}?a={{ context.a }}&b={{ secrets['b-2.x'] }}",
        "headers": { "X/A~b": "{{ secrets.TOKEN }}" },
        "body": [1, "{{- secrets.TOKEN -}} "],
        "plain": "***",
    });
    let template = Template::compile_sent(&value, &Limits::DEFAULT).unwrap();
    assert_eq!(template.secrets(), ["PATH_KEY", "TOKEN", "b-2.x"]);
    assert!(template.roots() == ["context"] && !template.is_literal());
    let scope = Fixture::with_context(json!({ "a": "***" }));
    let rendered = template.render_sent(&scope).unwrap();
    assert_eq!(
        rendered.value,
        json!({
            "url": "https://x.test/é/***?a=***&b=***",
            "headers": { "X/A~b": "***" },
            "body": [1, "***"],
            "plain": "***",
        })
    );
    assert_eq!(
        rendered.secrets,
        [
            slot("/url", 18, "PATH_KEY"),
            slot("/url", 30, "b-2.x"),
            slot("/headers/X~1A~0b", 0, "TOKEN"),
            slot("/body/1", 0, "TOKEN"),
        ]
    );
    for place in &rendered.secrets {
        let text = rendered.value.pointer(&place.pointer).and_then(Value::as_str).unwrap();
        assert!(text[place.at..].starts_with(MASK), "{place:?}");
    }
    assert_eq!(
        scope.asked.borrow().join(" "),
        "context",
        "no scope is asked for a secret"
    );
}

#[test]
fn data_that_looks_like_a_secret_stays_data() {
    let scope = Fixture::with_context(json!({
        "mask": "***",
        "marker": "{{ secrets.TOKEN }}",
        "nested": { "x": ["{{secrets.TOKEN}}"] },
        "name": "TOKEN",
    }));
    for (source, value) in [
        ("{{ context.mask }}", json!("***")),
        ("{{ context.marker }}", json!("{{ secrets.TOKEN }}")),
        ("a {{ context.marker }}", json!("a {{ secrets.TOKEN }}")),
        ("{{ context.nested }}", json!({ "x": ["{{secrets.TOKEN}}"] })),
        ("{{ '{{ secrets.TOKEN }}' }}", json!("{{ secrets.TOKEN }}")),
        ("{% raw %}{{ secrets.TOKEN }}{% endraw %}", json!("{{ secrets.TOKEN }}")),
        (
            "{{ '{' ~ '{ secrets.' ~ context.name ~ ' }}' }}",
            json!("{{ secrets.TOKEN }}"),
        ),
    ] {
        let rendered = compile(source).unwrap().render_sent(&scope).unwrap();
        assert_eq!((rendered.value, rendered.secrets), (value, vec![]), "{source}");
    }
}

#[test]
fn only_branches_that_are_taken_leave_a_place() {
    let scope = Fixture::with_context(json!({ "live": true, "n": [1, 2] }));
    let render = |source: &str| compile(source).unwrap().render_sent(&scope).unwrap();
    let chosen = render("{% if context.live %}a {{ secrets.LIVE }}{% else %}{{ secrets.TEST }}{% endif %}");
    assert_eq!(
        (chosen.value, chosen.secrets),
        (json!("a ***"), vec![slot("", 2, "LIVE")])
    );
    let looped = render("{% for i in context.n %}{{ i }}{{ secrets.A }}{% endfor %}");
    assert_eq!(looped.value, json!("1***2***"));
    assert_eq!(looped.secrets, [slot("", 1, "A"), slot("", 5, "A")]);
}

#[test]
fn no_expression_can_look_at_a_secret() {
    for source in [
        "{{ secrets }}",
        "{{ secrets.A | upper }}",
        "{{ secrets.A ~ 'x' }}",
        "{{ secrets.A == 'x' }}",
        "{{ secrets.A.b }}",
        "{{ secrets[context.name] }}",
        "{{ secrets.A[0] }}",
        "{{ (secrets.A) }}",
        "{{ [secrets.A] }}",
        "{{ secrets | length }}",
        "{{ 1 if secrets.A else 2 }}",
        "{{ 1 | default(secrets.A) }}",
        "{% if secrets.A == 'x' %}{% endif %}",
        "{% set x = secrets.A %}{{ x }}",
        "{% for c in secrets.A %}{{ c }}{% endfor %}",
        "{% for secrets in context.n %}{{ secrets }}{% endfor %}",
    ] {
        let error = compile(source).expect_err(source);
        assert!(error.contains("a secret can only stand alone"), "{source}: {error}");
    }
    for source in ["{{ secrets['a b'] }}", "{{ secrets[''] }}", "{{ secrets.é }}"] {
        let error = compile(source).expect_err(source);
        assert!(error.contains("a secret's name has"), "{source}: {error}");
    }
    assert!(compile(&format!("{{{{ secrets.{} }}}}", "n".repeat(MAX_SECRET_NAME))).is_ok());
    assert!(compile(&format!("{{{{ secrets.{} }}}}", "n".repeat(MAX_SECRET_NAME + 1))).is_err());
}

#[test]
fn secrets_are_refused_where_nothing_is_sent() {
    let nowhere = "and nowhere else";
    for source in ["secrets.A", "{{ secrets.A }}", "secrets.A == 'x'", "'x' in secrets"] {
        let condition = Condition::compile(source, &Limits::DEFAULT).unwrap_err();
        assert!(condition.to_string().contains(nowhere), "{source}: {condition}");
        let expression = Expression::compile(source, &Limits::DEFAULT).unwrap_err();
        assert!(expression.to_string().contains(nowhere), "{source}: {expression}");
    }
    let list = Expression::compile_value(&json!(["{{ secrets.A }}"]), &Limits::DEFAULT).unwrap_err();
    assert!(list.to_string().contains(nowhere), "{list}");
    let template = Template::compile(&json!({ "a": "x {{ secrets.A }}" }), &Limits::DEFAULT).unwrap_err();
    assert!(
        template.to_string().starts_with("a: `secrets` can be read in"),
        "{template}"
    );
}

#[test]
fn a_render_holds_a_bounded_number_of_secrets() {
    let scope = Fixture::default();
    let render = |rounds: usize| {
        let source = format!("{{% for i in range({rounds}) %}}{{{{ secrets.A }}}}{{% endfor %}}");
        compile(&source).unwrap().render_sent(&scope)
    };
    assert_eq!(render(256).unwrap().secrets.len(), 256);
    assert!(render(257).unwrap_err().to_string().contains("more than 256 secrets"));
}
