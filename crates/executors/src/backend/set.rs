//! All backends of a node.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future::join_all;
use quintet_core::outcome::{Failure, Token};
use quintet_engine::clock::Clock;
use tokio::sync::watch;

use super::breaker::Circuit;
use super::figures::Health;
use super::member::Member;
use super::settings::{BackendSettings, Rules, SettingsError};
use super::{UNKNOWN_BACKEND, jobs, listing};
use crate::egress::Client;

/// The names that are tried first where an order names no backend.
const FIRST: [&str; 2] = ["modal", "ray"];

/// The backends, in the order in which they are tried.
pub struct Backends {
    pub(super) members: Vec<Arc<Member>>,
    changes: watch::Sender<u64>,
}

impl Backends {
    /// A set by name. Their URLs are the operator's: they are called with connections of their own, behind the limits
    /// of `client`.
    pub fn new(
        settings: &BTreeMap<String, BackendSettings>,
        rules: &Rules,
        client: &Client,
        clock: &Arc<dyn Clock>,
    ) -> Result<Self, SettingsError> {
        let client = client.for_operator();
        let changes = watch::Sender::new(0);
        let mut members = Vec::with_capacity(settings.len());
        for (name, settings) in settings {
            let member = Member::new(
                name,
                settings,
                rules,
                client.clone(),
                Arc::clone(clock),
                changes.clone(),
            );
            let member = member.map_err(|problem| SettingsError {
                name: name.clone(),
                problem,
            })?;
            members.push(Arc::new(member));
        }
        let rank = |name: &str| FIRST.iter().position(|first| *first == name).unwrap_or(FIRST.len());
        members.sort_by_key(|member| (rank(&member.name), Arc::clone(&member.name)));
        Ok(Self { members, changes })
    }

    /// Their names, in the order in which they are tried.
    pub fn names(&self) -> Vec<Arc<str>> {
        self.members.iter().map(|member| Arc::clone(&member.name)).collect()
    }

    /// Names of those that an order can get without naming them, in that order.
    pub fn automatic(&self) -> Vec<Arc<str>> {
        let members = self.members.iter().filter(|member| member.is_automatic());
        members.map(|member| Arc::clone(&member.name)).collect()
    }

    /// Whether nothing is sent to a backend at the moment.
    pub fn is_open(&self, name: &str) -> bool {
        self.find(name).is_some_and(|member| member.circuit() == Circuit::Open)
    }

    /// URLs, without a query, of those that have been healthy.
    pub fn seen(&self) -> Vec<String> {
        self.members
            .iter()
            .filter_map(|member| member.seen())
            .map(str::to_owned)
            .collect()
    }

    /// The backends at these URLs have been healthy before: while they are away, work waits for them.
    pub fn trust<'u>(&self, urls: impl IntoIterator<Item = &'u str>) {
        for url in urls {
            self.members
                .iter()
                .filter(|member| member.url() == url)
                .for_each(|member| member.trust());
        }
    }

    /// Counts changes of circuits, and of which backends have been healthy.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// How all of them are. Nobody is asked for it.
    pub fn describe(&self) -> Vec<Health> {
        self.members.iter().map(|member| member.describe()).collect()
    }

    /// The types of tasks that they list, sorted. What a backend does not tell is left out.
    pub async fn types(&self) -> Vec<String> {
        let lists = join_all(self.members.iter().map(listing::types)).await;
        let mut types: Vec<String> = lists.into_iter().flatten().collect();
        types.sort();
        types.dedup();
        types
    }

    /// The last part of what a Ray job has written.
    ///
    /// # Errors
    /// Why it cannot be told.
    pub async fn logs(&self, backend: &str, submission_id: &str) -> Result<String, Failure> {
        let member = self.find(backend).ok_or_else(|| not_registered(backend))?;
        jobs::logs(member, submission_id).await
    }

    /// Stops the job that an attempt has begun, if it has.
    pub(super) async fn stop_job_of(&self, token: Token) {
        for member in &self.members {
            if let Some(id) = member.jobs.take(token) {
                jobs::stop(member, &id).await;
            }
        }
    }

    pub(super) fn find(&self, name: &str) -> Option<&Arc<Member>> {
        self.members.iter().find(|member| &*member.name == name)
    }
}

pub(super) fn not_registered(name: &str) -> Failure {
    Failure::permanent(UNKNOWN_BACKEND, format!("Backend \"{name}\" not registered"))
}
