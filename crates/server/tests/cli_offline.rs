//! The commands that need neither server nor store: validate, visualize, fixtures, and the form of the command line.

mod cli;

use std::io::{Read, Write};

use cli::{Place, Running, example};

#[test]
fn every_example_is_valid() {
    let place = Place::new();
    for name in [
        "order.yaml",
        "sequential.yaml",
        "fan_out.yaml",
        "approval.yaml",
        "failure_handling.yaml",
    ] {
        let out = place.quintet(&["validate", &example(name)]).ok();
        assert!(out.contains(": ok, "), "{out}");
    }
}

#[test]
fn everything_that_is_wrong_is_said_at_once_with_fields_and_lines() {
    let place = Place::new();
    let text = "name: w
steps:
  - id: one
    name: One
    action: http
    input: {url: 7}
    retry: {max: many}
  - id: two
    name: Two
    action: noop
    join: most
fixtures: {shop: {routes: [{match: /x, respond: {}}]}}
";
    let file = place.file("w.yaml", text).display().to_string();
    let done = place.quintet(&["validate", &file]);
    assert_eq!(done.code, 2, "{done:?}");
    for expected in [
        "w.yaml:3: steps[0].input.url: must be a string",
        "w.yaml:3: steps[0].retry.max: ",
        "w.yaml:8: steps[1].join: ",
        "w.yaml: fixtures.shop.routes[0].match: must be like `GET /path/{name}`",
    ] {
        assert!(done.err.contains(expected), "{expected:?} is missing in\n{}", done.err);
    }
    let json = place.quintet(&["validate", &file, "--json"]);
    let json: serde_json::Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!(json["valid"], false);
    assert!(
        json["errors"]
            .as_array()
            .unwrap()
            .iter()
            .any(|error| error["field"] == "steps[1].join" && error["line"] == 8)
    );
}

#[test]
fn circles_unknown_steps_and_broken_templates_are_found() {
    let place = Place::new();
    for (steps, expected) in [
        (
            "[{name: a, action: noop, depends_on: [b]}, {name: b, action: noop, depends_on: [a]}]",
            "cycle: a -> b -> a",
        ),
        (
            "[{name: a, action: noop, depends_on: [x]}]",
            "steps[0].depends_on[0]: unknown step \"x\"",
        ),
        (
            "[{name: a, action: noop, input: {output: '{{ steps.x.output }}'}}]",
            "names an unknown step \"x\"",
        ),
        (
            "[{name: a, action: noop, input: {output: '{{ 1 + }}'}}]",
            "steps[0].input.output: ",
        ),
        ("[{name: a, action: noop, when: 'context.n >'}]", "steps[0].when: "),
        ("[]", "steps: "),
    ] {
        let file = place
            .file("w.yaml", &format!("name: w\nsteps: {steps}\n"))
            .display()
            .to_string();
        let done = place.quintet(&["validate", &file]);
        assert_eq!(done.code, 2, "{steps}");
        assert!(done.err.contains(expected), "{steps}: {}", done.err);
    }
}

#[test]
fn the_demo_is_drawn_as_mermaid() {
    let place = Place::new();
    let expected = r#"graph TD
  customer["Look the customer up<br/>http"]
  stock{{"Reserve the items<br/>http, for each"}}
  prices["Add the prices up<br/>http"]
  charge["Charge the card<br/>http"]
  express["Send it by express<br/>http<br/>if steps.prices.output.total #gt;= 50"]
  standard["Send it by post<br/>http<br/>if steps.prices.output.total #lt; 50"]
  receipt["Mail the receipt<br/>http"]
  customer --> charge
  stock --> charge
  prices --> charge
  charge --> express
  charge --> standard
  express --> receipt
  standard --> receipt
"#;
    assert_eq!(place.quintet(&["visualize", &example("order.yaml")]).ok(), expected);
}

#[test]
fn a_sequence_is_drawn_as_a_chain_in_every_format() {
    let place = Place::new();
    let file = place
        .file(
            "w.yaml",
            "name: w\nsteps: [{name: one, action: noop}, {name: two, action: noop}]\n",
        )
        .display()
        .to_string();
    let dot = place.quintet(&["visualize", &file, "--format", "dot"]).ok();
    assert!(
        dot.starts_with("digraph workflow {\n") && dot.contains("  \"one\" -> \"two\";\n"),
        "{dot}"
    );
    place
        .quintet(&["visualize", &file, "--format", "svg", "--output", "w.svg"])
        .ok();
    let svg = std::fs::read_to_string(place.path().join("w.svg")).unwrap();
    assert!(
        svg.starts_with("<svg ") && svg.matches("marker-end").count() == 1,
        "{svg}"
    );
}

#[test]
fn fixtures_are_real_servers_that_answer_in_turn() {
    let place = Place::new();
    let text = "
fixtures:
  shop:
    routes:
      - match: POST /stock/{sku}
        respond:
          - {status: 503, headers: {retry-after: '2'}}
          - {body: {sku: '{{ request.path.sku }}', n: '{{ request.body.n + 1 }}', q: '{{ request.query.q }}', count: '{{ request.count }}'}}
";
    let file = place.file("w.yaml", text).display().to_string();
    let mut fixtures = Running::start(place.command(&["fixtures", &file]));
    let line = fixtures.line_with("shop http://");
    let address = line.strip_prefix("shop http://").unwrap().to_owned();
    let ask = |path: &str| {
        let mut socket = std::net::TcpStream::connect(&address).unwrap();
        let body = r#"{"n": 1}"#;
        write!(
            socket,
            "POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        answer
    };
    let first = ask("/stock/tea?q=x");
    assert!(
        first.starts_with("HTTP/1.1 503") && first.contains("retry-after: 2"),
        "{first}"
    );
    let second = ask("/stock/tea?q=x");
    assert!(second.ends_with(r#"{"sku":"tea","n":2,"q":"x","count":2}"#), "{second}");
    assert!(ask("/other").starts_with("HTTP/1.1 404"));
}

#[test]
fn help_and_mistakes_on_the_command_line_have_their_exit_codes() {
    let place = Place::new();
    let help = place.quintet(&["--help"]).ok();
    for command in [
        "serve",
        "run",
        "workflows",
        "runs",
        "approvals",
        "templates",
        "validate",
        "visualize",
        "db",
        "openapi",
    ] {
        assert!(help.contains(&format!("\n  {command} ")), "{command}: {help}");
    }
    assert_eq!(place.quintet(&["runs", "nonsense"]).code, 2);
    assert_eq!(
        place.quintet(&["--version"]).ok(),
        format!("quintet {}\n", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn a_config_is_named_with_one_dash_or_two_and_alone_it_serves() {
    let place = Place::new();
    place.file("c.yaml", "server: {host: 127.0.0.1, port: 0}\n");
    for arguments in [
        &["-config", "c.yaml"][..],
        &["--config", "c.yaml"],
        &["serve", "-config", "c.yaml"],
    ] {
        let mut server = Running::start(place.command(arguments));
        server.line_with("quintet ready http=127.0.0.1:");
        server.signal("TERM");
        assert_eq!(server.end(), 0, "{arguments:?}");
    }
}
