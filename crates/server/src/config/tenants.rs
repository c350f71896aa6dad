//! The tenants face: how the tasks of its workflows are run, by their type and by the tenant.
//!
//! The replaced orchestrator ran no task: it said so after a second. Here a rule says who does the tasks of a type, and a
//! workflow with a task that no rule is for is refused. Nothing is simulated.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::ConfigError;
use super::section::section;
use super::value::{Millis, Secret};

/// The type that stands for all others.
const DEFAULT: &str = "default";
/// Longest name of a tenant.
const MAX_TENANT: usize = 63;
/// Longest name of a type.
const MAX_TYPE: usize = 255;

section! {
    /// The tenants face: how the tasks of its workflows are run, by their type and by the tenant.
    pub struct Tenants = "tenants" {
        /// How tasks are run, by their type (`codegen`, `test`, ...; `default` is for all others). Each has `run`: `http`
        /// posts the task to `url`, with `headers` (values may be `env:NAME` or `file:PATH`, and hold `{{ secrets.NAME }}` of
        /// the tenant) and a `timeout` of the call; `backend` gives it to a backend of `tasks.backends`, which `backend` may
        /// name, under `task_type` (the task's type where it is absent), by way of the queue `queue` of `tasks.queues`
        /// (`default`); `noop` does nothing, and that is a success. Default: none, so that workflows are refused.
        pub types: TaskTypes = TaskTypes::new(),
        /// The same for single tenants, each with `types`; they go before those that are for all, a tenant's own `default`
        /// too. Default: none.
        pub of: BTreeMap<String, TenantRules> = BTreeMap::new(),
        /// Calls of `http` rules under way at a time on each node. Default: 256.
        pub concurrency: usize = 256,
        /// How long a call of an `http` rule may take where neither the rule nor the task says it. Default: 5m.
        pub call_timeout: Millis = Millis(300_000),
    }
}

/// Rules by type.
pub type TaskTypes = BTreeMap<String, TypeRule>;

/// The rules of one tenant.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TenantRules {
    /// How its tasks are run, by their type.
    #[serde(default)]
    pub types: TaskTypes,
}

/// How tasks of a type are run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "run", rename_all = "lowercase", deny_unknown_fields)]
pub enum TypeRule {
    /// By an HTTP endpoint.
    Http {
        /// Where the task is posted.
        url: String,
        /// Sent with it.
        #[serde(default)]
        headers: BTreeMap<String, Secret>,
        /// Of the call.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        timeout: Option<Millis>,
    },
    /// By a compute backend.
    Backend {
        /// Its name; whichever is healthy where it is absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        backend: Option<String>,
        /// The queue by way of which it is given there.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        queue: Option<String>,
        /// What the task is called there.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        task_type: Option<String>,
    },
    /// By nobody.
    Noop {},
}

/// Of these rules, and those that hold for all, the one for a type: its own or else the default, first of the former.
pub(crate) fn rule_of<'r, R>(
    own: Option<&'r BTreeMap<String, R>>,
    shared: &'r BTreeMap<String, R>,
    kind: &str,
) -> Option<&'r R> {
    let mut places = own.into_iter().chain([shared]);
    places.find_map(|types| types.get(kind).or_else(|| types.get(DEFAULT)))
}

impl Tenants {
    /// How a tenant's tasks of a type are run, if anything says it.
    pub fn rule(&self, tenant: &str, kind: &str) -> Option<&TypeRule> {
        rule_of(self.of.get(tenant).map(|own| &own.types), &self.types, kind)
    }

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        if self.concurrency == 0 {
            return Err(ConfigError::senseless("tenants.concurrency", "must be above 0"));
        }
        if self.call_timeout.0 == 0 {
            return Err(ConfigError::senseless("tenants.call_timeout", "must be above 0"));
        }
        check_types(&self.types, "tenants.types")?;
        for (tenant, own) in &self.of {
            if !is_tenant(tenant) {
                let reason = format!("a tenant's name consists of 1 to {MAX_TENANT} letters, digits and -._");
                return Err(ConfigError::senseless(format!("tenants.of.{tenant}"), reason));
            }
            check_types(&own.types, &format!("tenants.of.{tenant}.types"))?;
        }
        Ok(())
    }
}

fn is_tenant(name: &str) -> bool {
    let is_known = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    (1..=MAX_TENANT).contains(&name.len()) && name.bytes().all(is_known)
}

fn check_types(types: &TaskTypes, key: &str) -> Result<(), ConfigError> {
    for (kind, rule) in types {
        let named = match kind.len() {
            1..=MAX_TYPE => Ok(()),
            _ => Err(format!("a type's name has 1 to {MAX_TYPE} bytes")),
        };
        let checked = named.and_then(|()| rule.check());
        checked.map_err(|reason| ConfigError::senseless(format!("{key}.{kind}"), reason))?;
    }
    Ok(())
}

impl TypeRule {
    fn check(&self) -> Result<(), String> {
        match self {
            Self::Noop {} => Ok(()),
            Self::Http { url, headers, timeout } => {
                check_url(url)?;
                if timeout.is_some_and(|timeout| timeout.0 == 0) {
                    return Err("timeout: must be above 0".to_owned());
                }
                let is_name = |name: &&String| http::HeaderName::from_bytes(name.as_bytes()).is_err();
                match headers.keys().find(is_name) {
                    Some(name) => Err(format!("headers: {name:?} is no name of a header")),
                    None => Ok(()),
                }
            }
            Self::Backend {
                backend,
                queue,
                task_type,
            } => {
                // They become part of the plan, where braces would be a template.
                let words = [("backend", backend), ("queue", queue), ("task_type", task_type)];
                let wrong = words.into_iter().find(|(_, word)| {
                    word.as_ref()
                        .is_some_and(|word| word.is_empty() || word.contains(['{', '}']))
                });
                match wrong {
                    Some((field, _)) => Err(format!("{field}: must not be empty, and must not hold braces")),
                    None => Ok(()),
                }
            }
        }
    }
}

fn check_url(url: &str) -> Result<(), String> {
    let schemes = ["http://", "https://"];
    let Some(rest) = schemes.iter().find_map(|scheme| url.strip_prefix(scheme)) else {
        return Err("url: must begin with http:// or https://".to_owned());
    };
    // However many there are, the host comes next.
    if rest.starts_with(['/', '\\']) {
        return Err("url: must name a host behind http:// or https://".to_owned());
    }
    let (_, path) = rest.split_once('/').unwrap_or((rest, ""));
    // The operator's word may lead anywhere inside of the network, so no secret of a tenant may say where.
    if rest.len() - path.len() > rest.find(['{', '}']).unwrap_or(usize::MAX) {
        return Err("url: secrets may stand behind the host and its port only".to_owned());
    }
    match url::Url::parse(url) {
        Err(error) => Err(format!("url: {error}")),
        Ok(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::*;

    fn error(text: &str) -> String {
        Config::parse(text).expect_err(text).to_string()
    }

    #[test]
    fn rules_are_read_for_all_and_for_single_tenants() {
        let text = r#"
            [tenants.types.default]
            run = "http"
            url = "http://agents:8086/run"
            timeout = "90s"
            [tenants.types.default.headers]
            authorization = "env:AGENTS_TOKEN"
            [tenants.of.acme.types]
            codegen = { run = "backend", backend = "modal", task_type = "generate" }
            doc = { run = "noop" }
        "#;
        let tenants = Config::parse(text).expect("settings").tenants;
        let TypeRule::Http { url, headers, timeout } = &tenants.types["default"] else {
            panic!("{:?}", tenants.types)
        };
        assert_eq!(
            (url.as_str(), *timeout),
            ("http://agents:8086/run", Some(Millis(90_000)))
        );
        assert!(headers["authorization"].is_reference());
        let own = &tenants.of["acme"].types;
        assert_eq!(own["doc"], TypeRule::Noop {});
        assert_eq!(
            own["codegen"],
            TypeRule::Backend {
                backend: Some("modal".to_owned()),
                queue: None,
                task_type: Some("generate".to_owned()),
            }
        );
    }

    #[test]
    fn a_tenants_own_rules_go_before_those_for_all() {
        let text = "tenants:\n  types: { a: { run: noop }, default: { run: backend, queue: all } }\n  \
                    of:\n    x: { types: { b: { run: backend, queue: b } } }\n    \
                    y: { types: { default: { run: backend, queue: y } } }\n";
        let tenants = Config::parse(text).expect("settings").tenants;
        let queue = |tenant: &str, kind: &str| match tenants.rule(tenant, kind) {
            Some(TypeRule::Backend { queue, .. }) => queue.clone().unwrap_or_default(),
            Some(TypeRule::Noop {}) => "nobody".to_owned(),
            other => panic!("{other:?}"),
        };
        for (tenant, kind, expected) in [
            ("x", "a", "nobody"),
            ("x", "b", "b"),
            ("x", "c", "all"),
            ("x", "", "all"),
            ("y", "a", "y"),
            ("z", "a", "nobody"),
            ("z", "b", "all"),
        ] {
            assert_eq!(queue(tenant, kind), expected, "{tenant} {kind}");
        }
        assert_eq!(Tenants::default().rule("x", "a"), None);
    }

    #[test]
    fn a_token_in_a_header_is_not_shown() {
        let text = "tenants:\n  types:\n    a: { run: http, url: 'http://h/', headers: { authorization: hunter2 } }\n";
        let config = Config::parse(text).expect("settings");
        assert!(!format!("{config:?}").contains("hunter2"));
        assert!(!serde_json::to_string(&config).expect("json").contains("hunter2"));
    }

    #[test]
    fn what_nobody_knows_and_what_cannot_be_meant_is_refused_by_name() {
        for (rule, part) in [
            ("{ run: http }", "url"),
            ("{ run: http, url: 'ftp://h/' }", "tenants.types.a"),
            ("{ run: http, url: 'http://' }", "tenants.types.a"),
            ("{ run: http, url: 'http:///{{secrets.HOST}}/' }", "must name a host"),
            ("{ run: http, url: 'http://{{ secrets.HOST }}/' }", "behind the host"),
            ("{ run: http, url: 'http://h{{ secrets.HOST }}' }", "behind the host"),
            ("{ run: http, url: 'http://h?{{ secrets.HOST }}' }", "behind the host"),
            ("{ run: http, url: 'http://h/', header: {} }", "header"),
            ("{ run: http, url: 'http://h/', headers: { 'a b': x } }", "\"a b\""),
            ("{ run: http, url: 'http://h/', timeout: 0 }", "timeout"),
            ("{ run: noop, url: 'http://h/' }", "url"),
            ("{ run: simulate }", "simulate"),
            ("{ url: 'http://h/' }", "run"),
            ("{ run: backend, task_type: '{{ x }}' }", "task_type"),
            ("{ run: backend, queue: '' }", "queue"),
        ] {
            let text = error(&format!("tenants:\n  types:\n    a: {rule}\n"));
            assert!(text.contains(part) && text.contains("tenants.types"), "{rule}: {text}");
        }
        for (text, part) in [
            ("tenants:\n  of:\n    'a/b': { types: {} }\n", "tenants.of.a/b"),
            ("tenants:\n  of:\n    a: { kinds: {} }\n", "kinds"),
            ("tenants:\n  simulate: true\n", "tenants.simulate"),
            ("tenants:\n  concurrency: 0\n", "tenants.concurrency"),
            ("tenants:\n  call_timeout: 0\n", "tenants.call_timeout"),
        ] {
            assert!(error(text).contains(part), "{text}: {}", error(text));
        }
    }
}
