//! The bridge in a server that is built without it: there is none, and nobody can ask for one.

use std::sync::Arc;

use quintet_engine::Engine;
use quintet_engine::executor::Executor;
use quintet_executors::bullmq::{BullmqSettings, SettingsError};
use tokio_util::sync::CancellationToken;

use super::super::state::Tasks;

/// What there is none of.
pub(crate) enum Bridge {}

/// Nor of these.
pub(crate) enum Workers {}

impl Bridge {
    pub fn workers(&self) -> Workers {
        match *self {}
    }

    pub fn queues(&self) -> std::iter::Empty<&str> {
        match *self {}
    }
}

impl Executor for Workers {
    fn actions(&self) -> Vec<String> {
        match *self {}
    }
}

/// Says why there is no bridge.
pub(crate) fn bridge(_settings: &BullmqSettings) -> Result<Arc<Bridge>, SettingsError> {
    Err(SettingsError {
        key: "queues".to_owned(),
        message: "this server is built without Redis; build it with the feature `redis`, or bridge no queues"
            .to_owned(),
    })
}

pub(crate) async fn carry(bridge: Arc<Bridge>, _: Arc<Tasks>, _: Arc<Engine>, _: CancellationToken) {
    match *bridge {}
}

pub(crate) fn serve(bridge: &Bridge, _: &Engine, _: impl Fn(&str) -> Option<String>) {
    match *bridge {}
}
