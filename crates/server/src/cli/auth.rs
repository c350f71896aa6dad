//! `quintet auth`: who one is to the server, and the keys that it keeps.

use std::process::ExitCode;

use comfy_table::Cell;
use quintet_client::{Auth, Key, Me, NewKey};

use super::connect::ServerArgs;
use super::output::{print_json, print_line, print_table, status_cell};

/// Keys that the server keeps, and who one is to it
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    server: ServerArgs,
    /// Print JSON
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Show who one is to the server, and what one may do
    Whoami,
    /// Make, list, replace and revoke keys
    Keys {
        #[command(subcommand)]
        verb: KeyVerb,
    },
}

#[derive(Debug, clap::Subcommand)]
enum KeyVerb {
    /// Make a key; prints it, once
    Create(Box<Create>),
    /// List them
    List,
    /// Show one's record
    #[command(alias = "show")]
    Get {
        /// Its id
        id: String,
    },
    /// End one, at once
    Revoke {
        /// Its id
        id: String,
    },
    /// Make one with the same rights in place of another; prints it, once
    Rotate {
        /// The old one's id
        id: String,
        /// How long the old one goes on, such as 24h; it ends at once where nothing is said
        #[arg(long, value_name = "TIME")]
        grace: Option<String>,
    },
}

#[derive(Debug, clap::Args)]
struct Create {
    /// Who uses it
    name: String,
    /// What it may do: viewer, operator, author, worker, admin; several are divided by commas
    #[arg(long = "role", value_name = "ROLE", value_delimiter = ',')]
    roles: Vec<String>,
    /// What it may do beside that: names such as tasks:read and tasks:*
    #[arg(long = "permission", value_name = "NAME", value_delimiter = ',')]
    permissions: Vec<String>,
    /// Whose workflows and runs it sees, `*` is everybody's [default: one's own]
    #[arg(long)]
    namespace: Option<String>,
    /// Services and queues that a worker with it may serve
    #[arg(long = "queue", value_name = "NAME", value_delimiter = ',')]
    queues: Vec<String>,
    /// How long it is valid, such as 90d; for ever where nothing is said
    #[arg(long, value_name = "TIME")]
    expires_in: Option<String>,
}

impl Create {
    fn into_new(self) -> NewKey {
        NewKey {
            name: self.name,
            namespace: self.namespace,
            roles: self.roles,
            permissions: self.permissions,
            queues: Some(self.queues).filter(|queues| !queues.is_empty()),
            expires_in: self.expires_in,
        }
    }
}

/// Carries the command out.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let (client, json) = (args.server.client()?, args.json);
    let auth = client.auth();
    match args.verb {
        Verb::Whoami => whoami(&auth.me().await?, json)?,
        Verb::Keys { verb } => keys(auth, verb, json).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn keys(auth: Auth<'_>, verb: KeyVerb, json: bool) -> anyhow::Result<()> {
    match verb {
        KeyVerb::Create(create) => fresh(&auth.create(&create.into_new()).await?, json),
        KeyVerb::List => list(&auth.all().await?, json),
        KeyVerb::Get { id } => show(&auth.get(&id).await?, json),
        KeyVerb::Rotate { id, grace } => fresh(&auth.rotate(&id, grace.as_deref()).await?, json),
        KeyVerb::Revoke { id } => {
            let revoked = auth.revoke(&id).await?;
            if json {
                return print_json(&revoked);
            }
            print_line(&format!("{} ({}) is revoked", revoked.id, revoked.name))
        }
    }
}

fn whoami(me: &Me, json: bool) -> anyhow::Result<()> {
    if json {
        return print_json(me);
    }
    print_line(&format!("name         {}", me.name))?;
    print_line(&format!("known by     {}", me.credential))?;
    print_line(&format!("namespace    {} (of this request: {})", me.home, me.namespace))?;
    print_line(&format!("roles        {}", me.roles.join(", ")))?;
    print_line(&format!("permissions  {}", me.permissions.join(", ")))
}

/// The key stands alone on its line, so that a script can take the first line.
fn fresh(key: &Key, json: bool) -> anyhow::Result<()> {
    if json {
        return print_json(key);
    }
    print_line(key.key.as_deref().unwrap_or_default())?;
    eprintln!("The key {} above is not shown again.", key.id);
    Ok(())
}

fn list(keys: &[Key], json: bool) -> anyhow::Result<()> {
    if json {
        return print_json(&keys);
    }
    let rows = keys.iter().map(|key| {
        vec![
            Cell::new(&key.id),
            Cell::new(&key.name),
            Cell::new(&key.namespace),
            Cell::new(granted(key)),
            status_cell(&key.state),
            Cell::new(key.expires_at.as_deref().unwrap_or("never")),
            Cell::new(key.last_used_at.as_deref().unwrap_or("never")),
        ]
    });
    let heading = ["ID", "NAME", "NAMESPACE", "MAY", "STATE", "EXPIRES", "LAST USED"];
    print_table(&heading, rows.collect(), "no keys")
}

fn granted(key: &Key) -> String {
    [key.roles.as_slice(), key.permissions.as_slice()].concat().join(", ")
}

fn show(key: &Key, json: bool) -> anyhow::Result<()> {
    if json {
        return print_json(key);
    }
    for (name, value) in [
        ("key", key.id.as_str()),
        ("name", &key.name),
        ("namespace", &key.namespace),
        ("may", &granted(key)),
        ("state", &key.state),
        ("expires", key.expires_at.as_deref().unwrap_or("never")),
        ("last used", key.last_used_at.as_deref().unwrap_or("never")),
    ] {
        print_line(&format!("{name:<9} {value}"))?;
    }
    Ok(())
}
