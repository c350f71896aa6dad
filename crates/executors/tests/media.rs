//! Long media: what is handed out instead of them, with the real `ffmpeg`, and with programs that only write down how they
//! are called.

#[path = "media/calls.rs"]
mod calls;
#[path = "media/real.rs"]
mod real;
mod support;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use quintet_core::outcome::{Failure, Outcome, Work};
use quintet_engine::clock::{Clock, SystemClock};
use quintet_engine::executor::Executor;
use quintet_executors::media::{self, ChunkRule, Parts, Script, Settings, Whole};
use serde_json::{Value, json};
use support::work;
use tempfile::TempDir;

/// Takes everything from the input of the step.
struct Told;

impl Script for Told {
    fn split(&self, work: &Work) -> Result<Whole, Box<Failure>> {
        Ok(Whole {
            payload: work.input["payload"].clone(),
            rule: rule(&work.input),
        })
    }

    fn parts(&self, work: &Work) -> Result<Parts, Box<Failure>> {
        let list = |name: &str| work.input[name].as_array().cloned().expect("a list");
        Ok(Parts {
            chunks: list("chunks"),
            results: list("results"),
            rule: rule(&work.input),
        })
    }
}

fn rule(input: &Value) -> ChunkRule {
    serde_json::from_value(input["rule"].clone()).expect("a rule")
}

/// A media folder, and the executors that work in it.
struct Studio {
    around: TempDir,
    settings: Settings,
}

impl Studio {
    fn new() -> Self {
        let around = tempfile::tempdir().expect("a folder");
        let dir = around.path().join("media");
        std::fs::create_dir(&dir).expect("a folder");
        let settings = Settings {
            dir: Some(dir),
            ..Settings::default()
        };
        Self { around, settings }
    }

    fn dir(&self) -> PathBuf {
        self.around.path().join("media")
    }

    fn executor(&self, action: &str) -> Arc<dyn Executor> {
        let (script, clock): (Arc<dyn Script>, Arc<dyn Clock>) = (Arc::new(Told), Arc::new(SystemClock));
        let executors = media::executors(&self.settings, &script, &clock).expect("executors");
        let found = executors.into_iter().find(|executor| executor.actions() == [action]);
        found.expect("an executor of the action")
    }

    async fn split(&self, payload: Value, rule: Value) -> Result<Vec<Value>, Box<Failure>> {
        let input = json!({ "payload": payload, "rule": rule });
        match self.executor(media::SPLIT).execute(work(media::SPLIT, input)).await {
            Outcome::Succeeded(success) => Ok(success.output.as_array().cloned().expect("a list")),
            Outcome::Failed(failure) => Err(Box::new(failure)),
        }
    }

    async fn merge(&self, chunks: &[Value], results: Value, rule: Value) -> Value {
        let input = json!({ "chunks": chunks, "results": results, "rule": rule });
        match self.executor(media::MERGE).execute(work(media::MERGE, input)).await {
            Outcome::Succeeded(success) => success.output.as_ref().clone(),
            Outcome::Failed(failure) => panic!("{failure:?}"),
        }
    }

    /// Files below the folder of chunks.
    fn chunk_files(&self) -> Vec<String> {
        fn below(folder: &Path, found: &mut Vec<String>) {
            for entry in std::fs::read_dir(folder).into_iter().flatten() {
                let path = entry.expect("an entry").path();
                match path.is_dir() {
                    true => below(&path, found),
                    false => found.push(path.display().to_string()),
                }
            }
        }
        let mut found = Vec::new();
        below(&self.dir().join(".chunks"), &mut found);
        found.sort();
        found
    }
}

/// Ten seconds with two in common, read by the backend itself.
fn by_backend() -> Value {
    json!({ "input_field": "audio_path", "size": "10s", "overlap": "2s" })
}

/// The same, cut here.
fn by_ffmpeg() -> Value {
    json!({ "input_field": "audio_path", "size": "10s", "overlap": "2s", "split": "ffmpeg" })
}

#[tokio::test]
async fn a_payload_that_says_its_duration_is_split_without_reading_anything() {
    let mut studio = Studio::new();
    studio.settings.dir = None;
    let payload = json!({ "audio_path": "https://example.com/a.mp3", "duration": 21.5, "language": "en" });
    let chunks = studio.split(payload, by_backend()).await.expect("chunks");
    let expected = |index: u32, start: u32, end: f64| {
        json!({ "audio_path": "https://example.com/a.mp3", "duration": 21.5, "language": "en",
                "_chunk": { "index": index, "start": start, "end": if end.fract() == 0.0 { json!(end as u32) } else { json!(end) } } })
    };
    assert_eq!(
        chunks,
        [expected(0, 0, 10.0), expected(1, 8, 18.0), expected(2, 16, 21.5)]
    );
}

#[tokio::test]
async fn what_is_short_or_names_no_medium_passes_as_it_is() {
    let studio = Studio::new();
    for payload in [
        json!({ "audio_path": "a", "duration": 15 }),
        json!({ "text": "no medium" }),
        json!({ "audio_path": null, "duration": 4000 }),
    ] {
        assert_eq!(studio.split(payload.clone(), by_ffmpeg()).await, Ok(vec![payload]));
    }
}

#[tokio::test]
async fn a_medium_whose_length_cannot_be_found_is_refused_and_told_what_to_give() {
    let with_folder = Studio::new();
    let mut without = Studio::new();
    without.settings.dir = None;
    let refused = |studio: &Studio, payload: Value| {
        let input = json!({ "payload": payload, "rule": by_backend() });
        let split = studio.executor(media::SPLIT);
        async move {
            match split.execute(work(media::SPLIT, input)).await {
                Outcome::Failed(failure) => (failure.message, failure.retryable),
                Outcome::Succeeded(success) => panic!("{success:?}"),
            }
        }
    };
    let unread = "payload.audio_path is not in a folder that this server may read: give payload.duration in seconds";
    let url = json!({ "audio_path": "https://example.com/a.mp3" });
    assert_eq!(refused(&with_folder, url).await, (unread.to_owned(), Some(false)));
    assert_eq!(
        refused(&without, json!({ "audio_path": "a.mp3" })).await,
        (unread.to_owned(), Some(false))
    );
    for (payload, expected) in [
        (
            json!({ "audio_path": 7 }),
            "payload.audio_path must be the path of a file",
        ),
        (
            json!({ "audio_path": "a", "duration": "long" }),
            "payload.duration must be a number of seconds",
        ),
        (
            json!({ "audio_path": "a", "duration": -1 }),
            "payload.duration must be a number of seconds",
        ),
        (
            json!({ "audio_path": "a.mp3" }),
            "payload.audio_path: there is no such file in the media folder",
        ),
        (
            json!({ "audio_path": "a", "duration": 1e8 }),
            "12500000 chunks are too many (up to 10000): set a larger size",
        ),
    ] {
        assert_eq!(refused(&with_folder, payload).await, (expected.to_owned(), Some(false)));
    }
}

#[test]
fn settings_that_cannot_be_worked_with_are_refused() {
    let (script, clock): (Arc<dyn Script>, Arc<dyn Clock>) = (Arc::new(Told), Arc::new(SystemClock));
    let refused = |settings: Settings| {
        media::executors(&settings, &script, &clock)
            .err()
            .expect("refused")
            .to_string()
    };
    let zero = Settings {
        concurrency: 0,
        ..Settings::default()
    };
    assert_eq!(refused(zero), "concurrency must be above 0");
    let missing = Settings {
        dir: Some("/no/such/folder".into()),
        ..Settings::default()
    };
    assert!(refused(missing).starts_with("the media folder /no/such/folder cannot be used: "));
    let cutting: ChunkRule = serde_json::from_value(by_ffmpeg()).expect("a rule");
    let complaint = Settings::default().allow(&cutting).expect_err("nowhere to cut");
    assert_eq!(
        complaint.to_string(),
        "`split: ffmpeg` needs a media folder, and there is none"
    );
    assert!(Studio::new().settings.allow(&cutting).is_ok());
    assert!(toml::from_str::<Settings>("media_dir = '/x'").is_err());
}
