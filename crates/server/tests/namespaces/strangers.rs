//! Another namespace's ids are answered exactly as ids that nobody has, on every route, and in bodies too.

use quintet::face::workflows::ROUTES;
use serde_json::{Value, json};

use super::common::until;
use super::{Speaker, guarded, text};

/// Method, path, and the body by the id that is named in it.
type Case<'a> = (&'a str, &'a str, &'a dyn Fn(&str) -> Value);

/// What nobody else may ever see.
const CANARY: &str = "canary-of-bravo";

/// What bravo has, and words of the same form for what nobody has.
struct Things {
    run: (String, &'static str),
    key: (String, &'static str),
    named: [(&'static str, &'static str); 3],
}

fn things(bob: &Speaker) -> Things {
    let document = json!({
        "id": "bravo-flow", "name": CANARY, "steps": [{ "name": "ask", "action": "approval" }],
    });
    bob.done("POST", "/v1/workflows", &document);
    let run = bob.done(
        "POST",
        "/v1/runs",
        &json!({ "workflow_id": "bravo-flow", "context": { "word": CANARY } }),
    );
    let run = text(&run, "id");
    let schedule = json!({
        "id": "bravo-plan", "name": CANARY, "cron": "0 0 1 1 *", "target": { "workflow_id": "bravo-flow" },
    });
    bob.done("POST", "/v1/schedules", &schedule);
    let secret = bob.call(
        "PUT",
        "/v1/secrets/bravo-word",
        &json!({ "value": "a long enough value" }).to_string(),
    );
    assert!(matches!(secret.status, 200..=204), "{}", secret.text());
    let key = bob.done("POST", "/v1/auth/keys", &json!({ "name": CANARY, "roles": ["viewer"] }));
    bob.call("POST", &format!("/v1/runs/{run}/logs"), CANARY);
    Things {
        run: (run, "run_00000000000000000000000001"),
        key: (text(&key, "id"), "ABCDEFGHIJKL"),
        named: [
            ("bravo-flow", "nobody-flow"),
            ("bravo-plan", "nobody-plan"),
            ("bravo-word", "nobody-word"),
        ],
    }
}

impl Things {
    /// The path with bravo's id in it, and with one of nobody.
    fn paths(&self, pattern: &str) -> (String, String) {
        let named = |at: usize| (self.named[at].0.to_owned(), self.named[at].1.to_owned());
        let (theirs, nobody) = match pattern.split('/').nth(2).unwrap_or_default() {
            "runs" => (self.run.0.clone(), self.run.1.to_owned()),
            "workflows" => named(0),
            "schedules" => named(1),
            "secrets" => named(2),
            "auth" => (self.key.0.clone(), self.key.1.to_owned()),
            "namespaces" => ("bravo".to_owned(), "nobody".to_owned()),
            other => panic!("{other} in {pattern}: say here what bravo has of it"),
        };
        let filled = |id: &str| {
            let path = pattern.replace("{version}", "1").replace("{step}", "ask");
            path.replace("{id}", id).replace("{name}", id)
        };
        (filled(&theirs), filled(&nobody))
    }

    /// An answer with the ids taken out.
    fn plain(&self, mut text: String) -> String {
        let pairs = [
            (&*self.run.0, self.run.1),
            (&*self.key.0, self.key.1),
            ("bravo", "nobody"),
        ];
        for (theirs, nobody) in pairs.into_iter().chain(self.named) {
            text = text.replace(theirs, "ID").replace(nobody, "ID");
        }
        text
    }
}

/// A body that would be taken if the id were the caller's.
fn body(pattern: &str) -> &'static str {
    match pattern.rsplit('/').next().unwrap_or_default() {
        "rollback" => r#"{"version":1}"#,
        "{id}" | "{name}" => "{}",
        "logs" => "a line",
        "resolve" => r#"{"outcome":"succeeded","output":{}}"#,
        _ => "{}",
    }
}

#[test]
fn ids_of_another_namespace_are_answered_on_every_route_as_ids_that_nobody_has() {
    let server = guarded(&json!({}));
    let (ada, bob) = (Speaker::of(&server, "ada"), Speaker::of(&server, "bob"));
    let things = things(&bob);
    let before = bob.get(&format!("/v1/runs/{}", things.run.0)).text();
    let mut asked = 0;
    // A secret of one's own may have any name.
    let routes = ROUTES
        .iter()
        .filter(|(method, path)| path.contains('{') && *method != "put");
    for (method, pattern) in routes {
        let method = method.to_uppercase();
        let (theirs, nobody) = things.paths(pattern);
        let answers = [&theirs, &nobody].map(|path| ada.call(&method, path, body(pattern)));
        let [first, second] = answers.map(|reply| (reply.status, things.plain(reply.text())));
        assert_eq!(first, second, "{method} {theirs}");
        // Of the original some lists are empty where there is nothing that they could be of.
        let is_empty = |list: &str| first.1.contains(&format!("\"items\": {list}\n"));
        let is_nothing = first.0 == 200 && (is_empty("null") || is_empty("[]"));
        let is_refused = (400..500).contains(&first.0) && first.0 != 429;
        assert!(is_refused || is_nothing, "{method} {theirs}: {first:?}");
        assert!(!first.1.contains(CANARY), "{method} {theirs}: {first:?}");
        // By header it is no more there than by id.
        let named = Speaker::of(&server, "ada")
            .within("bravo")
            .call(&method, &theirs, body(pattern));
        assert_eq!(named.status, 404, "{method} {theirs}: {}", named.text());
        asked += 1;
    }
    assert!(asked >= 40, "{asked} routes with ids");
    assert_eq!(bob.get(&format!("/v1/runs/{}", things.run.0)).text(), before);
    for path in ["/v1/workflows/bravo-flow", "/v1/schedules/bravo-plan"] {
        assert_eq!(bob.get(path).status, 200, "{path}");
    }
}

#[test]
fn lists_show_nothing_of_another_namespace() {
    let server = guarded(&json!({}));
    let (ada, bob) = (Speaker::of(&server, "ada"), Speaker::of(&server, "bob"));
    let things = things(&bob);
    let mut asked = 0;
    for (_, path) in ROUTES
        .iter()
        .filter(|(method, path)| *method == "get" && !path.contains('{'))
    {
        let (mine, theirs) = (ada.get(path), bob.get(path));
        assert_eq!(mine.status, theirs.status, "{path}: {}", mine.text());
        for word in [CANARY, &things.run.0, &things.key.0, "bravo"] {
            assert!(!mine.text().contains(word), "{path} tells {word}: {}", mine.text());
        }
        asked += 1;
    }
    assert!(asked >= 8, "{asked} lists");
    let lists = ["/v1/runs", "/v1/workflows", "/v1/schedules", "/v1/approvals"];
    for path in lists {
        let own = bob.get(path).text();
        assert!(own.contains(&things.run.0) || own.contains("bravo-"), "{path}: {own}");
    }
}

#[test]
fn ids_of_another_namespace_inside_bodies_are_ids_that_nobody_has() {
    let server = guarded(&json!({}));
    let (ada, bob) = (Speaker::of(&server, "ada"), Speaker::of(&server, "bob"));
    let things = things(&bob);
    ada.quick();
    let own = json!({ "id": "own", "cron": "0 0 1 1 *", "target": { "workflow_id": "quick" } });
    ada.done("POST", "/v1/schedules", &own);
    let plan = |workflow: &str| json!({ "cron": "0 0 1 1 *", "target": { "workflow_id": workflow } });
    let cases: [Case<'_>; 6] = [
        ("POST", "/v1/runs", &|id| json!({ "workflow_id": id })),
        ("POST", "/v1/runs", &|id| json!({ "template": id })),
        (
            "POST",
            "/v1/runs/batch",
            &|id| json!({ "runs": [{ "workflow_id": "quick" }, { "workflow_id": id }] }),
        ),
        (
            "POST",
            "/v1/runs/batch",
            &|id| json!({ "runs": [{ "workflow_id": id, "context": {} }] }),
        ),
        ("POST", "/v1/schedules", &|id| plan(id)),
        ("PATCH", "/v1/schedules/own", &|id| plan(id)),
    ];
    for (method, path, body) in cases {
        let answers = ["bravo-flow", "nobody-flow"].map(|id| ada.call(method, path, &body(id).to_string()));
        let [theirs, nobody] = answers.map(|reply| (reply.status, things.plain(reply.text())));
        assert_eq!(theirs, nobody, "{method} {path}");
        assert!(matches!(theirs.0, 400 | 404), "{method} {path}: {theirs:?}");
    }
    let runs = ada.get("/v1/runs").json();
    assert_eq!(runs["items"], json!([]), "nothing of a batch was started");
    let all = bob.get("/v1/runs").json();
    assert_eq!(all["items"].as_array().map(Vec::len), Some(1));
}

#[test]
fn who_belongs_to_all_says_where_and_sees_each_by_itself() {
    let server = guarded(&json!({}));
    let bob = Speaker::of(&server, "bob");
    let run = bob.started(&bob.patient());
    let path = format!("/v1/runs/{run}");
    let root = || Speaker::of(&server, "root");
    assert_eq!(root().within("bravo").get(&path).status, 200);
    assert_eq!(root().within("acme").get(&path).status, 404);
    assert_eq!(root().get(&path).status, 404, "nothing said is `default`");
    root()
        .within("bravo")
        .done("POST", &format!("{path}/approve"), &Value::Null);
    until("it has ended", || (bob.status(&run) == "SUCCEEDED").then_some(()));
    for name in ["", "a b", "../bravo", "b*"] {
        let refused = root().within(name).get("/v1/runs");
        refused.assert_code(400, "invalid_parameter");
    }
    root()
        .within("quintet")
        .get("/v1/runs")
        .assert_code(404, "namespace_not_found");
    let twice = root().within("acme").within("bravo").get("/v1/runs");
    twice.assert_code(400, "invalid_parameter");
}
