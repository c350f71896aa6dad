//! Opening a store to look after it. Unlike a server, these commands also open one that a move into it is not over with.

use std::path::Path;

use quintet_store::Store;
use quintet_store::transfer::Portable;
use quintet_store_postgres::PostgresStore;
use quintet_store_sqlite::{Options, SqliteStore};

use crate::app::postgres_options;
use crate::cli::document::BadInput;
use crate::config::{Config, PostgresUrl, StoreUrl};

/// What is to become of a store that is not there, or older than the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// It is made.
    Made,
    /// It must be there, and is brought up to date.
    UpToDate,
    /// It must be there, and a database that nodes of an older program may share keeps its schema.
    AsItIs,
}

/// A store of either kind.
pub enum Opened {
    Sqlite(SqliteStore),
    Postgres(PostgresStore),
}

impl Opened {
    pub async fn open(url: &StoreUrl, config: &Config, wanted: Wanted) -> anyhow::Result<Self> {
        match url {
            StoreUrl::Sqlite(path) => Ok(Self::Sqlite(embedded(path, wanted).await?)),
            StoreUrl::Postgres(url) => Ok(Self::Postgres(shared(url, config, wanted).await?)),
            StoreUrl::Memory => Err(BadInput::new("a store in memory is gone when its server ends").into()),
        }
    }

    pub fn store(&self) -> &dyn Store {
        match self {
            Self::Sqlite(store) => store,
            Self::Postgres(store) => store,
        }
    }

    pub fn portable(&self) -> &dyn Portable {
        match self {
            Self::Sqlite(store) => store,
            Self::Postgres(store) => store,
        }
    }
}

fn absent(place: &dyn std::fmt::Display) -> anyhow::Error {
    let message = format!("there is no store at {place}; `quintet db init` makes one, and so does `quintet serve`");
    BadInput::new(message).into()
}

async fn embedded(path: &Path, wanted: Wanted) -> anyhow::Result<SqliteStore> {
    if wanted != Wanted::Made && !path.exists() {
        return Err(absent(&path.display()));
    }
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder)?;
    }
    let path = path.to_owned();
    let open = move || SqliteStore::open_for_transfer(&path, Options::default());
    Ok(tokio::task::spawn_blocking(open).await??)
}

async fn shared(url: &PostgresUrl, config: &Config, wanted: Wanted) -> anyhow::Result<PostgresStore> {
    let options = postgres_options(&config.database);
    if wanted != Wanted::Made {
        let found = PostgresStore::schema_version(url.reveal(), &options).await?;
        let found = found.ok_or_else(|| absent(url))?;
        let known = quintet_store_postgres::SCHEMA;
        if wanted == Wanted::AsItIs && found < known {
            anyhow::bail!(
                "{url} has schema version {found} and this program has {known}: `quintet db migrate` brings it up to \
                 date, and so does the start of a node"
            );
        }
    }
    Ok(PostgresStore::open_for_transfer(url.reveal(), options).await?)
}
