//! Operators, blocks, filters and tests, one table each.

use serde_json::json;

use super::{eval, eval_error, holds, text};

#[test]
fn operators_follow_jinja() {
    for (source, expected) in [
        ("1 + 2 * 3 - 4", json!(3)),
        ("7 // 2", json!(3)),
        ("-7 // 2", json!(-4)),
        ("-7 % 3", json!(2)),
        ("7 / 2", json!(3.5)),
        ("2 ** 10", json!(1024)),
        ("2 ** -1", json!(0.5)),
        ("7.5 % 2", json!(1.5)),
        ("1_000 + 0.5e1", json!(1005.0)),
        ("'a' + 'b' ~ 1 ~ none ~ true", json!("ab1true")),
        ("[1] + [2, 3]", json!([1, 2, 3])),
        ("'ab' * 3", json!("ababab")),
        ("-context.n | abs", json!(7)),
        ("1 < 2 < 3", json!(true)),
        ("1 < 3 < 2", json!(false)),
        ("not not 1 == 1", json!(true)),
        ("--3", json!(3)),
        ("'' or 'x'", json!("x")),
        ("1 and 0 and nope", json!(0)),
        ("true or nope", json!(true)),
        ("'yes' if context.n > 3 else 'no'", json!("yes")),
        ("'yes' if context.n > 30", json!(null)),
        ("'a' if false else 'b' if false else 'c'", json!("c")),
        ("context.list[-1]", json!(2)),
        ("context.list.0", json!(3)),
        ("context.users.1.name", json!("Al")),
        ("context.list[1:]", json!([1, 2])),
        ("'h\u{e9}llo'[1:3]", json!("\u{e9}l")),
        ("context['na' ~ 'me']", json!("Ada")),
        ("{'a': 1, 'a': 2, 'b': [1]}", json!({"a": 2, "b": [1]})),
        ("range(3) | list", json!([0, 1, 2])),
        ("range(5, 0, -2)", json!([5, 3, 1])),
        ("'q\\'\\n\\u00e9' ~ \"'\"", json!("q'\n\u{e9}'")),
    ] {
        assert_eq!(eval(source), expected, "{source}");
    }
}

#[test]
fn comparison_and_containment() {
    for source in [
        "1 == 1.0",
        "context.big > 1.5",
        "context.tags == {'a': 2, 'z': 1}",
        "[1, [2]] == [1, [2]]",
        "'a' < 'b'",
        "'d' in context.name",
        "2 in context.list",
        "'z' in context.tags",
        "5 not in context.list",
        "none == context.none",
        "'1' != 1",
        "context.n is odd",
        "context.n is not even",
        "6 is divisibleby 3",
        "context.name is startingwith('A')",
        "context.name is endingwith 'a'",
        "context.n is in [7, 8]",
        "context.n is gt 3 and context.n is lt 10",
        "context.tags is mapping",
        "context.list is sequence",
        "context.name is string",
        "context.none is none",
        "context.ratio is float",
        "context.n is integer",
        "context.n is number",
        "context.flag is true",
    ] {
        assert!(holds(source), "{source}");
    }
}

#[test]
fn blocks_render() {
    for (source, expected) in [
        (
            "{% if context.n > 9 %}a{% elif context.n > 5 %}b{% else %}c{% endif %}",
            "b",
        ),
        (
            "{% for x in context.list %}{{ loop.index }}{{ x }}{% if not loop.last %},{% endif %}{% endfor %}",
            "13,21,32",
        ),
        ("{% for x in [] %}a{% else %}none{% endfor %}", "none"),
        (
            "{% for u in context.users if u.on %}{{ u.name }}/{{ loop.length }} {% endfor %}",
            "Bo/2 Cy/2 ",
        ),
        (
            "{% for k, v in context.tags | items %}{{ k }}={{ v }};{% endfor %}",
            "z=1;a=2;",
        ),
        ("{% for k in context.tags %}{{ k }}{% endfor %}", "za"),
        (
            "{% set x = 1 %}{% for i in [1, 2] %}{% set x = x + i %}{{ x }}{% endfor %}{{ x }}",
            "231",
        ),
        ("{% set x = 1 %}{% if false %}{% set x = 2 %}{% endif %}{{ x }}", "1"),
        (
            "{% set x = 1 %}{% for i in [1, 2] %}{% if i == 1 %}{% set x = 9 %}{% endif %}{{ x }}{% endfor %}",
            "91",
        ),
        ("a {%- if true -%} b {%- endif %} c", "ab c"),
        ("{% raw %}{{ x }}{% if %}{% endraw %}{{ 1 }}", "{{ x }}{% if %}1"),
        ("{%raw-%}  x  {%-endraw%}.", "x."),
        ("{{ '{{' }}-{{ '%}' }}", "{{-%}"),
        (
            "{% for a in [1, 2] %}{% for b in [1, 2] %}{{ a * b }}{{ loop.first }}{% endfor %}{% endfor %}",
            "1true2false2true4false",
        ),
    ] {
        assert_eq!(text(source), json!(expected), "{source}");
    }
}

#[test]
fn filters_on_text() {
    for (source, expected) in [
        ("'aBc' | upper ~ 'X' | lower", json!("ABCx")),
        ("'hELLO wORLD' | capitalize", json!("Hello world")),
        ("'  a b ' | trim", json!("a b")),
        ("'xxaxx' | trim('x')", json!("a")),
        ("'a-b-c' | replace('-', '+')", json!("a+b+c")),
        ("'a,b,c' | split(',')", json!(["a", "b", "c"])),
        ("'a,b,c' | split(',', 1)", json!(["a", "b,c"])),
        ("' a  b ' | split", json!(["a", "b"])),
        ("'a\\nb' | lines", json!(["a", "b"])),
        ("'h\u{e9}llo' | length", json!(5)),
        ("'abc' | first ~ 'abc' | last", json!("ac")),
        ("'abc' | reverse", json!("cba")),
        ("'a b/\u{e9}?' | urlencode", json!("a%20b/%C3%A9%3F")),
        ("{'a': [1, '<']} | tojson", json!("{\"a\":[1,\"<\"]}")),
        ("{'a': 1} | tojson(indent=2)", json!("{\n  \"a\": 1\n}")),
        ("context.text | fromjson", json!({"k": [1, 2]})),
        ("12 | string", json!("12")),
        ("' 42 ' | int + 1", json!(43)),
        ("'4.9' | int", json!(4)),
        ("'x' | int(0)", json!(0)),
        ("'1.5' | float", json!(1.5)),
        ("3 | float", json!(3.0)),
        ("2.567 | round(1)", json!(2.6)),
        ("2.5 | round | int", json!(3)),
        ("'' | bool", json!(false)),
    ] {
        assert_eq!(eval(source), expected, "{source}");
    }
}

#[test]
fn filters_on_lists_and_objects() {
    for (source, expected) in [
        ("context.list | sort", json!([1, 2, 3])),
        ("context.list | sort(reverse=true) | first", json!(3)),
        (
            "context.users | sort(attribute='age') | map(attribute='name') | join(' ')",
            json!("Al Bo Cy"),
        ),
        ("context.users | join('+', attribute='age')", json!("30+25+41")),
        ("[1, 'b', none, [2]] | join(',')", json!("1,b,,[2]")),
        ("context.list | sum", json!(6)),
        ("context.users | sum(attribute='age')", json!(96)),
        ("[2, 0.5] | sum", json!(2.5)),
        ("context.list | min ~ context.list | max", json!("13")),
        ("(context.users | max(attribute='age')).name", json!("Cy")),
        ("[1, 2, 1.0, '1'] | unique", json!([1, 2, "1"])),
        ("['a', 'b'] | map('upper')", json!(["A", "B"])),
        ("[{'a': {'b': 1}}, {}] | map(attribute='a.b', default=0)", json!([1, 0])),
        ("context.users | selectattr('on') | length", json!(2)),
        (
            "(context.users | selectattr('age', 'gt', 26) | map(attribute='name') | list)",
            json!(["Bo", "Cy"]),
        ),
        ("context.users | rejectattr('name', 'eq', 'Al') | length", json!(2)),
        ("[1, 2, 3] | select('odd')", json!([1, 3])),
        ("[0, 1, ''] | reject", json!([0, ""])),
        ("[{'a': 1}, {}] | selectattr('a', 'defined') | length", json!(1)),
        ("context.tags | keys", json!(["z", "a"])),
        ("context.tags | values", json!([1, 2])),
        ("context.tags | items", json!([["z", 1], ["a", 2]])),
        ("context.tags | length + context.list | count", json!(5)),
        ("context.list | reverse", json!([2, 1, 3])),
        ("context.list | last", json!(2)),
    ] {
        assert_eq!(eval(source), expected, "{source}");
    }
}

#[test]
fn operations_that_do_not_fit_say_so() {
    for (source, expected) in [
        ("1 + 'a'", "cannot use `+` on a number and a string"),
        ("1 / 0", "division by zero"),
        ("5 % 0", "division by zero"),
        ("1.5 // 0", "division by zero"),
        ("context.big + 1", "number out of range"),
        ("10 ** 400", "number out of range"),
        ("10.0 ** 400", "number out of range"),
        ("context.small // -1 // 1 * 9 * 9", "number out of range"),
        ("1 < 'a'", "a number and a string have no order"),
        ("1 in 5", "cannot look for a number in a number"),
        (
            "[1, 'a'] | sort",
            "sort needs items that are all numbers or all strings, found a string",
        ),
        ("'x' | int", "a string that is not an integer"),
        ("'nan' | float", "a string that is not a float"),
        ("5 | length", "a number has no length"),
        ("context.name | keys", "keys needs an object, not a string"),
        ("context.list['a' ~ 1]", "`context.list['a' ~ 1]` is undefined"),
        ("context.tags[0]", "an object cannot be indexed by a number"),
        ("-context.name", "cannot negate a string"),
    ] {
        assert_eq!(eval_error(source), expected, "{source}");
    }
}
