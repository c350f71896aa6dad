//! Every operation with every kind of key, and with none.

use quintet::identity::{Permission, Role};
use serde_json::json;

use crate::common::until;
use crate::operations::{self, Need, Operation};
use crate::site::{HOME, Said, Site, Stream, key_of};
use crate::things::Things;

/// So many wrong answers are told apart for one key, before it hears that it asks too often.
const PATIENCE: usize = 9;
/// What a tenant's own admin hears of what is about all tenants.
const OF_THE_NODE: &str = "of all namespaces";

/// Keys that were good.
fn spent(site: &Site, count: usize) -> (Vec<String>, Vec<String>) {
    let make = |more: &str| -> Vec<(String, String)> {
        let mut body = json!({ "name": "spent", "namespace": HOME, "roles": ["admin"] });
        if !more.is_empty() {
            body["expires_in"] = json!(more);
        }
        let made = (0..count).map(|_| site.done("root", "POST", "/v1/auth/keys", &body));
        let texts = made.map(|made| ["key", "id"].map(|field| made[field].as_str().expect("text").to_owned()));
        texts.map(|[key, id]| (key, id)).collect()
    };
    let (expired, revoked) = (make("1s"), make(""));
    for (key, id) in &revoked {
        assert_eq!(site.ask(Some(key), "GET", "/v1/runs", "").status, 200, "it is good");
        let gone = site.ask(Some(&key_of("root")), "DELETE", &format!("/v1/auth/keys/{id}"), "");
        assert_eq!(gone.status, 200, "{}", gone.text);
    }
    let last = &expired.last().expect("a key").0;
    until("it has expired", || {
        let path = format!("/v1/auth/keys/{}", expired.last().expect("a key").1);
        let shown = site.ask(Some(&key_of("root")), "GET", &path, "");
        (shown.json()["state"] == "expired").then_some(())
    });
    assert_eq!(site.ask(Some(last), "GET", "/v1/runs", "").status, 401);
    let keys = |all: Vec<(String, String)>| all.into_iter().map(|(key, _)| key).collect();
    (keys(expired), keys(revoked))
}

#[test]
fn every_operation_is_open_to_exactly_those_who_may() {
    let site = Site::open();
    let things = Things::of(&site, "admin", HOME).with_services(&site);
    site.done("root", "POST", "/v1/namespaces", &json!({ "name": "spare" }));
    let things = things.but("namespace", "spare");
    let operations = operations::all();
    let (expired, revoked) = spent(&site, operations.len().div_ceil(PATIENCE - 1));
    let (foreign, good) = (site.token("another"), site.token("quintet"));
    assert_eq!(site.ask(Some(&good), "GET", "/v1/runs", "").status, 200);
    let unknown = key_of("nobody");
    for (at, operation) in operations.iter().enumerate() {
        let nth = at / (PATIENCE - 1);
        let strangers = [
            ("nobody", None),
            ("an unknown key", Some(&unknown)),
            ("an expired key", Some(&expired[nth])),
            ("a revoked key", Some(&revoked[nth])),
            ("a token for another", Some(&foreign)),
        ];
        for (who, key) in strangers {
            let said = ask(&site, &things, operation, key.map(String::as_str));
            let is_open = !matches!(said.status, 401 | 403 | 429);
            let expected = if operation.need == Need::Nothing {
                is_open
            } else {
                said.status == 401
            };
            assert!(
                expected,
                "{} {} by {who}: {}",
                operation.method, operation.pattern, said.text
            );
        }
    }
    // Those who may most come last: they remove what the others ask for.
    for role in [Role::Viewer, Role::Author, Role::Worker, Role::Operator, Role::Admin] {
        for operation in &operations {
            let said = ask(&site, &things, operation, Some(&key_of(role.as_str())));
            judge(role, operation, &said);
        }
    }
    let within = [("x-quintet-namespace", HOME), ("content-type", "application/json")];
    for operation in &operations {
        let (path, body) = (path(&things, operation), operation.body());
        let asked = (operation.method.as_str(), path.as_str(), body);
        let said = site.ask_as(Some(&key_of("root")), &within, asked, Stream::Begun);
        let is_refused = matches!(said.status, 401 | 403 | 429);
        let expected = operation.pattern.starts_with("/w/");
        assert_eq!(
            is_refused, expected,
            "{} {path} by who belongs to all: {}",
            operation.method, said.text
        );
    }
}

fn path(things: &Things, operation: &Operation) -> String {
    let path = things.fill(&operation.pattern).expect("there is one of each kind");
    // A namespace may be suspended by this, but not the one that is asked about.
    path.replace("/tenants/spare", &format!("/tenants/{HOME}"))
}

fn ask(site: &Site, things: &Things, operation: &Operation, key: Option<&str>) -> Said {
    site.ask(key, &operation.method, &path(things, operation), operation.body())
}

fn judge(role: Role, operation: &Operation, said: &Said) {
    let (permissions, what) = (
        role.permissions(),
        format!("{} {}", operation.method, operation.pattern),
    );
    let is_let_in = !matches!(said.status, 401 | 403 | 429);
    match operation.need {
        Need::Worker if operation.pattern.starts_with("/w/") => {
            assert_eq!(said.status, 401, "a wrong token, {what} by {role:?}: {}", said.text);
        }
        Need::Worker if !permissions.contains(Permission::WorkerExecute) => {
            assert_eq!(said.status, 401, "{what} by {role:?}: {}", said.text);
        }
        Need::Nothing | Need::AnyKey | Need::Worker => assert!(is_let_in, "{what} by {role:?}: {}", said.text),
        Need::May(needed) if !permissions.contains(needed) => {
            let missing = format!("does not have the permission `{}`", needed.as_str());
            let is_told = said.status == 403 && said.text.contains(&missing);
            assert!(is_told, "{what} by {role:?}: {}", said.text);
        }
        Need::May(_) => {
            // It has the permission, so what it hears is about the thing and not about the key.
            let is_told = !said.text.contains("does not have the permission");
            let is_fine = is_let_in || (role == Role::Admin && said.status == 403 && said.text.contains(OF_THE_NODE));
            assert!(is_told && is_fine, "{what} by {role:?}: {}", said.text);
        }
    }
}
