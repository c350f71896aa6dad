//! Agreement with an independent implementation of the language, on what both define.

use serde_json::Value;

use super::fixture;
use crate::expr::{Expression, Limits, Scope, Template};

const EXPRESSIONS: &[&str] = &[
    "1 + 2 * 3 - 4 // 3",
    "-7 // 2",
    "-7 % 3",
    "7 % -3",
    "7 / 2",
    "2 ** 3 ** 2",
    "-2 ** 2",
    "2 * 3 ** 2",
    "1 - 2 - 3",
    "'a' ~ 1 + 2",
    "1 + 2 ~ 'a' ~ 3 * 2",
    "not 1 == 2",
    "not true and false",
    "true or false and false",
    "1 if true else 2 if true else 3",
    "(1, 2)[0] if false else 4",
    "[1, 2, 3][1:]",
    "'abc'[:-1]",
    "'abc'[-2:]",
    "[1, 2, 3][5:]",
    "context.n > 3 and context.name == 'Ada'",
    "context.tags.z + context.tags['a']",
    "-context.n | abs",
    "context.list | sort | join('-')",
    "context.list | sort(reverse=true)",
    "context.list | first",
    "context.users | map(attribute='name') | list",
    "context.users | selectattr('on') | map(attribute='age') | list",
    "context.users | rejectattr('on') | length",
    "context.users | selectattr('age', 'gt', 26) | length",
    "context.list | select('odd') | list",
    "context.list | reject('odd') | list",
    "context.list | sum",
    "context.list | min",
    "context.list | max",
    "context.list | reverse | list",
    "[1, 1, 2] | unique | list",
    "'a,b,,c' | split(',')",
    "' a b ' | trim | upper",
    "'aXbX' | replace('X', '')",
    "'hello' | capitalize",
    "'abc' | length",
    "context.missing | default('x')",
    "context.empty | default('x', true)",
    "2.567 | round(2)",
    "'42' | int",
    "'1.5' | float",
    "{'k': 1} | items | list",
    "1 in [1, 2]",
    "3 not in [1, 2]",
    "'a' in 'abc'",
    "'z' in context.tags",
    "1 < 2 < 3",
    "1 < 3 < 2",
    "1 == 1.0",
    "'a' < 'b'",
    "context.n is odd",
    "context.n is not even",
    "9 is divisibleby 3",
    "context.name is string",
    "context.none is none",
    "context.n is defined",
    "nope is defined",
    "context.n is number and context.name is startingwith('A')",
    "{'a': [1, {'b': 2}]}.a[1].b",
    "range(2, 9, 3) | list",
    "'x' * 3",
    "[1] + [2]",
    "'' or 'x'",
    "1 and 2",
    "0 and 2",
    "true is true",
    "context.list[-1]",
    "'a' 'b'",
];

const TEMPLATES: &[&str] = &[
    "a{{ context.n }}b",
    "{% if context.n > 5 %}x{% else %}y{% endif %}",
    "{%- if true %} x {%- endif %} y",
    "{% for x in context.list %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.first | string | lower }}{{ x }},{% endfor %}",
    "{% for x in context.list if x > 1 %}{{ x }}/{{ loop.length }} {% else %}none{% endfor %}",
    "{% for k, v in {'k': 1}|items %}{{ k }}{{ v }}{% endfor %}",
    "{% set x = 1 %}{% if true %}{% set x = 2 %}{% endif %}{{ x }}",
    "{% set x = 1 %}{% for i in [1, 2] %}{% set x = x + i %}{{ x }}{% endfor %}{{ x }}",
    "{% raw %}{{ x }}{% endraw %} {{ '{{' }}",
    "  {{- 1 -}}  2  {%- set y = 3 -%}  {{ y }}",
    "{% for x in [] %}{% else %}e{% endfor %}",
];

/// Jinja has these, this language does not: tuples, juxtaposed strings.
const REFUSED: &[&str] = &["(1, 2)[0] if false else 4", "'a' 'b'"];

fn minijinja_scope() -> minijinja::Value {
    let context = fixture().root("context").expect("fixture has a context");
    minijinja::context! { context => minijinja::Value::from(minijinja::value::Serde(&*context)) }
}

#[test]
fn expressions_agree_with_minijinja() {
    let env = minijinja::Environment::new();
    let mut compared = 0;
    for source in EXPRESSIONS {
        let theirs = env
            .compile_expression(source)
            .and_then(|expr| expr.eval(minijinja_scope()));
        let ours = Expression::compile(source, &Limits::DEFAULT).map_err(|error| error.to_string());
        let ours = ours.and_then(|expr| expr.evaluate(&fixture()).map_err(|error| error.to_string()));
        // What this subset leaves out, or finds a wrong use, must be refused, never read differently.
        let Ok(ours) = ours else {
            assert!(theirs.is_err() || REFUSED.contains(source), "{source}: {ours:?}");
            continue;
        };
        let theirs: Value = serde_json::to_value(theirs.expect(source)).expect(source);
        assert_eq!(ours, theirs, "{source}");
        compared += 1;
    }
    assert!(compared > 60);
}

#[test]
fn templates_agree_with_minijinja() {
    let env = minijinja::Environment::new();
    for source in TEMPLATES {
        let theirs = env.render_str(source, minijinja_scope()).expect(source);
        let ours = Template::compile(&Value::from(*source), &Limits::DEFAULT).expect(source);
        assert_eq!(ours.render(&fixture()).expect(source), Value::from(theirs), "{source}");
    }
}
