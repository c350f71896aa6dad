//! What an entry says, before it has its place in the chain.

use std::sync::Arc;

use quintet_core::time::Time;
use serde_json::{Map, Value};

/// How the request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It was carried out.
    Done,
    /// It was not permitted.
    Refused,
    /// The server could not do it, or does not know whether it did.
    Failed,
    /// The client had gone before there was an answer; it may have been carried out.
    Abandoned,
}

impl Outcome {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::Abandoned => "abandoned",
        }
    }

    /// The one of this name.
    pub fn parse(text: &str) -> Option<Self> {
        let all = [Self::Done, Self::Refused, Self::Failed, Self::Abandoned];
        all.into_iter().find(|outcome| outcome.as_str() == text)
    }
}

/// One request.
#[derive(Debug, Clone)]
pub(crate) struct Draft {
    pub at: Time,
    /// The name of whoever asked.
    pub actor: Arc<str>,
    /// By what it was recognised; none where nobody needs a key, or none was shown.
    pub credential: Option<String>,
    /// Whose objects it was about.
    pub namespace: Arc<str>,
    /// Where it came from.
    pub client: String,
    pub request_id: String,
    /// What was asked for, in one word.
    pub action: String,
    /// Method and path with its parameters' names.
    pub route: String,
    /// The path's parameters.
    pub object: Map<String, Value>,
    /// The id of what was made.
    pub created: Option<String>,
    pub outcome: Outcome,
    /// None where there was no answer.
    pub status: Option<u16>,
    /// Refused requests like this one that were left out since the last one noted.
    pub repeated: u64,
}

impl Draft {
    /// As fields of an entry; what is not there is left out.
    pub fn fields(&self, node: &str) -> Map<String, Value> {
        let mut fields = Map::new();
        let mut put = |name: &str, value: Value| drop(fields.insert(name.to_owned(), value));
        let at = jiff::Timestamp::from_microsecond(self.at.0).unwrap_or_default();
        put("action", self.action.as_str().into());
        put("actor", (*self.actor).into());
        put("at", at.to_string().into());
        put("client", self.client.as_str().into());
        put("namespace", (*self.namespace).into());
        put("node", node.into());
        put("outcome", self.outcome.as_str().into());
        put("request_id", self.request_id.as_str().into());
        put("route", self.route.as_str().into());
        if let Some(credential) = &self.credential {
            put("credential", credential.as_str().into());
        }
        if !self.object.is_empty() {
            put("object", self.object.clone().into());
        }
        if let Some(created) = &self.created {
            put("created", created.as_str().into());
        }
        if let Some(status) = self.status {
            put("status", status.into());
        }
        if self.repeated > 0 {
            put("repeated", self.repeated.into());
        }
        fields
    }

    /// For the log, where the trail has no room.
    pub fn as_text(&self) -> String {
        Value::Object(self.fields("")).to_string()
    }
}
