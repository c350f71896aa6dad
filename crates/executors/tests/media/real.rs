//! The real programs.

use std::process::{Command, Stdio};

use quintet_executors::media::FAILED;
use serde_json::{Value, json};

use crate::{Studio, by_backend, by_ffmpeg};

const RATE: usize = 16_000;

/// Runs `ffmpeg` in the media folder.
fn ffmpeg(studio: &Studio, arguments: &[&str]) {
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-loglevel", "error"]).args(arguments);
    let done = command.current_dir(studio.dir()).stdin(Stdio::null()).status();
    let done = done.expect(
        "ffmpeg is not in PATH: on Debian it comes with `apt-get install ffmpeg`, and `cargo xtask test` installs it",
    );
    assert!(done.success(), "{arguments:?}");
}

/// Half a minute that is silent for 8.5 seconds, and then sounds.
fn record(studio: &Studio, name: &str) {
    let sound = "aevalsrc=if(lt(t\\,8.5)\\,0\\,0.5*sin(2*PI*440*t)):d=33:s=44100:c=stereo";
    ffmpeg(studio, &["-f", "lavfi", "-i", sound, &format!("./{name}")]);
}

/// The samples of a WAV file as it is asked of `ffmpeg`: 16 bits, mono, 16 kHz.
fn samples(wave: &[u8]) -> Vec<i16> {
    assert_eq!((&wave[..4], &wave[8..16]), (&b"RIFF"[..], &b"WAVEfmt "[..]));
    let whole = |at: usize| u32::from_le_bytes([wave[at], wave[at + 1], wave[at + 2], wave[at + 3]]) as usize;
    assert_eq!(u16::from_le_bytes([wave[22], wave[23]]), 1, "one channel");
    assert_eq!(whole(24), RATE);
    let data = wave.windows(4).position(|name| name == b"data").expect("data");
    // The length in the header is exact: the program could seek in its output.
    assert_eq!(whole(data + 4), wave.len() - data - 8);
    wave[data + 8..]
        .chunks_exact(2)
        .map(|pair| i16::from_le_bytes([pair[0], pair[1]]))
        .collect()
}

#[tokio::test]
async fn a_recording_is_cut_into_waves_that_cover_it_and_go_after_the_merge() {
    let studio = Studio::new();
    record(&studio, "-talk.m4a");
    let payload = json!({ "audio_path": "-talk.m4a", "language": "en" });
    let chunks = studio.split(payload, by_ffmpeg()).await.expect("chunks");

    let spans: Vec<(f64, f64)> = chunks.iter().map(|chunk| span(&chunk["_chunk"])).collect();
    // The container rounds its duration up to whole packets.
    let end = spans[3].1;
    assert!((33.0..33.1).contains(&end), "{spans:?}");
    assert_eq!(spans, [(0.0, 10.0), (8.0, 18.0), (16.0, 26.0), (24.0, end)]);
    for (chunk, (start, end)) in chunks.iter().zip(spans) {
        let name = chunk["audio_path"].as_str().expect("a path");
        let samples = samples(&std::fs::read(studio.dir().join(name)).expect("a chunk"));
        let seconds = samples.len() as f64 / RATE as f64;
        assert!(
            (seconds - (end - start)).abs() < 0.1,
            "{seconds} seconds from {start} to {end}"
        );
        let loud = samples
            .iter()
            .position(|sample| sample.unsigned_abs() > 1000)
            .expect("a sound");
        let begins = loud as f64 / RATE as f64;
        assert!(
            (begins - (8.5 - start).max(0.0)).abs() < 0.05,
            "chunk from {start}: it sounds after {begins}"
        );
        assert_eq!(chunk["language"], "en");
    }
    assert_eq!(studio.chunk_files().len(), 4);

    let said: Vec<Value> = (0..4).map(|n| json!({ "text": format!("part {n}") })).collect();
    let merged = studio.merge(&chunks, json!(said), by_ffmpeg()).await;
    assert_eq!(merged, json!({ "text": "part 0 part 1 part 2 part 3" }));
    assert!(studio.dir().join("-talk.m4a").is_file() && !studio.dir().join(".chunks/run_").exists());
    assert_eq!(studio.chunk_files(), Vec::<String>::new());
}

fn span(chunk: &Value) -> (f64, f64) {
    let time = |name: &str| chunk[name].as_f64().expect("a time");
    (time("start"), time("end"))
}

#[tokio::test]
async fn a_medium_is_only_measured_where_the_backend_reads_its_part_itself() {
    let studio = Studio::new();
    record(&studio, "talk.ogg");
    let whole = studio.dir().join("talk.ogg").display().to_string();
    for named in ["talk.ogg", &whole] {
        let chunks = studio
            .split(json!({ "audio_path": named }), by_backend())
            .await
            .expect("chunks");
        assert_eq!(chunks.len(), 4);
        assert!(chunks.iter().all(|chunk| chunk["audio_path"] == named));
    }
    assert!(!studio.dir().join(".chunks").exists());
}

#[tokio::test]
async fn chunks_of_a_medium_with_a_whole_path_have_whole_paths() {
    let studio = Studio::new();
    record(&studio, "talk.wav");
    let whole = studio.dir().join("talk.wav").display().to_string();
    let chunks = studio
        .split(json!({ "audio_path": whole, "duration": 33 }), by_ffmpeg())
        .await
        .expect("chunks");
    for chunk in &chunks {
        let name = chunk["audio_path"].as_str().expect("a path");
        assert!(name.starts_with(studio.dir().to_str().expect("text")), "{name}");
        let (start, end) = span(&chunk["_chunk"]);
        assert_eq!(chunk["duration"].as_f64(), Some(end - start));
    }
    // An attempt that is made again writes the same files.
    let again = studio
        .split(json!({ "audio_path": whole, "duration": 33 }), by_ffmpeg())
        .await
        .expect("chunks");
    assert_eq!(again, chunks);
    assert_eq!(studio.chunk_files().len(), 4);
}

#[tokio::test]
async fn a_duration_that_is_not_true_is_noticed() {
    let studio = Studio::new();
    record(&studio, "talk.flac");
    let payload = json!({ "audio_path": "talk.flac", "duration": 100 });
    let failure = studio.split(payload, by_ffmpeg()).await.expect_err("a failure");
    assert_eq!(failure.message, "the medium has no sound after 40.000 seconds");
}

#[tokio::test]
async fn texts_that_name_other_files_are_no_media() {
    let studio = Studio::new();
    record(&studio, "talk.wav");
    ffmpeg(&studio, &["-i", "talk.wav", "-c:a", "aac", "part.ts"]);
    let part = studio.dir().join("part.ts").display().to_string();
    let playlist = format!("#EXTM3U\n#EXT-X-TARGETDURATION:33\n#EXTINF:33,\n{part}\n#EXT-X-ENDLIST\n");
    std::fs::write(studio.dir().join("list.m3u8"), &playlist).expect("a file");
    std::fs::write(studio.dir().join("list.wav"), &playlist).expect("a file");
    std::fs::write(
        studio.dir().join("list.ffconcat"),
        "ffconcat version 1.0\nfile part.ts\n",
    )
    .expect("a file");
    for name in ["list.m3u8", "list.wav", "list.ffconcat"] {
        let failure = studio
            .split(json!({ "audio_path": name }), by_backend())
            .await
            .expect_err(name);
        assert_eq!(failure.kind.as_deref(), Some(FAILED), "{failure:?}");
        assert!(
            failure.message.contains("Invalid data") || failure.message.contains("whitelist"),
            "{failure:?}"
        );
    }
}
