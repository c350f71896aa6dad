//! The hooks of several faces behind one another: each makes its messages, and delivers those that are addressed as its
//! own are.

use std::sync::Arc;

use async_trait::async_trait;
use quintet_core::event::{Event, Meta};
use quintet_core::state::RunState;
use quintet_engine::hooks::{Delivery, DeliveryError, HookSource};
use quintet_store::{OutboxEntry, OutboxWrite};

/// What the engine needs to tell others.
pub type Hooks = (Arc<dyn HookSource>, Arc<dyn Delivery>);

/// Gathers the hooks of the faces.
#[derive(Default)]
pub(crate) struct AllHooks {
    sources: Vec<Arc<dyn HookSource>>,
    deliveries: Vec<(&'static str, Arc<dyn Delivery>)>,
}

impl AllHooks {
    /// Adds those of a face, whose receivers' names begin with `prefix`. Of several that fit the one added first counts,
    /// so a face whose receivers have no prefix in common comes last, with an empty one.
    pub fn add(&mut self, prefix: &'static str, (source, delivery): Hooks) {
        self.sources.push(source);
        self.deliveries.push((prefix, delivery));
    }

    /// All of them as one; `None` when there are none.
    pub fn join(self) -> Option<Hooks> {
        if self.sources.is_empty() {
            return None;
        }
        Some((Arc::new(Sources(self.sources)), Arc::new(Deliveries(self.deliveries))))
    }
}

struct Sources(Vec<Arc<dyn HookSource>>);

impl HookSource for Sources {
    fn messages(&self, state: &RunState, meta: Meta, events: &[Event]) -> Vec<OutboxWrite> {
        let of = |source: &Arc<dyn HookSource>| source.messages(state, meta, events);
        self.0.iter().flat_map(of).collect()
    }
}

struct Deliveries(Vec<(&'static str, Arc<dyn Delivery>)>);

#[async_trait]
impl Delivery for Deliveries {
    async fn deliver(&self, entry: &OutboxEntry) -> Result<(), DeliveryError> {
        let is_for = |(prefix, _): &&(&str, Arc<dyn Delivery>)| entry.target.starts_with(prefix);
        match self.0.iter().find(is_for) {
            Some((_, delivery)) => delivery.deliver(entry).await,
            None => Err(DeliveryError {
                message: format!("no receiver \"{}\" is configured any more", entry.target),
                retryable: false,
                retry_after_ms: None,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use quintet_core::time::Time;

    use super::*;

    /// Delivers, and notes what.
    #[derive(Default)]
    struct Notes(Mutex<Vec<String>>);

    #[async_trait]
    impl Delivery for Notes {
        async fn deliver(&self, entry: &OutboxEntry) -> Result<(), DeliveryError> {
            self.0.lock().unwrap().push(entry.target.to_string());
            Ok(())
        }
    }

    struct Nobody;

    impl HookSource for Nobody {
        fn messages(&self, _state: &RunState, _meta: Meta, _events: &[Event]) -> Vec<OutboxWrite> {
            Vec::new()
        }
    }

    fn to(target: &str) -> OutboxEntry {
        OutboxEntry {
            id: 1,
            target: target.into(),
            key: "k".into(),
            message_id: String::new(),
            body: String::new(),
            attempts: 0,
            created_at: Time(0),
        }
    }

    #[tokio::test]
    async fn each_message_goes_to_the_face_whose_receiver_it_is_for() {
        assert!(AllHooks::default().join().is_none());
        let (tasks, others) = (Arc::new(Notes::default()), Arc::new(Notes::default()));
        let mut hooks = AllHooks::default();
        hooks.add("task.", (Arc::new(Nobody), tasks.clone()));
        hooks.add("memarch", (Arc::new(Nobody), others.clone()));
        let (_, delivery) = hooks.join().expect("two");
        for target in ["task.enqueue", "memarch", "task.webhook:a:80"] {
            delivery.deliver(&to(target)).await.expect("delivered");
        }
        let unknown = delivery.deliver(&to("audit_log")).await.expect_err("nobody");
        assert!(!unknown.retryable && unknown.message.contains("audit_log"), "{unknown}");
        assert_eq!(*tasks.0.lock().unwrap(), ["task.enqueue", "task.webhook:a:80"]);
        assert_eq!(*others.0.lock().unwrap(), ["memarch"]);
    }
}
