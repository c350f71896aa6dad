//! Opening: what the server must be, before anything is written to it.

use deadpool_postgres::{Manager, ManagerConfig, Pool, RecyclingMethod, Runtime};
use quintet_store::StoreError;
use tokio_postgres::{Client, Config};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::error::{self, Fault, Result, Verdict};
use crate::migrate;
use crate::options::{Options, Pooler};
use crate::sql;
use crate::wall::{self, Wall};

/// The oldest major version that has what the statements use.
const OLDEST: i32 = 12;

pub fn pool(config: Config, tls: MakeRustlsConnect, options: &Options) -> Result<Pool, StoreError> {
    let recycling_method = RecyclingMethod::Fast;
    let manager = Manager::from_config(config, tls, ManagerConfig { recycling_method });
    let pool = Pool::builder(manager)
        .max_size(options.pool_size.max(1))
        .wait_timeout(Some(options.checkout_timeout))
        .create_timeout(Some(options.connect_timeout))
        .recycle_timeout(Some(options.connect_timeout))
        .runtime(Runtime::Tokio1)
        .build();
    pool.map_err(|error| StoreError::Internal(error.to_string()))
}

/// Looks at the server, brings the schema up to date, and sees how namespaces can be kept apart; also says how to leave
/// one.
pub async fn prepare(pool: &Pool, options: &Options) -> Result<(Wall, String)> {
    let first = pool
        .get()
        .await
        .map_err(|error| at_connect(Fault::Pool(error), options))?;
    refuse_unfit(&first).await?;
    if options.pooler == Pooler::None {
        refuse_pooler(&first, pool).await?;
    }
    let prepared = async {
        migrate::migrate(&first).await?;
        let wall = wall::raise(&first, options.row_security).await?;
        Ok((wall, wall::leaving(&first).await?))
    };
    let prepared = prepared.await;
    if prepared.is_err() {
        // With whatever is open on it.
        drop(deadpool_postgres::Object::take(first));
    }
    prepared
}

/// The version of the schema, if there is one; changes nothing.
pub async fn version(pool: &Pool, options: &Options) -> Result<Option<u32>> {
    let client = pool
        .get()
        .await
        .map_err(|error| at_connect(Fault::Pool(error), options))?;
    migrate::found(&client).await
}

/// A pooler may refuse a session that is to be set up before anything else is said.
fn at_connect(fault: Fault, options: &Options) -> Fault {
    let text = fault.to_string();
    let about_setup = text.contains("unsupported startup parameter");
    if options.pooler == Pooler::None && about_setup && fault.verdict() == Some(Verdict::Away) {
        return Fault::Store(StoreError::Refused(error::behind_a_pooler(&text)));
    }
    fault
}

async fn refuse_unfit(client: &Client) -> Result<()> {
    let row = client.query_typed_one(sql::STATUS_SERVER.text, &[]).await?;
    let (version, encoding, read_only): (i32, &str, bool) = (row.get(0), row.get(1), row.get(2));
    let name: &str = row.get(3);
    let refused = |sentence: String| Err(Fault::Store(StoreError::Refused(sentence)));
    if version / 10_000 < OLDEST {
        let major = version / 10_000;
        return refused(format!(
            "the server is PostgreSQL {major} and Quintet needs {OLDEST} or newer: upgrade it"
        ));
    }
    if encoding != "UTF8" {
        return refused(format!(
            "the database {name} has the encoding {encoding}: create one with ENCODING 'UTF8'"
        ));
    }
    // What comes out of waiting for a row is written for this level alone.
    let isolation: &str = row.get(6);
    if isolation != "read committed" {
        return refused(format!(
            "the database {name} has the isolation level {isolation} by default: set default_transaction_isolation to \
             'read committed' for it or for the user"
        ));
    }
    if read_only {
        return Err(Fault::Store(StoreError::Unavailable(format!(
            "the database {name} accepts no writes: its server is a standby, or default_transaction_read_only is on; let \
             the URL lead to the primary"
        ))));
    }
    Ok(())
}

/// Two connections to a server are two sessions, and each stays the same. While a transaction holds one, a pooler gives
/// the other connection another session, or has given both the same one.
async fn refuse_pooler(first: &Client, pool: &Pool) -> Result<()> {
    if pool.status().max_size < 2 {
        return Ok(());
    }
    let second = pool.get().await.map_err(Fault::Pool)?;
    let before = process(first).await?;
    second.batch_execute("BEGIN").await?;
    let other = process(&second).await;
    let after = process(first).await;
    second.batch_execute("ROLLBACK").await?;
    if other? == before || after? != before {
        let sign = "two connections share one session";
        return Err(Fault::Store(StoreError::Refused(error::behind_a_pooler(sign))));
    }
    Ok(())
}

async fn process(client: &Client) -> Result<i32> {
    Ok(client.query_typed_one(sql::STATUS_SERVER.text, &[]).await?.get(4))
}
