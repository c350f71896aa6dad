//! Where tasks are posted, by tenant and type: the settings, with everything looked up when the server starts.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use quintet_core::expr::{Limits, Rendered, Scope, Slot, StepView, Template};
use quintet_executors::bullmq::Mode;
use serde_json::{Map, Value, json};

use crate::config::{Config, ConfigError, DEFAULT_QUEUE, Secret, TaskTypes, Tenants, TypeRule, rule_of};

/// The endpoints of all tenants.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rules {
    shared: Types,
    of: BTreeMap<String, Types>,
}

/// By type; nothing where the type is run in another way, which hides the default.
type Types = BTreeMap<String, Option<Endpoint>>;

/// Where tasks are posted.
#[derive(Clone)]
pub(crate) struct Endpoint {
    /// URL and headers, with the places where a tenant's secrets belong.
    request: Rendered,
    /// Headers whose values are the operator's own secrets.
    headers: Vec<(String, String)>,
    /// Of one call.
    pub timeout: Option<Duration>,
}

/// What rules may name.
#[derive(Debug, Clone, Default)]
pub(crate) struct Known {
    pub queues: BTreeSet<String>,
    /// Queues whose steps are not done by backends.
    pub bridged: BTreeSet<String>,
    pub backends: BTreeSet<String>,
}

impl Rules {
    /// The rules of these settings.
    pub fn open(config: &Config) -> Result<Self, ConfigError> {
        let (backends, _) = config.tasks.backend_settings()?;
        let known = Known {
            queues: config.tasks.queue_rules().into_keys().collect(),
            bridged: config
                .tasks
                .bullmq
                .queues
                .iter()
                .filter(|(_, queue)| queue.mode == Mode::Workers)
                .map(|(name, _)| name.clone())
                .collect(),
            backends: backends.into_keys().collect(),
        };
        Self::of(&config.tenants, &known)
    }

    pub(super) fn of(settings: &Tenants, known: &Known) -> Result<Self, ConfigError> {
        let of = settings.of.iter().map(|(tenant, own)| {
            let types = types(&own.types, &format!("tenants.of.{tenant}.types"), known)?;
            Ok((tenant.clone(), types))
        });
        Ok(Self {
            shared: types(&settings.types, "tenants.types", known)?,
            of: of.collect::<Result<_, ConfigError>>()?,
        })
    }

    /// Where the tenant's tasks of the type are posted, if they are.
    pub fn endpoint(&self, tenant: &str, kind: &str) -> Option<&Endpoint> {
        rule_of(self.of.get(tenant), &self.shared, kind)?.as_ref()
    }
}

impl Endpoint {
    /// The input of an `http` step, but for its body, and where secrets of the tenant belong in it.
    pub fn request(&self) -> (Value, Vec<Slot>) {
        let mut input = self.request.value.clone();
        for (name, value) in &self.headers {
            input["headers"][name] = value.as_str().into();
        }
        (input, self.request.secrets.clone())
    }

    fn of(url: &str, headers: &BTreeMap<String, Secret>, timeout: Option<Duration>) -> Result<Self, String> {
        let mut own = Vec::new();
        let mut templates = Map::new();
        for (name, value) in headers {
            let text = value.reveal().map_err(|reason| format!("headers.{name}: {reason}"))?;
            match value.is_reference() {
                true => own.push((name.clone(), text)),
                false => drop(templates.insert(name.clone(), text.into())),
            }
        }
        let written = json!({ "method": "POST", "url": url, "headers": templates });
        let template = Template::compile_sent(&written, &Limits::DEFAULT);
        let template = template.map_err(|error| format!("{}: {}", error.path, error.message))?;
        let request = template.render_sent(&Nothing).map_err(|_| {
            "`{{ }}` may only name secrets here: {{ secrets.NAME }}, of the tenant whose task is sent".to_owned()
        })?;
        Ok(Self {
            request,
            headers: own,
            timeout,
        })
    }
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Endpoint")
            .field("url", &self.request.value["url"])
            .finish_non_exhaustive()
    }
}

/// There is no run yet that a template could read.
struct Nothing;

impl Scope for Nothing {
    fn root(&self, _name: &str) -> Option<std::sync::Arc<Value>> {
        None
    }

    fn step(&self, _key: &str) -> Option<StepView> {
        None
    }

    fn step_keys(&self) -> Vec<String> {
        Vec::new()
    }
}

fn types(rules: &TaskTypes, key: &str, known: &Known) -> Result<Types, ConfigError> {
    let one = |(kind, rule): (&String, &TypeRule)| {
        let rule = looked_up(rule, known).map_err(|reason| ConfigError::senseless(format!("{key}.{kind}"), reason))?;
        Ok((kind.clone(), rule))
    };
    rules.iter().map(one).collect()
}

fn looked_up(rule: &TypeRule, known: &Known) -> Result<Option<Endpoint>, String> {
    match rule {
        TypeRule::Noop {} => Ok(None),
        TypeRule::Http { url, headers, timeout } => {
            let timeout = timeout.map(|timeout| timeout.duration());
            Endpoint::of(url, headers, timeout).map(Some)
        }
        TypeRule::Backend { backend, queue, .. } => {
            known.check(backend.as_deref(), queue.as_deref().unwrap_or(DEFAULT_QUEUE))?;
            Ok(None)
        }
    }
}

impl Known {
    fn check(&self, backend: Option<&str>, queue: &str) -> Result<(), String> {
        if !self.queues.contains(queue) {
            return Err(format!("there is no queue {queue:?} in tasks.queues"));
        }
        if self.bridged.contains(queue) {
            return Err(format!(
                "workers of BullMQ serve the queue {queue:?} (tasks.bullmq), and backends do not"
            ));
        }
        match backend.filter(|name| !self.backends.contains(*name)) {
            Some(name) => Err(format!("there is no backend {name:?} in tasks.backends")),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(text: &str) -> Result<Rules, String> {
        Rules::open(&Config::parse(text).expect("settings")).map_err(|error| error.to_string())
    }

    #[test]
    fn a_request_holds_the_operators_headers_and_notes_where_the_tenants_secrets_belong() {
        let folder = tempfile::tempdir().expect("folder");
        let token = folder.path().join("token");
        std::fs::write(&token, "braces {{ stay }}\n").expect("written");
        let text = format!(
            "tenants:\n  types:\n    a:\n      run: http\n      url: 'http://h/{{{{ secrets.PATH }}}}'\n      headers:\n        \
             X-Own: 'file:{}'\n        X-Tenant: 'Bearer {{{{ secrets.TOKEN }}}}'\n",
            token.display()
        );
        let rules = rules(&text).expect("rules");
        let (request, secrets) = rules.endpoint("t", "a").expect("endpoint").request();
        assert_eq!(
            request,
            json!({
                "method": "POST",
                "url": "http://h/***",
                "headers": { "X-Tenant": "Bearer ***", "X-Own": "braces {{ stay }}" },
            })
        );
        let places: Vec<_> = secrets
            .iter()
            .map(|slot| (&*slot.pointer, slot.at, &*slot.name))
            .collect();
        assert_eq!(places, [("/url", 9, "PATH"), ("/headers/X-Tenant", 7, "TOKEN")]);
        assert!(!format!("{rules:?}").contains("braces"));
    }

    #[test]
    fn what_a_rule_names_must_be_there() {
        for (rule, part) in [
            (
                "{ run: http, url: 'http://h/{{ context.x }}' }",
                "may only name secrets",
            ),
            (
                "{ run: http, url: 'http://h/', headers: { a: '{{ ' } }",
                "tenants.types.a",
            ),
            (
                "{ run: http, url: 'http://h/', headers: { a: 'file:/no/such' } }",
                "headers.a",
            ),
            ("{ run: backend, queue: nowhere }", "no queue \"nowhere\""),
            ("{ run: backend, backend: nobody }", "no backend \"nobody\""),
        ] {
            let error = rules(&format!("tenants: {{ types: {{ a: {rule} }} }}\n")).expect_err(rule);
            assert!(
                error.contains(part) && error.contains("tenants.types.a"),
                "{rule}: {error}"
            );
        }
    }

    #[test]
    fn another_way_to_run_a_type_hides_the_default_endpoint() {
        let text = "tenants:\n  types: { default: { run: http, url: 'http://h/' }, a: { run: noop } }\n  \
                    of: { x: { types: { b: { run: backend } } } }\n";
        let rules = rules(text).expect("rules");
        assert!(rules.endpoint("x", "c").is_some());
        assert!(rules.endpoint("x", "a").is_none() && rules.endpoint("x", "b").is_none());
    }
}
