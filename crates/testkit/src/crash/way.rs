//! The way from a client to Quintet: to the only server there is, or to one of several equal ones.

use anyhow::Context;
use serde_json::Value;

use crate::http::{Answer, Request, call};
use crate::server::Server;

/// See the module.
pub(crate) trait Way: Sync {
    /// Asks once. An error leaves open whether the request took effect.
    fn ask_once(&self, request: &Request<'_>) -> anyhow::Result<Answered>;

    /// Asks something that may be asked twice, of any server but `not_at` at first, and for as long as there is one
    /// left that may answer.
    fn ask(&self, request: &Request<'_>, not_at: Option<usize>) -> anyhow::Result<Answered>;

    /// Reads.
    fn read(&self, path: &str) -> anyhow::Result<Value> {
        self.ask(&Request::read(path), None)?
            .answer
            .ok()
            .context(path.to_owned())
    }

    /// Reads the items of a page, and the cursor of the next one.
    fn page(&self, path: &str) -> anyhow::Result<(Vec<Value>, Option<String>)> {
        let mut page = self.read(path)?;
        let next = page["next_cursor"].as_str().map(str::to_owned);
        match page["items"].take() {
            Value::Array(items) => Ok((items, next)),
            _ => anyhow::bail!("{path} has no items"),
        }
    }

    /// Starts a run under a key, for the first time or again: the run, and the server that said so.
    fn start(&self, key: &str, workflow: &str) -> anyhow::Result<(String, usize)> {
        with_start(key, workflow, |request| self.ask(request, None))
    }

    /// The same, and takes no for an answer.
    fn start_once(&self, key: &str, workflow: &str) -> anyhow::Result<(String, usize)> {
        with_start(key, workflow, |request| self.ask_once(request))
    }
}

fn with_start(
    key: &str,
    workflow: &str,
    ask: impl FnOnce(&Request<'_>) -> anyhow::Result<Answered>,
) -> anyhow::Result<(String, usize)> {
    let body = serde_json::json!({ "workflow_id": workflow, "context": { "key": key } }).to_string();
    let headers = [("idempotency-key", key)];
    let request = Request {
        headers: &headers,
        ..Request::post("/v1/runs", &body)
    };
    let Answered { server, answer } = ask(&request)?;
    let run = answer.ok()?;
    Ok((run["id"].as_str().context("no id")?.to_owned(), server))
}

/// An answer and the server that gave it.
pub(crate) struct Answered {
    pub server: usize,
    pub answer: Answer,
}

/// The way to the only server: when it does not answer, it is gone.
pub(crate) struct Only {
    pub address: String,
}

impl Only {
    /// The way to this one.
    pub fn to(server: &Server) -> Self {
        let address = server.address.clone();
        Self { address }
    }
}

impl Way for Only {
    fn ask_once(&self, request: &Request<'_>) -> anyhow::Result<Answered> {
        let Request {
            method,
            path,
            headers,
            body,
        } = *request;
        let answer = call(&self.address, method, path, headers, body)?;
        Ok(Answered { server: 0, answer })
    }

    fn ask(&self, request: &Request<'_>, _: Option<usize>) -> anyhow::Result<Answered> {
        self.ask_once(request)
    }
}
