//! Secrets of the real server: written over the API, sent by steps, and found nowhere else.

pub(crate) mod common;

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use common::{Answer, Reply, Server, Target};
use serde_json::{Value, json};

const KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
const OTHER_KEY: &str = "ff0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

fn start() -> Server {
    Server::with(&[], &[("QUINTET_SECRETS__MASTER_KEY", KEY)])
}

fn put(server: &Server, name: &str, value: &str) -> Reply {
    let body = json!({ "value": value }).to_string();
    server.client().call("PUT", &format!("/v1/secrets/{name}"), &[], &body)
}

fn give(server: &Server, name: &str, value: &str) {
    let reply = put(server, name, value);
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert!(!reply.text().contains(value), "{}", reply.text());
}

/// One `http` step with this input.
fn step(input: &Value) -> Value {
    json!([{ "name": "send", "action": "http", "input": input, "retry": { "max": 2, "backoff_ms": 1 } }])
}

fn send(server: &Server, input: &Value, context: &Value) -> Value {
    let run = server.run_steps(&step(input), context);
    server.ended(&run);
    server.get(&format!("/v1/runs/{run}/steps/send")).json()
}

#[test]
fn values_are_written_listed_by_name_and_never_read() {
    let server = start();
    server.get("/v1/secrets/TOKEN").assert_code(404, "secret_not_found");
    give(&server, "TOKEN", "correct horse battery");
    give(&server, "a.b-c", "short");
    let listed = server.get("/v1/secrets").json();
    let items = listed["items"].as_array().expect("items");
    assert_eq!(items.len(), 2);
    assert_eq!(
        (&items[0]["name"], &items[0]["masked"]),
        (&json!("TOKEN"), &json!(true))
    );
    assert_eq!(
        (&items[1]["name"], &items[1]["masked"]),
        (&json!("a.b-c"), &json!(false))
    );
    give(&server, "TOKEN", "another horse");
    let shown = server.get("/v1/secrets/TOKEN");
    assert_eq!(shown.json()["version"], 2);
    assert!(!shown.text().contains("horse"), "{}", shown.text());
    let page = server.get("/v1/secrets?limit=1").json();
    assert_eq!(page["next_cursor"], "TOKEN");
    assert_eq!(
        server.get("/v1/secrets?limit=1&cursor=TOKEN").json()["items"][0]["name"],
        "a.b-c"
    );
    let elsewhere = [("X-Quintet-Namespace", "elsewhere")];
    let other = server.client().call("GET", "/v1/secrets", &elsewhere, "");
    assert_eq!(other.json()["items"], json!([]));
    assert_eq!(server.delete("/v1/secrets/TOKEN").status, 204);
    server.delete("/v1/secrets/TOKEN").assert_code(404, "secret_not_found");
}

#[test]
fn wrong_writes_are_refused_and_not_repeated() {
    let server = start();
    let raw = |path: &str, body: &str| server.client().call("PUT", path, &[], body);
    for (path, body, code) in [
        ("/v1/secrets/A", "{\"value\":\"hidden-value", "bad_json"),
        ("/v1/secrets/A", "\"hidden-value\"", "bad_json"),
        ("/v1/secrets/A", "{}", "invalid_field"),
        ("/v1/secrets/A", "{\"value\":\"\"}", "invalid_field"),
        ("/v1/secrets/A", "{\"value\":12345678}", "invalid_field"),
        ("/v1/secrets/A", "{\"hidden-value\":\"x\"}", "invalid_field"),
        (
            "/v1/secrets/A",
            "{\"value\":\"x\",\"note\":\"hidden-value\"}",
            "invalid_field",
        ),
        ("/v1/secrets/a%20b", "{\"value\":\"hidden-value\"}", "invalid_field"),
        ("/v1/secrets/a%2Fb", "{\"value\":\"hidden-value\"}", "invalid_field"),
    ] {
        let reply = raw(path, body);
        reply.assert_code(400, code);
        assert!(
            !reply.text().contains("hidden-value") && !reply.text().contains("12345678"),
            "{}",
            reply.text()
        );
    }
    let long = json!({ "value": "v".repeat(65_537) }).to_string();
    raw("/v1/secrets/A", &long).assert_code(400, "invalid_field");
    assert_eq!(server.get("/v1/secrets").json()["items"], json!([]));
}

#[test]
fn a_step_sends_the_value_and_its_record_holds_the_reference() {
    let server = start();
    let target = Target::scripted(|call, _| Answer::ok(&json!({ "you": call.header("authorization") }).to_string()));
    give(&server, "TOKEN", "tok-0123456789abcdef");
    let input = json!({
        "url": format!("{}?key={{{{ secrets.TOKEN }}}}", target.url("/x")),
        "headers": { "Authorization": "Bearer {{ secrets.TOKEN }}" },
        "body": { "user": "{{ context.user }}", "pass": "{{ secrets['TOKEN'] }}" },
    });
    let marker = "*** {{ secrets.TOKEN }}";
    let step = send(&server, &input, &json!({ "user": marker }));
    assert_eq!(step["status"], "SUCCEEDED", "{step}");
    assert_eq!(step["result"]["you"], "Bearer ***", "{step}");
    assert_eq!(step["input"], input, "the reference is what is shown");
    let call = &target.calls()[0];
    assert_eq!(call.path, "/x?key=tok-0123456789abcdef");
    assert_eq!(call.header("authorization"), Some("Bearer tok-0123456789abcdef"));
    assert_eq!(
        call.json(),
        json!({ "user": marker, "pass": "tok-0123456789abcdef" }),
        "data stays data"
    );
}

#[test]
fn the_value_of_the_moment_is_sent_and_a_missing_one_fails_for_good() {
    let server = start();
    let target = Target::saying("{}");
    let input = json!({ "url": target.url("/"), "headers": { "X-Key": "{{ secrets.KEY }}" } });
    give(&server, "KEY", "first-value");
    send(&server, &input, &json!({}));
    give(&server, "KEY", "second-value");
    send(&server, &input, &json!({}));
    let sent: Vec<_> = target
        .calls()
        .iter()
        .map(|call| call.header("x-key").map(str::to_owned))
        .collect();
    assert_eq!(sent, [Some("first-value".to_owned()), Some("second-value".to_owned())]);
    assert_eq!(server.delete("/v1/secrets/KEY").status, 204);
    let step = send(&server, &input, &json!({}));
    assert_eq!(step["status"], "FAILED", "{step}");
    let text = step.to_string();
    assert!(
        text.contains("secret_not_found") && text.contains("there is no secret \\\"KEY\\\""),
        "{text}"
    );
    assert_eq!(step["attempt"], 1, "another attempt cannot mend it: {step}");
    assert_eq!(target.calls().len(), 2);
}

#[test]
fn secrets_are_refused_where_nothing_is_sent() {
    let server = start();
    let refused = |steps: Value| {
        let document = json!({ "name": "test", "steps": steps }).to_string();
        let json = [("Accept", "application/json")];
        let reply = server.client().call("POST", "/v1/workflows", &json, &document);
        assert_eq!(reply.status, 400, "{}", reply.text());
        reply.json()["error"]["message"].as_str().expect("message").to_owned()
    };
    let one = |more: Value| {
        let mut step = json!({ "name": "a", "action": "http", "input": { "url": "http://127.0.0.1/" } });
        for (name, value) in more.as_object().expect("object") {
            step[name] = value.clone();
        }
        json!([step])
    };
    for (steps, part) in [
        (
            one(json!({ "when": "secrets.A == 'x'" })),
            "steps[0].when: `secrets` can be read in the input of a step",
        ),
        (
            one(json!({ "for_each": "{{ secrets.A }}" })),
            "steps[0].for_each: `secrets` can be read",
        ),
        (
            one(json!({ "for_each": ["{{ secrets.A }}"] })),
            "steps[0].for_each: `secrets` can be read",
        ),
        (
            one(json!({ "input": { "url": "http://127.0.0.1/{{ secrets.A | upper }}" } })),
            "steps[0].input.url: a secret can only stand alone",
        ),
        (
            json!([{ "name": "a", "action": "transform", "input": { "set": { "x": "{{ secrets.A }}" } } }]),
            "steps[0].input: the action transform takes no secrets",
        ),
        (
            json!([{ "name": "a", "action": "noop", "input": { "output": "{{ secrets.A }}" } }]),
            "the action noop takes no secrets",
        ),
        (
            json!([{ "name": "a", "action": "approval", "input": { "note": "{{ secrets.A }}" } }]),
            "`secrets` can be read in the input of a step that sends it, and nowhere else",
        ),
    ] {
        let message = refused(steps.clone());
        assert!(message.contains(part), "{steps}: {message}");
    }
}

#[test]
fn a_new_data_key_keeps_every_value() {
    let server = start();
    let post = || server.post("/v1/secrets/rotate-key", "");
    post().assert_code(404, "secret_not_found");
    let target = Target::saying("{}");
    for name in ["A", "B"] {
        give(&server, name, &format!("value-of-{name}"));
    }
    let (first, second) = (post().json(), post().json());
    assert_eq!((&first["secrets"], &second["secrets"]), (&json!(2), &json!(2)));
    assert_ne!(first["key_id"], second["key_id"]);
    let input = json!({ "url": target.url("/"), "body": "{{ secrets.A }} {{ secrets.B }}" });
    assert_eq!(send(&server, &input, &json!({}))["status"], "SUCCEEDED");
    assert_eq!(target.calls()[0].json(), "value-of-A value-of-B");
}

/// `quintet secrets` against the server, with this on its standard input.
fn secrets(server: &Server, words: &[&str], typed: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_quintet"));
    command.arg("secrets").args(words).args(["--server", server.address()]);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command
        .env("QUINTET_TEST_SECRET", "from the environment")
        .spawn()
        .expect("it runs");
    // Who reads no input may be gone before it is written.
    let _ = child.stdin.take().expect("stdin").write_all(typed.as_bytes());
    child.wait_with_output().expect("it ends")
}

fn said(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

#[test]
fn the_command_line_takes_values_from_anywhere_but_its_arguments() {
    let server = start();
    let target = Target::saying("{}");
    let file = server.folder().join("value.txt");
    std::fs::write(&file, "from the file\n").expect("file");
    let path = file.display().to_string();
    for (words, typed) in [
        (vec!["set", "TYPED"], "from the input\n"),
        (vec!["set", "FILED", "--file", &path], ""),
        (vec!["set", "NAMED", "--env", "QUINTET_TEST_SECRET"], ""),
    ] {
        let output = secrets(&server, &words, typed);
        assert!(output.status.success(), "{}", said(&output));
        assert!(!said(&output).contains("from the"), "{}", said(&output));
    }
    let input = json!({ "url": target.url("/"), "body": ["{{ secrets.TYPED }}", "{{ secrets.FILED }}", "{{ secrets.NAMED }}"] });
    send(&server, &input, &json!({}));
    assert_eq!(
        target.calls()[0].json(),
        json!(["from the input", "from the file", "from the environment"])
    );
    let listed = said(&secrets(&server, &["list"], ""));
    assert!(
        ["TYPED", "FILED", "NAMED"].iter().all(|name| listed.contains(name)),
        "{listed}"
    );
    let rotated = secrets(&server, &["rotate-key", "--json"], "");
    assert_eq!(
        serde_json::from_slice::<Value>(&rotated.stdout).expect("json")["secrets"],
        3
    );
    assert!(secrets(&server, &["delete", "TYPED"], "").status.success());
    let gone = secrets(&server, &["delete", "TYPED"], "");
    assert!(
        !gone.status.success() && said(&gone).contains("secret not found"),
        "{}",
        said(&gone)
    );
}

/// Starts a server that is expected to refuse; what it says.
fn refusal(folder: &Path, database: Option<&str>, environment: &[(&str, &str)]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_quintet"));
    command.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(folder);
    command.envs(environment.iter().copied()).env_remove("DATABASE_URL");
    command.envs(database.map(|url| ("DATABASE_URL", url)));
    let output = command.output().expect("it runs");
    assert!(!output.status.success(), "{}", said(&output));
    said(&output)
}

#[test]
fn a_start_with_the_wrong_master_key_is_refused_and_a_new_one_takes_over() {
    let folder = tempfile::tempdir().expect("folder");
    let mut server = Server::on(folder.path(), &[], &[("QUINTET_SECRETS__MASTER_KEY", KEY)]);
    let store = server.database();
    let url = store.as_ref().map(|database| database.url());
    give(&server, "TOKEN", "value-of-token");
    server.stop();
    let wrong = refusal(
        folder.path(),
        url.as_deref(),
        &[("QUINTET_SECRETS__MASTER_KEY", OTHER_KEY)],
    );
    assert!(wrong.contains("secrets are stored under the master key"), "{wrong}");
    assert!(!wrong.contains(KEY) && !wrong.contains(OTHER_KEY), "{wrong}");
    let none = refusal(folder.path(), url.as_deref(), &[]);
    assert!(none.contains("their master key is not here"), "{none}");
    let malformed = refusal(
        folder.path(),
        url.as_deref(),
        &[("QUINTET_SECRETS__MASTER_KEY", "not-a-master-key")],
    );
    assert!(
        malformed.contains("32 bytes") && !malformed.contains("not-a-master-key"),
        "{malformed}"
    );
    let both = [
        ("QUINTET_SECRETS__MASTER_KEY", OTHER_KEY),
        ("QUINTET_SECRETS__PREVIOUS_KEYS", KEY),
    ];
    Server::on(folder.path(), &[], &both).stop();
    let server = Server::on(folder.path(), &[], &[("QUINTET_SECRETS__MASTER_KEY", OTHER_KEY)]);
    let target = Target::saying("{}");
    send(
        &server,
        &json!({ "url": target.url("/"), "body": "{{ secrets.TOKEN }}" }),
        &json!({}),
    );
    assert_eq!(target.calls()[0].json(), "value-of-token");
}
