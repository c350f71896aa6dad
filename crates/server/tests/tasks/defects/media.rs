//! The thirteenth fault of the original: long media are cut into chunks, and no path ever reaches a shell.

use std::path::Path;

use quintet_testkit::modal::Answer;
use serde_json::{Value, json};

use super::tasks::{House, Site};

/// Silence: 16 bits, mono, 8 kHz.
fn silence(path: &Path, seconds: u32) {
    let (rate, data) = (8_000_u32, 8_000 * 2 * seconds);
    let mut bytes = Vec::with_capacity(44 + data as usize);
    bytes.extend_from_slice(b"RIFF");
    bytes.extend((36 + data).to_le_bytes());
    bytes.extend_from_slice(b"WAVEfmt ");
    bytes.extend(16_u32.to_le_bytes());
    for short in [1_u16, 1] {
        bytes.extend(short.to_le_bytes());
    }
    bytes.extend(rate.to_le_bytes());
    bytes.extend((rate * 2).to_le_bytes());
    for short in [2_u16, 16] {
        bytes.extend(short.to_le_bytes());
    }
    bytes.extend_from_slice(b"data");
    bytes.extend(data.to_le_bytes());
    bytes.resize(44 + data as usize, 0);
    std::fs::write(path, bytes).expect("a file of silence");
}

/// A server that cuts what is transcribed, and the folder of its media.
fn studio(rule: Value) -> (House, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("folder");
    let house = Site::default()
        .section("media", json!({ "dir": folder.path() }))
        .tasks(json!({ "chunking": { "audio.transcribe": rule } }))
        .open();
    (house, folder)
}

fn cut_by_ffmpeg() -> Value {
    json!({ "input_field": "audio_path", "size": "3s", "overlap": "1s", "merge": "concat_segments", "split": "ffmpeg" })
}

/// The chunks that the backend was told of, by their number.
fn chunks(house: &House) -> Vec<Value> {
    let mut payloads = house.payloads("audio.transcribe");
    payloads.sort_by_key(|payload| payload["_chunk"]["index"].as_u64());
    payloads
}

#[test]
fn a_long_recording_reaches_the_backend_in_chunks_and_comes_back_as_one() {
    let (house, folder) = studio(cut_by_ffmpeg());
    silence(&folder.path().join("long.wav"), 10);
    let heard = json!({ "text": "said", "segments": [
        { "start": 0.2, "end": 0.6, "text": "a" }, { "start": 2.2, "end": 2.6, "text": "b" },
    ] });
    house.modal.teach("audio.transcribe", Answer::Result(heard));
    let id = house.submit(&json!({
        "type": "audio.transcribe", "payload": { "audio_path": "long.wav", "language": "sv" },
    }));
    let done = house.completed(&id);
    let chunks = chunks(&house);
    let count = chunks.len();
    assert!(count >= 4, "{chunks:?}");
    let mut paths = std::collections::BTreeSet::new();
    for (n, payload) in chunks.iter().enumerate() {
        assert_eq!(
            (&payload["_chunk"]["index"], &payload["language"]),
            (&json!(n), &json!("sv"))
        );
        paths.insert(payload["audio_path"].as_str().expect("a path").to_owned());
    }
    assert_eq!(paths.len(), count, "each chunk is a file of its own");
    assert_eq!(chunks[0]["_chunk"]["start"].as_f64(), Some(0.0));
    let end = chunks[count - 1]["_chunk"]["end"].as_f64().expect("an end");
    assert!((end - 10.0).abs() < 0.1, "{end}");
    // A chunk begins two seconds after the one before it: what is said at 2.2 is heard in both, and told once.
    let segments = done["result"]["segments"].as_array().expect("segments").clone();
    assert_eq!(segments.len(), count + 1, "{segments:?}");
    let starts: Vec<_> = segments.iter().map(|segment| segment["start"].as_f64()).collect();
    assert!(starts.is_sorted() && starts[0] == Some(0.2), "{starts:?}");
    assert!(
        done["result"]["text"]
            .as_str()
            .is_some_and(|text| text.contains("said"))
    );
}

#[test]
fn a_short_recording_is_left_whole() {
    let (house, folder) = studio(cut_by_ffmpeg());
    silence(&folder.path().join("short.wav"), 4);
    let payload = json!({ "audio_path": "short.wav" });
    house.completed(&house.submit(&json!({ "type": "audio.transcribe", "payload": payload })));
    let calls = house.payloads("audio.transcribe");
    assert_eq!(calls.len(), 1);
    assert!(calls[0].get("_chunk").is_none(), "{calls:?}");
}

#[test]
fn a_backend_that_cuts_by_itself_is_told_which_part_it_is_about() {
    let (house, _folder) = studio(json!({ "input_field": "url", "size": "4s", "overlap": "0s", "merge": "array" }));
    let payload = json!({ "url": "https://example.com/long.mp3", "duration": 10 });
    let done = house.completed(&house.submit(&json!({ "type": "audio.transcribe", "payload": payload })));
    let parts: Vec<_> = chunks(&house)
        .iter()
        .map(|payload| {
            assert_eq!(payload["url"], "https://example.com/long.mp3");
            (payload["_chunk"]["start"].as_f64(), payload["_chunk"]["end"].as_f64())
        })
        .collect();
    assert_eq!(parts[0].0, Some(0.0));
    assert_eq!(parts[parts.len() - 1].1, Some(10.0));
    let results = done["result"].as_array().expect("a list").clone();
    assert_eq!(results.len(), parts.len());
    assert!(results.len() >= 3, "{results:?}");
    assert!(
        results
            .iter()
            .enumerate()
            .all(|(n, result)| result["_chunk"]["index"] == n),
        "{results:?}"
    );
}

#[test]
fn a_path_is_never_a_command_and_never_leads_out_of_its_folder() {
    let (house, folder) = studio(cut_by_ffmpeg());
    let nasty = "-i\"; touch pwned; $(touch pwned) `touch pwned` #.wav";
    silence(&folder.path().join(nasty), 10);
    let heard = json!({ "text": "said" });
    house.modal.teach("audio.transcribe", Answer::Result(heard));
    let submit = |path: &str| {
        let payload = json!({ "audio_path": path });
        house.submit(&json!({ "type": "audio.transcribe", "payload": payload, "retry": { "attempts": 1 } }))
    };
    house.completed(&submit(nasty));
    assert!(house.count("audio.transcribe") >= 4);
    let outside = house.folder().join("outside.wav");
    silence(&outside, 10);
    let before = house.count("audio.transcribe");
    for path in [
        "/etc/passwd",
        "../outside.wav",
        outside.to_str().expect("text"),
        "http://127.0.0.1:1/x.wav",
    ] {
        let ended = house.ended(&submit(path));
        assert_eq!(ended["status"], "failed", "{path}: {ended}");
    }
    assert_eq!(house.count("audio.transcribe"), before);
    for place in [folder.path(), house.folder(), Path::new(".")] {
        assert!(!place.join("pwned").exists(), "{}", place.display());
    }
}
