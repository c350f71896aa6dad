//! `quintet db`: the store itself, without a server.
//!
//! An embedded store is used by one process at a time, so while a server runs on it these say so and leave it alone. A
//! database is shared: what only looks at it, or brings its schema up to date, does so beside its nodes. Moving a store
//! needs both of them for itself.

mod open;
mod progress;
mod status;
mod transfer;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use self::open::{Opened, Wanted};
use super::document::BadInput;
use super::output::{print_json, print_line};
use super::store::{self, StoreArgs};

/// Look after the store
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    store: StoreArgs,
    /// Print JSON
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Create the store if it is not there
    Init,
    /// Bring it to the schema of this program, as every start does; with --from and --to, the same as `move`
    Migrate {
        /// The store to move
        #[arg(long, value_name = "URL", requires = "to")]
        from: Option<String>,
        /// Where to
        #[arg(long, value_name = "URL", requires = "from")]
        to: Option<String>,
    },
    /// Say what is in it, and what it survives
    Status,
    /// Write a consistent copy of it
    Backup {
        /// A file that does not exist yet
        file: PathBuf,
    },
    /// Copy a whole store into an empty one, and compare them; when it was stopped, the same again goes on
    Move {
        /// The store to move, `sqlite:PATH` or `postgres://...`; it is only read, and nobody may use it meanwhile
        #[arg(long, value_name = "URL")]
        from: String,
        /// Where to: a new file, or a database without a store
        #[arg(long, value_name = "URL")]
        to: String,
    },
}

/// Carries the command out.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let Args { store, json, verb } = args;
    match verb {
        Verb::Init => show(&store, json, Wanted::Made).await,
        Verb::Migrate {
            from: Some(from),
            to: Some(to),
        }
        | Verb::Move { from, to } => transfer::run(&store.config()?, &from, &to, json).await,
        Verb::Migrate { .. } => show(&store, json, Wanted::UpToDate).await,
        Verb::Status => show(&store, json, Wanted::AsItIs).await,
        Verb::Backup { file } => backup(&store, &file).await,
    }
}

async fn open(args: &StoreArgs, wanted: Wanted) -> anyhow::Result<Opened> {
    let config = args.config()?;
    let url = config.store_url().map_err(BadInput::new)?;
    Opened::open(&url, &config, wanted).await
}

/// Opens the store in the way that is wanted, and says what is in it.
async fn show(args: &StoreArgs, json: bool, wanted: Wanted) -> anyhow::Result<ExitCode> {
    let opened = open(args, wanted).await?;
    let figures = status::Figures::of(&opened).await;
    opened.store().close().await?;
    let figures = figures?;
    if json {
        print_json(&figures.json())?;
    } else {
        for line in figures.lines(&store::describe(args)?) {
            print_line(&line)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn backup(args: &StoreArgs, file: &Path) -> anyhow::Result<ExitCode> {
    let opened = open(args, Wanted::AsItIs).await?;
    let written = async {
        opened.portable().origin().await?.refuse_unfinished()?;
        opened.store().backup(file).await
    };
    let written = written.await;
    opened.store().close().await?;
    written?;
    print_line(&format!("wrote {}", file.display()))?;
    Ok(ExitCode::SUCCESS)
}
