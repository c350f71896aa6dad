//! Which store a command works on without a server.

use std::path::PathBuf;

use super::document::BadInput;
use crate::config::{Config, Sources};

/// Which store a command works on.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct StoreArgs {
    /// The store, `sqlite:PATH` or `postgres://...`
    #[arg(long, visible_alias = "url", value_name = "URL", global = true)]
    pub store: Option<String>,
    /// The folder of the default store
    #[arg(long, value_name = "DIR", global = true)]
    pub data: Option<PathBuf>,
    /// File with settings
    #[arg(long, value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,
}

impl StoreArgs {
    /// The settings that a server with the same flags would have.
    pub fn config(&self) -> Result<Config, BadInput> {
        let data = self.data.as_ref().map(|folder| folder.display().to_string());
        let sources = Sources::of_process(self.config.clone())
            .flag("--store", "store.url", self.store.clone())
            .flag("--data", "data_dir", data);
        Config::load(&sources).map_err(BadInput::new)
    }
}

/// What is opened, for people: without its password.
pub fn describe(args: &StoreArgs) -> Result<String, BadInput> {
    Ok(args.config()?.store_url().map_err(BadInput::new)?.to_string())
}
