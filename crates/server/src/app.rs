//! What every face and command works with: one engine and its settings.

use std::sync::Arc;

use quintet_engine::Engine;

use crate::config::Config;

/// A running Quintet.
pub struct App {
    /// Runs the work.
    pub engine: Arc<Engine>,
    /// How it was set up.
    pub config: Arc<Config>,
}
