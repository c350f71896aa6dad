//! How the programs are called, and what becomes of those that misbehave: stand-ins, written for each test.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use quintet_testkit::patience;
use serde_json::json;

use crate::{Studio, by_backend, by_ffmpeg};

const PATIENCE: Duration = Duration::from_secs(20);

impl Studio {
    /// Puts a script in the place of both programs. It finds `$here`, a folder of its own.
    fn stand_in(&mut self, script: &str) {
        for name in ["ffmpeg", "ffprobe"] {
            let program = self.around.path().join(name);
            // Another process writes it: a file that this one has open could not be run by its own children.
            let mut shell = Command::new("sh")
                .args(["-c", "cat > \"$0\" && chmod +x \"$0\""])
                .arg(&program)
                .stdin(Stdio::piped())
                .spawn()
                .expect("a shell");
            let text = format!("#!/bin/sh\nhere=${{0%/*}}\n{script}\n");
            shell
                .stdin
                .take()
                .expect("a pipe")
                .write_all(text.as_bytes())
                .expect("written");
            assert!(shell.wait().expect("an end").success());
        }
        self.settings.ffmpeg = self.around.path().join("ffmpeg");
        self.settings.ffprobe = self.around.path().join("ffprobe");
    }

    fn noted(&self, name: &str) -> String {
        std::fs::read_to_string(self.around.path().join(name)).expect("a note")
    }

    /// A medium with a name that is a trap for whoever puts it into a command.
    fn medium(&self) -> &'static str {
        let name = "-i $(touch pwned); .wav";
        std::fs::write(self.dir().join(name), "sound").expect("a file");
        name
    }
}

const FORMATS: &str = "aac,ac3,aiff,amr,amrnb,amrwb,ape,asf,au,avi,caf,dts,eac3,flac,flv,gsm,matroska,webm,mov,mp4,m4a,\
                       3gp,3g2,mj2,mp3,mpeg,mpegts,ogg,tta,w64,wav,wv";

#[tokio::test]
async fn the_programs_see_the_file_and_never_its_name() {
    let mut studio = Studio::new();
    studio.stand_in(
        r#"printf '%s\n' "$*" >> "$here/arguments"
           cat /dev/stdin >> "$here/heard"
           env | cut -d= -f1 | sort | tr '\n' ' ' > "$here/environment"
           case $0 in
             *ffprobe) echo '{"format": {"duration": "18.000"}}' ;;
             *) head -c 1000 /dev/zero ;;
           esac"#,
    );
    let name = studio.medium();
    let chunks = studio
        .split(json!({ "audio_path": name }), by_ffmpeg())
        .await
        .expect("chunks");
    assert_eq!(chunks.len(), 2);
    let guards = format!("-loglevel error -protocol_whitelist file -format_whitelist {FORMATS}");
    let cut = |start: &str| {
        format!(
            "-nostdin -hide_banner {guards} -ss {start} -t 10.000 -i file:/dev/stdin -map 0:a:0 -vn -ac 1 -ar 16000 \
             -c:a pcm_s16le -f wav -y file:/dev/stdout\n"
        )
    };
    let measured = format!("{guards} -show_entries format=duration -of json file:/dev/stdin\n");
    let expected = [measured, cut("0.000"), cut("8.000")].concat();
    assert_eq!(studio.noted("arguments"), expected);
    assert_eq!(studio.noted("heard"), "sound".repeat(3));
    // What a shell sets by itself, and the path.
    assert_eq!(studio.noted("environment").trim_end(), "PATH PWD");
}

#[tokio::test]
async fn a_program_that_complains_fails_the_attempt_in_its_words_and_leaves_nothing() {
    let mut studio = Studio::new();
    studio.stand_in("echo 'file:/dev/stdin: Invalid data found' >&2; head -c 100000 /dev/zero >&2; exit 69");
    let payload = json!({ "audio_path": studio.medium(), "duration": 18 });
    let failure = studio.split(payload, by_ffmpeg()).await.expect_err("a failure");
    assert!(
        failure
            .message
            .starts_with("ffmpeg ended with exit status: 69: the medium: Invalid data found"),
        "{failure:?}"
    );
    assert!(failure.message.len() < 500);
    assert_eq!(studio.chunk_files(), Vec::<String>::new());
}

#[tokio::test]
async fn a_program_that_hangs_is_ended() {
    let mut studio = Studio::new();
    studio.stand_in(r#"echo $$ > "$here/pid"; exec tail -f /dev/null"#);
    studio.settings.process_timeout_ms = 300;
    let payload = json!({ "audio_path": studio.medium(), "duration": 18 });
    let failure = studio.split(payload, by_ffmpeg()).await.expect_err("a failure");
    assert_eq!(failure.message, "ffmpeg was ended after 300 ms");
    assert!(has_ended(&studio.noted("pid")));
}

#[tokio::test]
async fn an_attempt_that_is_called_off_takes_its_program_with_it() {
    let mut studio = Studio::new();
    studio.stand_in(r#"echo $$ > "$here/unready"; mv "$here/unready" "$here/pid"; exec tail -f /dev/null"#);
    let payload = json!({ "audio_path": studio.medium(), "duration": 18 });
    let noted = studio.around.path().join("pid");
    let started = tokio::task::spawn_blocking(move || patience::until(PATIENCE, || noted.exists()));
    tokio::select! {
        ended = studio.split(payload, by_ffmpeg()) => panic!("it ended by itself: {ended:?}"),
        started = started => assert!(started.expect("joined"), "it never started"),
    }
    assert!(has_ended(&studio.noted("pid")));
    assert_eq!(studio.chunk_files(), Vec::<String>::new());
}

#[tokio::test]
async fn a_program_that_is_not_there_is_named() {
    let mut studio = Studio::new();
    studio.settings.ffprobe = "no-such-ffprobe".into();
    let failure = studio
        .split(json!({ "audio_path": studio.medium() }), by_backend())
        .await
        .expect_err("a failure");
    assert!(
        failure.message.starts_with("no-such-ffprobe cannot be started: "),
        "{failure:?}"
    );
}

/// Whether a process is gone, or is only waiting to be noticed.
fn has_ended(pid: &str) -> bool {
    let stat = PathBuf::from(format!("/proc/{}/stat", pid.trim()));
    let is_over = || std::fs::read_to_string(&stat).map_or(true, |text| text.contains(") Z "));
    patience::until(PATIENCE, is_over)
}
