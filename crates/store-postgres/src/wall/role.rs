//! The role that sees one namespace. It belongs to the server and not to the database, so the nodes of several databases may
//! be making it at the same moment: whoever comes second is told so by the server, looks again, and finds it.

use quintet_store::StoreError;
use tokio_postgres::Client;

use super::{definitions, end};
use crate::error::{Fault, Result, Verdict};
use crate::migrate::LOCK;
use crate::sql;

/// As in `wall/enter`.
pub const ROLE: &str = "quintet_tenant";

/// How often somebody may be faster.
const TRIES: usize = 20;

/// Makes the role ready to be taken, and takes it once to see.
pub async fn prepare(client: &Client) -> Result<()> {
    let mut tries = 1;
    loop {
        match attempt(client).await {
            Err(fault) if is_overtaken(&fault) && tries < TRIES => tries += 1,
            other => break other?,
        }
    }
    probe(client).await
}

/// What a person can do about it.
pub fn remedy(user: &str) -> String {
    format!(
        "Let an administrator of the server run: CREATE ROLE {ROLE} NOLOGIN; GRANT {ROLE} TO {user}; and start again \
         as the owner of the schema quintet"
    )
}

/// Another node, maybe of another database, did the same at the same time.
fn is_overtaken(fault: &Fault) -> bool {
    let is_there = |error: &tokio_postgres::Error| {
        error
            .as_db_error()
            .is_some_and(|said| said.code().code() == "42710" || said.message().contains("tuple concurrently"))
    };
    matches!(fault.verdict(), Some(Verdict::Taken | Verdict::Again))
        || matches!(fault, Fault::Postgres(error) if is_there(error))
}

async fn attempt(client: &Client) -> Result<()> {
    let mut missing = Vec::new();
    match found(client).await? {
        None => missing.extend([
            format!("CREATE ROLE {ROLE} NOLOGIN NOINHERIT"),
            format!("GRANT {ROLE} TO SESSION_USER"),
        ]),
        Some(role) => {
            role.refuse_unfit()?;
            missing.extend((!role.is_ours).then(|| format!("GRANT {ROLE} TO SESSION_USER")));
        }
    }
    run(client, &missing).await?;
    run(client, &definitions(client, sql::WALL_GRANTS.text).await?).await
}

struct Role {
    is_ours: bool,
    sees_more: bool,
}

impl Role {
    fn refuse_unfit(&self) -> Result<()> {
        if !self.sees_more {
            return Ok(());
        }
        Err(Fault::Store(StoreError::Refused(format!(
            "the role {ROLE} sees more than one namespace, because it is a superuser, has BYPASSRLS, or is a member of the \
             role that owns the tables: take that from it"
        ))))
    }
}

async fn found(client: &Client) -> Result<Option<Role>> {
    let rows = client.query_typed(sql::WALL_ROLE.text, &[]).await?;
    Ok(rows.first().map(|row| Role {
        is_ours: row.get(0),
        sees_more: row.get(1),
    }))
}

/// In one transaction, one node of a database after the other.
async fn run(client: &Client, definitions: &[String]) -> Result<()> {
    if definitions.is_empty() {
        return Ok(());
    }
    let work = definitions.join("; ");
    let all = format!(
        "BEGIN; SET LOCAL lock_timeout = '5s'; SELECT pg_catalog.pg_advisory_xact_lock({LOCK}); {work}; COMMIT"
    );
    let done = client.batch_execute(&all).await;
    end(client, done.map_err(Fault::from)).await
}

/// Everything may look right and the server still say no.
async fn probe(client: &Client) -> Result<()> {
    let take = format!("BEGIN; SET LOCAL ROLE {ROLE}");
    let probed = async {
        client.batch_execute(&take).await?;
        let row = client.query_typed_one(sql::WALL_HOLDS.text, &[]).await?;
        client.batch_execute("ROLLBACK").await?;
        Ok(row.get::<_, bool>(0) && row.get::<_, &str>(1) == ROLE)
    };
    if end(client, probed.await).await? {
        return Ok(());
    }
    Err(Fault::Store(StoreError::Refused(format!(
        "the server does not keep rows from the role {ROLE}"
    ))))
}
