//! What a verified token says: whether it is for this server and for now, and what its bearer may do.

use quintet_core::time::Time;
use serde_json::{Map, Value};

use crate::config::Jwt;
use crate::identity::caller::{Caller, Credential, EVERY_NAMESPACE, Who};
use crate::identity::role::Grant;
use crate::identity::{Reason, is_namespace};

/// Longest subject, in bytes.
const LONGEST_SUBJECT: usize = 255;
/// Grants that are read of one token.
const MOST_GRANTS: usize = 200;

/// The bearer of a token with these claims.
pub fn caller(payload: &[u8], rules: &Jwt, now: Time) -> Result<Caller, Reason> {
    let claims: Map<String, Value> = serde_json::from_slice(payload).map_err(|_| Reason::Malformed)?;
    let expires_at = check(&claims, rules, now)?;
    let subject = text(&claims, &rules.subject_claim).filter(|subject| is_subject(subject));
    let subject = subject.ok_or(Reason::Invalid)?;
    let namespace = match claim(&claims, &rules.namespace_claim) {
        None => rules.namespace.as_deref(),
        Some(said) => said.as_str(),
    };
    let namespace = namespace.filter(|said| *said == EVERY_NAMESPACE || is_namespace(said));
    let namespace = namespace.ok_or(Reason::Invalid)?;
    let grants = grants(&claims, rules);
    let who = Who {
        credential: Credential::Token(subject.into()),
        is_global: namespace == EVERY_NAMESPACE,
        permissions: Grant::total(&grants),
        grants,
        queues: None,
        expires_at: Some(expires_at),
    };
    Ok(Caller::new(subject.into(), namespace, who))
}

fn is_subject(subject: &str) -> bool {
    !subject.is_empty() && subject.len() <= LONGEST_SUBJECT && !subject.contains(char::is_control)
}

/// Whether the token is from the right issuer, for this audience and for now; says when it ends to be.
fn check(claims: &Map<String, Value>, rules: &Jwt, now: Time) -> Result<Time, Reason> {
    if text(claims, "iss") != Some(rules.issuer.as_str()) {
        return Err(Reason::Invalid);
    }
    let is_ours = |said: &Value| {
        said.as_str()
            .is_some_and(|said| rules.audience.iter().any(|ours| ours == said))
    };
    let is_for_us = match claims.get("aud") {
        Some(Value::Array(all)) => all.iter().any(is_ours),
        Some(one) => is_ours(one),
        None => false,
    };
    if !is_for_us {
        return Err(Reason::Invalid);
    }
    let leeway = rules.leeway.0;
    let expires_at = moment(claims, "exp")?.ok_or(Reason::Invalid)?;
    if expires_at.plus_ms(leeway) <= now {
        return Err(Reason::Expired);
    }
    for beginning in ["nbf", "iat"] {
        if moment(claims, beginning)?.is_some_and(|beginning| beginning > now.plus_ms(leeway)) {
            return Err(Reason::Invalid);
        }
    }
    Ok(expires_at)
}

/// A NumericDate: seconds since 1970, with a fraction where somebody likes that.
fn moment(claims: &Map<String, Value>, name: &str) -> Result<Option<Time>, Reason> {
    let Some(value) = claims.get(name) else {
        return Ok(None);
    };
    let seconds = value.as_f64().filter(|seconds| (0.0..1e12).contains(seconds));
    let seconds = seconds.ok_or(Reason::Malformed)?;
    Ok(Some(Time((seconds * 1e6) as i64)))
}

/// What the claims of roles and permissions grant. Names that mean nothing here are other programs' business.
fn grants(claims: &Map<String, Value>, rules: &Jwt) -> Vec<Grant> {
    let mut grants = Vec::new();
    for name in [&rules.roles_claim, &rules.permissions_claim] {
        let names: Vec<&str> = match claim(claims, name) {
            Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).collect(),
            Some(Value::String(all)) => all.split_ascii_whitespace().collect(),
            _ => Vec::new(),
        };
        let names = names.into_iter().take(MOST_GRANTS);
        grants.extend(names.filter_map(|name| name.parse::<Grant>().ok()));
    }
    grants
}

fn text<'a>(claims: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    claim(claims, name)?.as_str()
}

/// A claim by its name, or by the way to it: `realm_access.roles`.
fn claim<'a>(claims: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    if let Some(found) = claims.get(name) {
        return Some(found);
    }
    let (first, rest) = name.split_once('.')?;
    claim(claims.get(first)?.as_object()?, rest)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::identity::permission::Permission;

    const NOW: Time = Time(1_800_000_000_000_000);

    fn rules() -> Jwt {
        serde_json::from_value(json!({ "issuer": "https://id.example", "audience": ["quintet"] })).expect("rules")
    }

    fn usual() -> Value {
        json!({
            "iss": "https://id.example", "aud": "quintet", "sub": "ann", "exp": 1_800_000_060, "namespace": "red",
            "roles": ["operator", "something-else"],
        })
    }

    fn read(claims: &Value, rules: &Jwt) -> Result<Caller, Reason> {
        caller(claims.to_string().as_bytes(), rules, NOW)
    }

    #[test]
    fn a_good_token_says_who_where_and_what() {
        let caller = read(&usual(), &rules()).expect("good");
        assert_eq!((&*caller.name, &*caller.namespace), ("ann", "red"));
        assert!(caller.may(Permission::TasksCreate) && !caller.may(Permission::TemplatesWrite));
        assert!(!caller.is_global());
    }

    #[test]
    fn every_claim_that_is_wrong_or_missing_is_refused() {
        for (name, value, expected) in [
            ("iss", json!(null), Reason::Invalid),
            ("iss", json!("https://id.example/"), Reason::Invalid),
            ("iss", json!(["https://id.example"]), Reason::Invalid),
            ("aud", json!(null), Reason::Invalid),
            ("aud", json!("other"), Reason::Invalid),
            ("aud", json!([]), Reason::Invalid),
            ("aud", json!([["quintet"]]), Reason::Invalid),
            ("sub", json!(""), Reason::Invalid),
            ("sub", json!(7), Reason::Invalid),
            ("exp", json!("1800000060"), Reason::Malformed),
            ("exp", json!(null), Reason::Malformed),
            ("exp", json!(1e300), Reason::Malformed),
            ("exp", json!(1_799_999_969), Reason::Expired),
            ("nbf", json!(1_800_000_031), Reason::Invalid),
            ("nbf", json!("soon"), Reason::Malformed),
            ("iat", json!(1_800_000_031), Reason::Invalid),
            ("namespace", json!(null), Reason::Invalid),
            ("namespace", json!("quintet"), Reason::Invalid),
            ("namespace", json!("a/b"), Reason::Invalid),
        ] {
            let mut claims = usual();
            claims[name] = value;
            assert_eq!(read(&claims, &rules()).err(), Some(expected), "{claims}");
        }
        for name in ["iss", "aud", "sub", "exp", "namespace"] {
            let mut claims = usual();
            claims.as_object_mut().expect("object").remove(name);
            assert_eq!(read(&claims, &rules()).err(), Some(Reason::Invalid), "without {name}");
        }
        assert_eq!(caller(b"[]", &rules(), NOW).err(), Some(Reason::Malformed));
    }

    #[test]
    fn clocks_may_differ_by_the_leeway() {
        for (name, value) in [
            ("exp", json!(1_799_999_971)),
            ("nbf", json!(1_800_000_029)),
            ("iat", json!(1_800_000_029.5)),
            ("aud", json!(["other", "quintet"])),
        ] {
            let mut claims = usual();
            claims[name] = value;
            assert!(read(&claims, &rules()).is_ok(), "{claims}");
        }
    }

    #[test]
    fn claims_may_have_other_names_and_lie_deeper() {
        let mut rules = rules();
        rules.roles_claim = "realm_access.roles".to_owned();
        rules.permissions_claim = "https://quintet.example/scope".to_owned();
        rules.namespace = Some("*".to_owned());
        let mut claims = usual();
        claims.as_object_mut().expect("object").remove("namespace");
        claims["realm_access"] = json!({ "roles": ["viewer"] });
        claims["https://quintet.example/scope"] = "openid tasks:create dlq:*".into();
        let caller = read(&claims, &rules).expect("good");
        assert!(caller.may(Permission::TasksCreate) && caller.may(Permission::DlqPurge));
        assert!(!caller.may(Permission::TasksCancel) && caller.is_global());
    }
}
