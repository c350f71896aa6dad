//! The second wall between namespaces: row-level security.
//!
//! The first wall is a condition in every statement that speaks of one namespace. A condition can be forgotten, so behind it
//! stands the server: such a statement is sent by the role `quintet_tenant`, which owns nothing and logs in nowhere, in a
//! transaction that says which namespace it is for, and the tables keep every row of another one from it. Role and namespace
//! end with the transaction, so it does not matter whose session it is, and they travel in front of the statement, so that
//! they cost no waiting (`within`). To be a superuser does not help: the policies are asked for the role of the moment.
//!
//! What the engine does for all namespaces at once, above all a commit, goes by the role that logged in. It sees everything,
//! because a policy on each table says so: row-level security is forced, so that not even the owner passes without one.
//! Where there is no policy there are no rows, so a user whom none names is told at the start, and not shown an empty store.
//!
//! Policies belong to the schema and are always there (`0005_row_security.sql`, `wall/gaps`). The role belongs to the server
//! and not every user may make one; so whether the wall is used is decided at each start, by each node for itself.

pub mod role;
#[cfg(test)]
mod tests;
pub mod within;

use quintet_store::StoreError;
use tokio_postgres::Client;

use crate::error::{Fault, Result, Verdict};
use crate::migrate::LOCK;
use crate::options::RowSecurity;
use crate::sql;

/// Whether statements of one namespace are sent by the role that sees nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wall {
    Up,
    Down,
}

/// Brings the policies up to date, and then the role, as far as that is wanted.
pub async fn raise(client: &Client, wanted: RowSecurity) -> Result<Wall> {
    let mended = mend(client).await;
    refuse_blind(client).await?;
    if wanted == RowSecurity::Off {
        return Ok(Wall::Down);
    }
    // A user who is no owner may find everything in place, and if not, it matters to the wall alone.
    let raised = match mended {
        Ok(()) => role::prepare(client).await,
        Err(fault) => Err(fault),
    };
    let fault = match raised {
        Ok(()) => return Ok(Wall::Up),
        Err(fault) if is_final(&fault) => fault,
        Err(fault) => return Err(fault),
    };
    let user = user(client).await?;
    if wanted == RowSecurity::On {
        return Err(Fault::Store(StoreError::Refused(format!(
            "database.row_level_security is on and cannot be used: {fault}; {}",
            role::remedy(&user)
        ))));
    }
    tracing::warn!(
        "row-level security is not used: {fault}; namespaces are kept apart by the conditions of the statements alone. {}, \
         or set database.row_level_security = \"off\"",
        role::remedy(&user)
    );
    Ok(Wall::Down)
}

/// Whether another try would end the same way.
fn is_final(fault: &Fault) -> bool {
    matches!(fault, Fault::Store(StoreError::Refused(_))) || fault.verdict() == Some(Verdict::Refused)
}

async fn user(client: &Client) -> Result<String> {
    let row = client.query_typed_one(sql::WALL_USER.text, &[]).await?;
    Ok(row.get(0))
}

/// How a transaction takes the role again that its session began with.
pub async fn leaving(client: &Client) -> Result<String> {
    let row = client.query_typed_one(sql::WALL_USER.text, &[]).await?;
    Ok(format!("SET LOCAL ROLE {}", row.get::<_, &str>(1)))
}

/// Inside a transaction that holds the lock: every table gets what it lacks.
pub async fn complete(client: &Client) -> Result<()> {
    for definition in definitions(client, sql::WALL_GAPS.text).await? {
        client.batch_execute(&definition).await?;
    }
    Ok(())
}

/// Tables that a program made which knew of no wall, or that have another owner by now. Usually there are none.
async fn mend(client: &Client) -> Result<()> {
    if definitions(client, sql::WALL_GAPS.text).await?.is_empty() {
        return Ok(());
    }
    let begin = format!("BEGIN; SET LOCAL lock_timeout = '5s'; SELECT pg_catalog.pg_advisory_xact_lock({LOCK})");
    let mended = async {
        client.batch_execute(&begin).await?;
        complete(client).await?;
        Ok(client.batch_execute("COMMIT").await?)
    };
    end(client, mended.await).await
}

/// A failed transaction is ended before anything else is asked.
async fn end<T>(client: &Client, result: Result<T>) -> Result<T> {
    if result.is_err() {
        client.batch_execute("ROLLBACK").await?;
    }
    result
}

async fn definitions(client: &Client, statement: &str) -> Result<Vec<String>> {
    let rows = client.query_typed(statement, &[]).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// To such a user the store would look empty.
async fn refuse_blind(client: &Client) -> Result<()> {
    let rows = client.query_typed(sql::WALL_BLIND.text, &[]).await?;
    let Some(first) = rows.first() else {
        return Ok(());
    };
    let (table, owner, user): (&str, &str, &str) = (first.get(0), first.get(1), first.get(2));
    Err(Fault::Store(StoreError::Refused(format!(
        "row-level security keeps the user {user} from {} tables of Quintet: let {owner} grant its role to {user}, or name \
         {user} in each policy (for instance ALTER POLICY engine ON quintet.{table} TO \"{owner}\", \"{user}\")",
        rows.len()
    ))))
}
