//! Opening the store without a server.

use std::path::PathBuf;

use quintet_store::Store;
use quintet_store_sqlite::{Options, SqliteStore};

use super::document::BadInput;
use crate::config::{Config, Sources, StoreUrl};

/// Which store a command works on.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct StoreArgs {
    /// The store, `sqlite:PATH`
    #[arg(long, value_name = "URL", global = true)]
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

/// What is opened, for people.
pub fn describe(args: &StoreArgs) -> Result<String, BadInput> {
    Ok(match args.config()?.store_url().map_err(BadInput::new)? {
        StoreUrl::Sqlite(path) => path.display().to_string(),
        StoreUrl::Memory => "memory".to_owned(),
    })
}

/// Opens the store; one that is not there is made only when that is what is asked for.
pub async fn open(args: &StoreArgs, create: bool) -> anyhow::Result<SqliteStore> {
    let config = args.config()?;
    let StoreUrl::Sqlite(path) = config.store_url().map_err(BadInput::new)? else {
        return Err(BadInput::at("--store", "a store in memory is gone when its server ends").into());
    };
    if !create && !path.exists() {
        let message = format!(
            "there is no store at {}; `quintet db init` makes one, and so does `quintet serve`",
            path.display()
        );
        return Err(BadInput::new(message).into());
    }
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder)?;
    }
    let store = tokio::task::spawn_blocking(move || SqliteStore::open(&path, Options::default())).await??;
    // The first call that needs the schema would find a problem; so that it is found here, make it now.
    store.status().await?;
    Ok(store)
}
