use proptest::prelude::*;
use serde_json::json;

use super::*;
use std::borrow::Cow;

/// A payload and two steps' results.
struct World {
    payload: Value,
    steps: Value,
    item: Option<Value>,
}

impl World {
    fn new() -> Self {
        Self {
            payload: json!({
                "s": "text", "n": 1.5, "zero": 0, "t": true, "f": false, "nul": null, "e": "",
                "list": [10, [20], { "k": "v" }], "empty": [],
                "obj": { "a": { "b": 1 }, "0": "zero", "my key": 2, "length": 7 }, "": "nameless",
            }),
            steps: json!({ "fetch": { "items": ["x", "y"], "path": "/a" }, "lone": 3 }),
            item: None,
        }
    }
}

impl Scope for World {
    fn root(&self, name: &str) -> Option<Cow<'_, Value>> {
        match name {
            "payload" => Some(Cow::Borrowed(&self.payload)),
            "item" => self.item.as_ref().map(Cow::Borrowed),
            "index" => self.item.as_ref().map(|_| Cow::Owned(json!(4))),
            _ => None,
        }
    }

    fn step(&self, name: &str) -> Option<Cow<'_, Value>> {
        self.steps.get(name).map(Cow::Borrowed)
    }

    fn all_steps(&self) -> Option<Cow<'_, Value>> {
        Some(Cow::Borrowed(&self.steps))
    }
}

fn filled_in(world: &World, roots: Roots, value: Value) -> Value {
    let map = json!({ "x": value });
    let map = map.as_object().expect("an object");
    Value::Object(Filler::new(world, roots).object(map).expect("small"))
}

/// What a string becomes; `undefined` where its key is left out.
fn of(text: &str) -> String {
    match filled_in(&World::new(), Roots::STEP, text.into()).get("x") {
        Some(value) => value.to_string(),
        None => "undefined".to_owned(),
    }
}

/// What JavaScript makes of them, as it was seen in a JavaScript engine: strings that begin and end with braces are a
/// path through objects, cut at its dots.
#[test]
fn a_string_that_is_one_template_becomes_what_javascript_makes_of_it() {
    let payload = World::new().payload.to_string();
    let cases = [
        ("{{payload.s}}", "\"text\""),
        ("{{ payload.s }}", "\"text\""),
        ("{{payload.n}}", "1.5"),
        ("{{payload.zero}}", "0"),
        ("{{payload.t}}", "true"),
        ("{{payload.f}}", "false"),
        ("{{payload.nul}}", "null"),
        ("{{payload.e}}", "\"\""),
        ("{{payload.list}}", "[10,[20],{\"k\":\"v\"}]"),
        ("{{payload.list.0}}", "10"),
        ("{{payload.list.1.0}}", "20"),
        ("{{payload.list.2.k}}", "\"v\""),
        ("{{payload.list.3}}", "undefined"),
        ("{{payload.list.-1}}", "undefined"),
        ("{{payload.list.00}}", "undefined"),
        ("{{payload.list.+1}}", "undefined"),
        ("{{payload.list.1.5}}", "undefined"),
        ("{{payload.list.length}}", "3"),
        ("{{payload.empty.length}}", "0"),
        ("{{payload.s.length}}", "undefined"),
        ("{{payload.s.0}}", "undefined"),
        ("{{payload.obj.a.b}}", "1"),
        ("{{payload.obj.0}}", "\"zero\""),
        ("{{payload.obj.my key}}", "2"),
        ("{{payload.obj.length}}", "7"),
        ("{{payload.obj.a.b.c}}", "undefined"),
        ("{{payload.nul.x}}", "undefined"),
        ("{{payload.none}}", "undefined"),
        ("{{payload.none.x}}", "undefined"),
        ("{{payload. s}}", "undefined"),
        ("{{payload .s}}", "undefined"),
        ("{{payload.}}", "\"nameless\""),
        ("{{payload}}", payload.as_str()),
        ("{{}}", "undefined"),
        ("{{ }}", "undefined"),
        ("{{.}}", "undefined"),
        ("{{other.x}}", "undefined"),
        ("{{steps.fetch.items.1}}", "\"y\""),
        ("{{steps.fetch['items']}}", "undefined"),
        ("{{steps.fetch.items[0]}}", "undefined"),
        ("{{steps.lone}}", "3"),
        ("{{steps.lone.x}}", "undefined"),
        ("{{item}}", "undefined"),
        ("{{index}}", "undefined"),
        ("{{payload.s", "\"{{payload.s\""),
        ("payload.s}}", "\"payload.s}}\""),
        ("{payload.s}", "\"{payload.s}\""),
        ("{{payload.s}", "\"{{payload.s}\""),
        ("{{{payload.s}}}", "undefined"),
        ("", "\"\""),
        ("{{", "\"{{\""),
        ("}}", "\"}}\""),
        ("text", "\"text\""),
    ];
    for (text, expected) in cases {
        assert_eq!(of(text), expected, "{text}");
    }
}

#[test]
fn templates_inside_of_text_are_filled_in_and_foreign_braces_stay() {
    let cases = [
        ("a {{payload.s}} b", "a text b"),
        ("{{payload.s}}{{payload.n}}", "text1.5"),
        ("{{payload.s}} and {{ payload.zero }}", "text and 0"),
        ("[{{payload.nul}}{{payload.none}}{{payload.none.x}}]", "[]"),
        (
            "l={{payload.list}}, o={{payload.obj.a}}",
            "l=[10,[20],{\"k\":\"v\"}], o={\"b\":1}",
        ),
        ("t={{payload.t}} e={{payload.e}}", "t=true e="),
        ("from {{steps.fetch.path}}", "from /a"),
        ("Hello {{name}}, {{user.name}}!", "Hello {{name}}, {{user.name}}!"),
        ("{{name}} has {{payload.n}}", "{{name}} has 1.5"),
        ("{{{payload.s}} x", "{text x"),
        ("{{ {{payload.s}}", "{{ text"),
        ("x {{payload.s", "x {{payload.s"),
        ("x {{}} y", "x {{}} y"),
        ("{{item}} of {{index}}", "{{item}} of {{index}}"),
        ("é{{payload.s}}é", "étexté"),
    ];
    for (text, expected) in cases {
        assert_eq!(of(text), json!(expected).to_string(), "{text}");
    }
}

#[test]
fn items_are_roots_only_where_there_are_items() {
    let world = World {
        item: Some(json!({ "name": "n" })),
        ..World::new()
    };
    let value = json!(["{{item}}", "{{item.name}}", "{{index}}", "{{index}}: {{item.name}}"]);
    let filled = filled_in(&world, Roots::ITEM, value.clone());
    assert_eq!(filled, json!({ "x": [{ "name": "n" }, "n", 4, "4: n"] }));
    let outside = filled_in(&World::new(), Roots::STEP, value);
    assert_eq!(outside, json!({ "x": [null, null, null, "{{index}}: {{item.name}}"] }));
}

#[test]
fn below_an_input_templates_are_filled_in_too_and_keys_never() {
    let value = json!({ "deep": [{ "a": "{{payload.zero}}", "gone": "{{payload.none}}" }, "{{payload.none}}"], "{{payload.s}}": 1 });
    let filled = filled_in(&World::new(), Roots::STEP, value);
    assert_eq!(
        filled,
        json!({ "x": { "deep": [{ "a": 0 }, null], "{{payload.s}}": 1 } })
    );
}

#[test]
fn what_a_template_gives_is_no_template() {
    let world = World {
        payload: json!({ "a": "{{payload.b}}", "b": "secret" }),
        ..World::new()
    };
    let filled = filled_in(&world, Roots::STEP, json!(["{{payload.a}}", "-{{payload.a}}-"]));
    assert_eq!(filled, json!({ "x": ["{{payload.b}}", "-{{payload.b}}-"] }));
}

#[test]
fn a_few_bytes_cannot_ask_for_gigabytes() {
    let world = World {
        payload: json!({ "big": "x".repeat(1 << 20) }),
        ..World::new()
    };
    let fill = |value: Value| {
        let map = json!({ "x": value });
        Filler::new(&world, Roots::STEP).object(map.as_object().expect("an object"))
    };
    assert!(fill(json!(vec!["{{payload.big}}"; 15])).is_ok());
    for value in [json!(vec!["{{payload.big}}"; 17]), json!("{{payload}}-".repeat(17))] {
        let error = fill(value).expect_err("too large");
        assert_eq!(
            error.to_string(),
            "with its templates filled in, the input is larger than 16 MiB"
        );
    }
    let many = World {
        payload: json!({ "many": vec![Value::Null; 100_000] }),
        ..World::new()
    };
    let map = json!({ "x": vec!["{{payload.many}}"; 10] });
    assert!(
        Filler::new(&many, Roots::STEP)
            .object(map.as_object().expect("an object"))
            .is_err()
    );
}

#[test]
fn every_path_of_an_input_is_found_with_its_field() {
    let input = json!({ "a": "{{steps.one.x}}", "b": ["-", { "c": "{{payload.u}} {{steps.two}} {{name}}" }], "d": "{{steps}}" });
    let found = paths_in("input", &input, Roots::STEP);
    let found: Vec<(&str, &str, Reads<'_>)> = found
        .iter()
        .map(|(field, path)| (field.as_str(), path.root(), path.reads()))
        .collect();
    let expected = [
        ("input.a", "steps", Reads::Step("one")),
        ("input.b[1].c", "payload", Reads::NoStep),
        ("input.b[1].c", "steps", Reads::Step("two")),
        ("input.d", "steps", Reads::AllSteps),
    ];
    assert_eq!(found, expected);
}

proptest! {
    #[test]
    fn any_text_is_read_and_what_is_no_template_stays_as_it_is(text in "[{} .a-c\\\\'%é]{0,24}") {
        let world = World::new();
        let filled = filled_in(&world, Roots::STEP, text.clone().into());
        match Template::parse(&text, Roots::STEP) {
            Template::Literal => prop_assert_eq!(&filled["x"], &Value::from(text)),
            Template::Whole(path) => prop_assert!(path.root() != "payload"),
            Template::Mixed(_) => prop_assert!(false, "no root is known"),
        }
    }

    #[test]
    fn the_pieces_of_a_text_are_the_whole_of_it(pieces in prop::collection::vec("(\\{\\{payload\\.[a-z]{1,3}\\}\\}|[{}a-z ]{0,5})", 0..8)) {
        let text = pieces.concat();
        if let Template::Mixed(parts) = Template::parse(&text, Roots::STEP) {
            let again: String = parts.iter().map(|part| match part {
                Part::Text(text) => (*text).to_owned(),
                Part::Path(path) => format!("{{{{{}}}}}", path.parts().collect::<Vec<_>>().join(".")),
            }).collect();
            prop_assert_eq!(again, text);
        }
    }
}
