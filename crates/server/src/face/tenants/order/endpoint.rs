//! Does the tasks that are run by HTTP: one POST to the place that the settings name for the task's type.
//!
//! The place is the operator's word, so it may be inside of the network. It is looked up when the task is sent, not when
//! the workflow is accepted: a token that was changed holds for what is waiting already, and none is ever stored.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use quintet_core::outcome::{Failure, Outcome, Work};
use quintet_engine::executor::{Executor, Mode};
use quintet_executors::egress::Client;
use quintet_executors::http::service::Services;
use quintet_executors::http::{Http, HttpParams};
use quintet_executors::secrets::Secrets;
use serde_json::{Value, json};

use super::rules::Rules;
use super::{INVALID, Order};
use crate::config::{Config, ConfigError};

/// Action of the steps of tasks that are run by HTTP.
pub(crate) const ACTION: &str = "tenant_task";
/// What does the calls.
const HTTP: &str = "http";

/// Sends tasks to their endpoints.
pub(crate) struct Endpoints {
    http: Http,
    rules: Rules,
    concurrency: usize,
    timeout: Duration,
}

impl Endpoints {
    /// What the settings say, sent by a client that may go where the operator says, with the tenants' `secrets`.
    pub fn open(config: &Config, client: &Client, secrets: Option<Arc<dyn Secrets>>) -> Result<Self, ConfigError> {
        let concurrency = config.tenants.concurrency;
        let timeout = config.tenants.call_timeout.duration();
        let params = HttpParams { concurrency, timeout };
        let services = Services::new(&BTreeMap::new()).expect("no services contradict none");
        let http = Http::new(client.for_operator(), services, params);
        Ok(Self {
            http: match secrets {
                Some(secrets) => http.with_secrets(secrets),
                None => http,
            },
            rules: Rules::open(config)?,
            concurrency,
            timeout,
        })
    }

    /// The call for an attempt, as work of the `http` action.
    fn call(&self, work: Work) -> Result<Work, Box<Failure>> {
        let order = Order::of(&work)?;
        let kind = order.kind();
        let endpoint = self.rules.endpoint(&work.namespace, kind).ok_or_else(|| {
            let message = format!("the settings do not say any more where tasks of type {kind:?} are sent");
            Box::new(Failure::permanent(INVALID, message))
        })?;
        let timeout = endpoint.timeout.or(order.timeout()).unwrap_or(self.timeout);
        let (mut input, secrets) = endpoint.request();
        input["body"] = order.document();
        input["timeout_ms"] = json!(u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX));
        Ok(Work {
            action: HTTP.into(),
            input,
            secrets,
            ..work
        })
    }
}

#[async_trait]
impl Executor for Endpoints {
    fn actions(&self) -> Vec<String> {
        vec![ACTION.to_owned()]
    }

    fn mode(&self) -> Mode {
        Mode::Async {
            concurrency: self.concurrency,
        }
    }

    fn check_input(&self, _action: &str, _input: &Value) -> Result<(), String> {
        Err("action: is only for the tasks of tenants' workflows; `http` calls any URL".to_owned())
    }

    async fn execute(&self, work: Work) -> Outcome {
        match self.call(work) {
            Ok(call) => self.http.execute(call).await,
            Err(failure) => Outcome::Failed(*failure),
        }
    }
}
