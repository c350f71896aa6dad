//! `ffprobe` and `ffmpeg`, called without a shell and without any name of a file: the medium is their standard input, the
//! chunk their standard output, both open already. They open these anew by way of `/dev`, and so can seek in them.
//!
//! What they may do is said in their arguments. `-protocol_whitelist file`: nothing from the network. `-format_whitelist`:
//! containers that hold their own content; playlists, manifests and lists of images name other files, and are refused.

use std::fs::File;
use std::io::Seek;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use quintet_core::outcome::Failure;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;

use super::chunks::Chunk;
use super::{failed, invalid};

const INPUT: &str = "file:/dev/stdin";
const OUTPUT: &str = "file:/dev/stdout";
const FORMATS: &str = "aac,ac3,aiff,amr,amrnb,amrwb,ape,asf,au,avi,caf,dts,eac3,flac,flv,gsm,matroska,webm,mov,mp4,m4a,\
                       3gp,3g2,mj2,mp3,mpeg,mpegts,ogg,tta,w64,wav,wv";
/// What `ffprobe` says about one number, with plenty of room.
const ANSWER_BYTES: usize = 16 << 10;
/// How much of a program's complaint is repeated.
const COMPLAINT_BYTES: usize = 300;
/// A WAV file that is hardly more than its header.
const EMPTY_BYTES: u64 = 128;

/// The programs.
#[derive(Debug, Clone)]
pub(super) struct Tools {
    pub ffmpeg: PathBuf,
    pub ffprobe: PathBuf,
    pub timeout: Duration,
}

impl Tools {
    /// How long a medium plays.
    pub async fn duration_ms(&self, medium: &File) -> Result<u64, Box<Failure>> {
        let arguments = ["-show_entries", "format=duration", "-of", "json", INPUT];
        let arguments = guarded().chain(arguments.map(str::to_owned));
        let said = self.run(&self.ffprobe, arguments, medium, Stdio::piped()).await?;
        let said: Value = serde_json::from_slice(&said).unwrap_or_default();
        let seconds = said["format"]["duration"]
            .as_str()
            .and_then(|text| text.parse::<f64>().ok());
        let seconds = seconds.filter(|seconds| (0.0..1e9).contains(seconds));
        seconds
            .map(|seconds| (seconds * 1000.0).round() as u64)
            .ok_or_else(|| failed("the medium does not say how long it plays: give payload.duration in seconds"))
    }

    /// Writes a part of a medium's sound: 16 kHz, mono, WAV.
    pub async fn cut(&self, medium: &File, chunk: Chunk, output: &File) -> Result<(), Box<Failure>> {
        let part = [
            "-ss".to_owned(),
            exact(chunk.start_ms),
            "-t".to_owned(),
            exact(chunk.length_ms()),
        ];
        let before = ["-nostdin", "-hide_banner"].map(str::to_owned);
        let sound = [
            "-i",
            INPUT,
            "-map",
            "0:a:0",
            "-vn",
            "-ac",
            "1",
            "-ar",
            "16000",
            "-c:a",
            "pcm_s16le",
            "-f",
            "wav",
            "-y",
            OUTPUT,
        ];
        let arguments = before
            .into_iter()
            .chain(guarded())
            .chain(part)
            .chain(sound.map(str::to_owned));
        let stdout = output.try_clone().map_err(broken)?;
        self.run(&self.ffmpeg, arguments, medium, stdout.into()).await?;
        let length = output.metadata().map_err(broken)?.len();
        if length <= EMPTY_BYTES {
            let start = exact(chunk.start_ms);
            return Err(invalid(format!("the medium has no sound after {start} seconds")));
        }
        Ok(())
    }

    /// Runs a program to its end; it is killed when the time is up, or when nobody waits for it any more.
    async fn run(
        &self,
        program: &Path,
        arguments: impl Iterator<Item = String>,
        medium: &File,
        stdout: Stdio,
    ) -> Result<Vec<u8>, Box<Failure>> {
        let name = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut input = medium.try_clone().map_err(broken)?;
        // Where opening `/dev/stdin` is not opening anew, the place in the file is shared.
        input.rewind().map_err(broken)?;
        let mut command = Command::new(program);
        command
            .args(arguments)
            .stdin(input)
            .stdout(stdout)
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        // Its own settings by environment would be a way around ours.
        command
            .env_clear()
            .envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
        let not_started = |error| failed(format!("{name} cannot be started: {error}"));
        let mut child = command.spawn().map_err(not_started)?;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let run = async {
            let (said, complaint, status) = tokio::join!(
                gather(stdout, ANSWER_BYTES),
                gather(stderr, COMPLAINT_BYTES),
                child.wait()
            );
            let status = status.map_err(broken)?;
            if status.success() {
                return Ok(said);
            }
            let complaint = String::from_utf8_lossy(&complaint).replace(INPUT, "the medium");
            Err(failed(format!("{name} ended with {status}: {}", complaint.trim())))
        };
        match tokio::time::timeout(self.timeout, run).await {
            Ok(result) => result,
            Err(_) => {
                let message = format!("{name} was ended after {} ms", self.timeout.as_millis());
                Err(failed(message))
            }
        }
    }
}

/// What both programs are told first.
fn guarded() -> impl Iterator<Item = String> {
    [
        "-loglevel",
        "error",
        "-protocol_whitelist",
        "file",
        "-format_whitelist",
        FORMATS,
    ]
    .into_iter()
    .map(str::to_owned)
}

fn exact(ms: u64) -> String {
    format!("{}.{:03}", ms / 1000, ms % 1000)
}

fn broken(error: std::io::Error) -> Box<Failure> {
    failed(error.to_string())
}

/// The first bytes of a stream; the rest is read and forgotten, so that whoever writes it goes on.
async fn gather(stream: Option<impl AsyncRead + Unpin>, limit: usize) -> Vec<u8> {
    let (mut gathered, mut buffer) = (Vec::new(), vec![0; 8 << 10]);
    let Some(mut stream) = stream else { return gathered };
    while let Ok(count @ 1..) = stream.read(&mut buffer).await {
        let room = limit.saturating_sub(gathered.len());
        gathered.extend_from_slice(&buffer[..count.min(room)]);
    }
    gathered
}
