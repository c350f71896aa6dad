//! `media.split`: what to hand out instead of a payload.

use std::fs::File;
use std::sync::Arc;

use async_trait::async_trait;
use quintet_core::outcome::{Failure, Outcome, Success, Work};
use quintet_core::time::Time;
use quintet_engine::clock::Clock;
use quintet_engine::executor::{Executor, Mode};
use serde_json::Value;

use super::chunks::{Chunk, check_size, chunks, seconds};
use super::place::Place;
use super::rule::{ChunkRule, SplitBy};
use super::tools::Tools;
use super::{SPLIT, Script, Whole, blocking, failed, invalid};

/// The field of a payload that says how long its medium plays, in seconds.
const DURATION: &str = "duration";

/// The executor.
pub(super) struct Split {
    pub script: Arc<dyn Script>,
    pub place: Option<Place>,
    pub tools: Tools,
    pub clock: Arc<dyn Clock>,
    pub keep_chunks_ms: u64,
    pub concurrency: usize,
}

#[async_trait]
impl Executor for Split {
    fn actions(&self) -> Vec<String> {
        vec![SPLIT.to_owned()]
    }

    fn mode(&self) -> Mode {
        Mode::Async {
            concurrency: self.concurrency,
        }
    }

    async fn execute(&self, work: Work) -> Outcome {
        match self.split(&work).await {
            Ok(payloads) => Outcome::Succeeded(Success {
                output: Arc::new(Value::Array(payloads)),
                ..Success::default()
            }),
            Err(failure) => Outcome::Failed(*failure),
        }
    }
}

impl Split {
    async fn split(&self, work: &Work) -> Result<Vec<Value>, Box<Failure>> {
        let Whole { payload, rule } = self.script.split(work)?;
        let medium = match payload.get(&rule.input_field) {
            // What names no medium has none that could be too long.
            None | Some(Value::Null) => return Ok(vec![payload]),
            Some(medium) => medium.clone(),
        };
        let duration_ms = match given_ms(&payload)? {
            Some(duration_ms) => duration_ms,
            None => {
                let file = self.open(&rule, &medium).await?;
                self.tools.duration_ms(&file).await?
            }
        };
        let Some(chunks) = chunks(duration_ms, &rule)? else {
            return Ok(vec![payload]);
        };
        check_size(&payload, chunks.len())?;
        match rule.split {
            SplitBy::None => Ok(chunks.iter().map(|chunk| chunk.payload(&payload)).collect()),
            SplitBy::Ffmpeg => self.cut(work, &payload, &rule, &medium, chunks).await,
        }
    }

    /// The medium that a payload names, where we may read it.
    async fn open(&self, rule: &ChunkRule, medium: &Value) -> Result<Arc<File>, Box<Failure>> {
        let field = rule.input_field.clone();
        let Some(named) = medium.as_str() else {
            return Err(invalid(format!("payload.{field} must be the path of a file")));
        };
        let Some(place) = self.place.clone().filter(|_| !named.contains("://")) else {
            let message = format!(
                "payload.{field} is not in a folder that this server may read: give payload.{DURATION} in seconds"
            );
            return Err(invalid(message));
        };
        let named = named.to_owned();
        let opened = blocking(move || place.open_file(&field, &named)).await?;
        opened.map(Arc::new)
    }

    async fn cut(
        &self,
        work: &Work,
        payload: &Value,
        rule: &ChunkRule,
        medium: &Value,
        chunks: Vec<Chunk>,
    ) -> Result<Vec<Value>, Box<Failure>> {
        let place = self.place.clone();
        let place = place.ok_or_else(|| invalid("cutting needs a media folder, and there is none"))?;
        let file = self.open(rule, medium).await?;
        self.sweep(&place).await?;
        let named = medium.as_str().unwrap_or_default();
        let mut payloads = Vec::with_capacity(chunks.len());
        for chunk in chunks {
            self.write(&place, work, &file, chunk).await?;
            let mut part = chunk.payload(payload);
            part[&rule.input_field] = place
                .name_of(work.token.run, work.token.node, chunk.index, named)
                .into();
            if part.get(DURATION).is_some() {
                part[DURATION] = seconds(chunk.length_ms());
            }
            payloads.push(part);
        }
        Ok(payloads)
    }

    async fn write(&self, place: &Place, work: &Work, medium: &File, chunk: Chunk) -> Result<(), Box<Failure>> {
        let (place, token) = (place.clone(), work.token);
        let draft = blocking(move || place.draft(token.run, token.node, chunk.index, token.attempt)).await?;
        let (draft, output) = draft?;
        self.tools.cut(medium, chunk, &output).await?;
        let kept = blocking(move || draft.keep(&output, chunk.index)).await?;
        kept.map_err(|error| failed(format!("a chunk cannot be kept: {error}")))
    }

    /// Tasks that failed on their way left their chunks behind.
    async fn sweep(&self, place: &Place) -> Result<(), Box<Failure>> {
        let keep = i64::try_from(self.keep_chunks_ms.saturating_mul(1000)).unwrap_or(i64::MAX);
        let before = Time(self.clock.now().0.saturating_sub(keep));
        let place = place.clone();
        blocking(move || place.sweep(before)).await
    }
}

/// How long the payload says that its medium plays.
fn given_ms(payload: &Value) -> Result<Option<u64>, Box<Failure>> {
    let given = match payload.get(DURATION) {
        None | Some(Value::Null) => return Ok(None),
        Some(given) => given.as_f64(),
    };
    // Longer than that is a number of something else.
    let seconds = given.filter(|seconds| (0.0..1e9).contains(seconds));
    let seconds = seconds.ok_or_else(|| invalid(format!("payload.{DURATION} must be a number of seconds")))?;
    Ok(Some((seconds * 1000.0).round() as u64))
}
