//! The built-in actions, put together from their settings.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use quintet_engine::executor::Executor;
use serde::Deserialize;

use crate::condition::Condition;
use crate::egress::{Client, Guard, Policy};
use crate::http::service::{ServiceError, Services};
use crate::http::{Http, HttpParams};
use crate::noop::Noop;
use crate::secrets::Secrets;
use crate::transform::Transform;

/// Settings of the built-in actions.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// What outbound requests may reach.
    pub egress: Policy,
    /// URLs of the service actions, by action (`ai_router.chat = "http://ai-router:8080/v1/chat/completions"`, used
    /// whole) or by service (`ai_router = "http://ai-router:8080"`, with each action's usual path). Their hosts and
    /// ports are permitted. Default: none, so steps give full URLs.
    pub actions: BTreeMap<String, String>,
    /// Requests of http actions in flight at a time on this node. Default: 256. Raise it where targets are slow and
    /// many.
    pub http_concurrency: usize,
    /// Milliseconds for an attempt of an http action whose step has no `timeout_ms`. Default: 30000.
    pub http_timeout_ms: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            egress: Policy::default(),
            actions: BTreeMap::new(),
            http_concurrency: 256,
            http_timeout_ms: 30_000,
        }
    }
}

/// The settings contradict themselves.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// In `actions`.
    #[error("actions: {0}")]
    Services(#[from] ServiceError),
    /// A limit of zero would stop every http action.
    #[error("{0} must be above 0")]
    Zero(&'static str),
}

impl Config {
    /// The guarded client of these settings: one for the whole process, so that connections are shared.
    pub fn client(&self) -> Result<Client, BuildError> {
        let mut guard = Guard::new(self.egress.clone());
        Services::new(&self.actions)?.urls().for_each(|url| guard.permit(url));
        Ok(Client::new(guard))
    }
}

/// All built-in executors. `client` comes from [`Config::client`].
///
/// Steps may send `secrets`; without them every secret is unknown.
pub fn builtin(
    config: &Config,
    client: &Client,
    secrets: Option<Arc<dyn Secrets>>,
) -> Result<Vec<Arc<dyn Executor>>, BuildError> {
    let limits = [
        ("http_concurrency", config.http_concurrency as u64),
        ("http_timeout_ms", config.http_timeout_ms),
        ("egress.connect_timeout_ms", config.egress.connect_timeout_ms),
        ("egress.max_response_bytes", config.egress.max_response_bytes as u64),
    ];
    if let Some((name, _)) = limits.iter().find(|(_, limit)| *limit == 0) {
        return Err(BuildError::Zero(name));
    }
    let timeout = Duration::from_millis(config.http_timeout_ms);
    let params = HttpParams {
        concurrency: config.http_concurrency,
        timeout,
    };
    let mut http = Http::new(client.clone(), Services::new(&config.actions)?, params);
    if let Some(secrets) = secrets {
        http = http.with_secrets(secrets);
    }
    Ok(vec![
        Arc::new(http),
        Arc::new(Transform),
        Arc::new(Condition),
        Arc::new(Noop),
    ])
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use quintet_core::event::Created;
    use quintet_core::id::RunId;
    use quintet_core::outcome::{Outcome, Success, Token, Work};
    use quintet_core::plan::Digest;
    use serde_json::{Value, json};

    /// What the run of [`work`] was started with.
    pub(crate) fn created() -> Arc<Created> {
        Arc::new(Created {
            namespace: "default".into(),
            workflow: "wf".into(),
            workflow_version: 1,
            plan: Digest([0; 32]),
            context: Arc::new(json!({})),
            priority: 0,
            labels: serde_json::Map::new(),
            priority_is_for_all: false,
            not_before: None,
        })
    }

    /// A first attempt of a step with this input and an empty context.
    pub(crate) fn work(action: &str, input: Value) -> Work {
        Work {
            token: Token {
                run: RunId::from_bits(1),
                node: 0,
                attempt: 1,
            },
            namespace: "default".into(),
            workflow: "wf".into(),
            step: "step".to_owned(),
            action: action.into(),
            queue: action.into(),
            input,
            secrets: Vec::new(),
            context: Arc::new(json!({})),
            deadline: None,
            created: created(),
            attempt: 1,
            past: Vec::new(),
            upstream: Vec::new(),
        }
    }

    pub(crate) fn succeeded(outcome: Outcome) -> Success {
        match outcome {
            Outcome::Succeeded(success) => success,
            Outcome::Failed(failure) => panic!("failed: {failure:?}"),
        }
    }

    #[tokio::test]
    async fn every_action_is_served_once() {
        let config = Config::default();
        let client = config.client().expect("client");
        let mut actions: Vec<_> = builtin(&config, &client, None)
            .expect("built")
            .iter()
            .flat_map(|executor| executor.actions())
            .collect();
        actions.sort();
        let expected = "ai_router.chat condition http memarch.search memarch.store_fact noop scm.call transform \
                        web.extract web.search";
        assert_eq!(actions.join(" "), expected);
    }

    #[tokio::test]
    async fn settings_that_contradict_themselves_are_refused() {
        let zero = Config {
            http_concurrency: 0,
            ..Config::default()
        };
        let client = zero.client().expect("client");
        assert_eq!(
            builtin(&zero, &client, None).err(),
            Some(BuildError::Zero("http_concurrency"))
        );
        let unknown: Config = toml::from_str("actions = { nobody = 'http://x' }").expect("settings");
        assert!(unknown.client().is_err());
        assert!(toml::from_str::<Config>("http_concurency = 1").is_err());
    }
}
