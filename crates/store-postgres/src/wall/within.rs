//! Statements of one namespace.
//!
//! With the wall up a transaction is put around them, whose beginning names the role, the namespace and the runs whose
//! histories are asked for. All of it is one flight, so the caller waits as long as for one statement.

use std::fmt::Write;

use quintet_core::id::RunId;

use crate::codec::Text;
use crate::error::{Fault, Result};
use crate::read::status::{COUNTING, PATIENCE};
use crate::session::{Answer, BEGIN, COMMIT, Database, Param, Step};
use crate::sql::{self, Statement};
use crate::wall::Wall;
use crate::wall::role::ROLE;

/// The database as one namespace sees it.
pub struct Within<'a> {
    database: &'a Database,
    namespace: Text<'a>,
    /// The histories that are to be seen, as an array in PostgreSQL's writing, or nothing.
    runs: String,
    begin: Step<'static>,
    /// Beginning, role and settings in one text, if the name can be written into one.
    opening: Option<String>,
}

impl Database {
    /// For statements of a namespace.
    pub fn within<'a>(&'a self, namespace: &'a str) -> Within<'a> {
        Within::new(self, namespace, String::new(), BEGIN)
    }

    /// For statements of a namespace that ask for the histories of these runs too.
    pub fn within_runs<'a>(&'a self, namespace: &'a str, runs: &[RunId]) -> Within<'a> {
        let mut array = String::from("{");
        for run in runs {
            let comma = if array.len() > 1 { "," } else { "" };
            write!(array, "{comma}{:032x}", run.bits()).expect("a string takes everything");
        }
        array.push('}');
        Within::new(self, namespace, array, BEGIN)
    }
}

impl<'a> Within<'a> {
    fn new(database: &'a Database, namespace: &'a str, runs: String, begin: Step<'static>) -> Self {
        let is_up = database.wall == Wall::Up;
        let opening = match &begin {
            Step::Plain(begin) if is_up && is_plain(namespace) => {
                let mut text = format!("{begin}; SET LOCAL ROLE {ROLE}; SET LOCAL quintet.namespace = '{namespace}'");
                if !runs.is_empty() {
                    write!(text, "; SET LOCAL quintet.runs = '{runs}'").expect("a string takes everything");
                }
                Some(text)
            }
            _ => None,
        };
        Self {
            database,
            namespace: Text(namespace),
            runs,
            begin,
            opening,
        }
    }

    /// The beginning of a transaction, to be sent in front of its first statement.
    pub fn begin(&self) -> Vec<Step<'_>> {
        match (&self.opening, self.database.wall) {
            (Some(opening), _) => vec![Step::Plain(opening)],
            (None, Wall::Down) => vec![self.begin.clone()],
            (None, Wall::Up) => vec![
                self.begin.clone(),
                Step::Run(&sql::WALL_ENTER, vec![&self.namespace, &self.runs]),
            ],
        }
    }

    /// In the middle of a transaction: the rest is the engine's.
    pub fn leave(&self) -> Option<Step<'_>> {
        (self.database.wall == Wall::Up).then_some(Step::Plain(&self.database.leave))
    }

    /// A whole transaction; answers its statements alone.
    pub async fn transaction(&self, statements: &[Step<'_>]) -> Result<Vec<Answer>> {
        let mut steps = self.begin();
        let before = steps.len();
        steps.extend_from_slice(statements);
        steps.push(COMMIT);
        let mut answers = self.database.flight(&steps).await?;
        answers.pop();
        Ok(answers.split_off(before))
    }

    /// Statements that may be of one transaction and need not.
    pub async fn flight(&self, statements: &[Step<'_>]) -> Result<Vec<Answer>> {
        match self.database.wall {
            Wall::Up => self.transaction(statements).await,
            Wall::Down => self.database.flight(statements).await,
        }
    }

    /// One statement.
    pub async fn run(&self, statement: &'static Statement, params: &[Param<'_>]) -> Result<Answer> {
        let mut answers = self.flight(&[Step::Run(statement, params.to_vec())]).await?;
        Ok(answers.pop().unwrap_or_default())
    }

    /// One statement that may be asked again, as [`Database::read`].
    pub async fn read(&self, statement: &'static Statement, params: &[Param<'_>]) -> Result<Answer> {
        match self.run(statement, params).await {
            Err(Fault::Postgres(error)) if error.is_closed() => self.run(statement, params).await,
            other => other,
        }
    }

    /// A statement that looks at very many rows.
    pub async fn count(&self, statement: Step<'_>) -> Result<Answer> {
        let counting = Self::new(self.database, self.namespace.0, String::new(), COUNTING);
        let mut steps = counting.begin();
        steps.extend([statement, COMMIT]);
        let mut session = self.database.session().await?.with_patience(PATIENCE);
        let mut answers = session.flight(&steps).await?;
        Ok(answers.swap_remove(steps.len() - 2))
    }
}

/// Names as they usually are. Others travel as a parameter, which costs one message more.
fn is_plain(namespace: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    namespace.len() <= 63 && namespace.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_name_that_can_end_no_text_is_written_into_one() {
        for plain in ["default", "Team-7.blue_green", ""] {
            assert!(is_plain(plain), "{plain}");
        }
        let long = "a".repeat(64);
        for odd in ["it's", "a\\", "a b", "ä", "a;b", "a\u{0}", "$1", &long] {
            assert!(!is_plain(odd), "{odd}");
        }
    }
}
