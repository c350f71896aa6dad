//! The folder of media files: what somebody's path leads to in it, and where chunks are put.
//!
//! A path is resolved first, so that links inside the folder work, and what it resolves to must lie in the folder. Then
//! it is opened part by part without following links: what was checked is what is opened, whatever somebody moves in the
//! meantime. Why a path leads nowhere is not told apart: whether a file outside is there is nobody's business.
//!
//! Chunks of a step lie in `.chunks/<run>/<number of the step run>/<index>.wav`. No part of that comes from a payload.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use quintet_core::id::RunId;
use quintet_core::outcome::Failure;
use quintet_core::time::Time;
use rustix::fs::{self, AtFlags, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::{SettingsError, failed, invalid};

const CHUNKS: &str = ".chunks";
const SUFFIX: &str = ".wav";
/// Permissions are the umask's affair: backends may be other users.
const FILE: Mode = Mode::from_raw_mode(0o666);
const FOLDER: Mode = Mode::from_raw_mode(0o777);

/// The folder.
#[derive(Debug, Clone)]
pub(super) struct Place {
    /// As it is written in the settings, made absolute: what payloads say.
    named: PathBuf,
}

/// A chunk's file while it is being written; gone unless it is kept.
#[derive(Debug)]
pub(super) struct Draft {
    folder: OwnedFd,
    name: String,
    kept: bool,
}

impl Place {
    /// The folder must be there.
    pub fn open(dir: &Path) -> Result<Self, SettingsError> {
        let refused = |reason: &str| SettingsError::Folder {
            path: dir.display().to_string(),
            reason: reason.to_owned(),
        };
        let named = std::path::absolute(dir).map_err(|error| refused(&error.to_string()))?;
        if named.to_str().is_none() {
            return Err(refused("its name must be Unicode: payloads hold it as text"));
        }
        let place = Self { named };
        place.base().map_err(|error| refused(&error.to_string()))?;
        Ok(place)
    }

    /// The file that a payload names: below the folder, or by its whole path.
    pub fn open_file(&self, field: &str, named: &str) -> Result<File, Box<Failure>> {
        self.find(named).map_err(|error| {
            tracing::debug!(error = %error, "a media file was not opened");
            invalid(format!("payload.{field}: there is no such file in the media folder"))
        })
    }

    fn find(&self, named: &str) -> std::io::Result<File> {
        let no_file = || std::io::Error::from(std::io::ErrorKind::NotFound);
        let base = self.named.canonicalize()?;
        let found = self.named.join(named).canonicalize()?;
        let inside = found.strip_prefix(&base).map_err(|_| no_file())?;
        let mut names: Vec<&std::ffi::OsStr> = Vec::new();
        for part in inside.components() {
            match part {
                Component::Normal(name) => names.push(name),
                _ => return Err(no_file()),
            }
        }
        // Chunks are other tasks' affairs.
        let name = names
            .pop()
            .filter(|_| !inside.starts_with(CHUNKS))
            .ok_or_else(no_file)?;
        let mut folder = self.base()?;
        for name in names {
            folder = open_folder(&folder, name)?;
        }
        // Opening a pipe would wait for its other end.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = fs::openat(&folder, name, flags, Mode::empty())?;
        if FileType::from_raw_mode(fs::fstat(&file)?.st_mode) != FileType::RegularFile {
            return Err(no_file());
        }
        Ok(file.into())
    }

    /// A file to write a chunk into, under a name of the attempt until it is kept.
    pub fn draft(&self, run: RunId, node: u32, index: u64, attempt: u32) -> Result<(Draft, File), Box<Failure>> {
        let make = || {
            let mut folder = self.base()?;
            for name in [CHUNKS.to_owned(), run.to_string(), node.to_string()] {
                match fs::mkdirat(&folder, &name, FOLDER) {
                    Ok(()) | Err(Errno::EXIST) => {}
                    Err(error) => return Err(error),
                }
                folder = open_folder(&folder, &name)?;
            }
            let name = format!("{index}.{attempt}.part");
            // One that an attempt left behind which was cut short.
            let _ = fs::unlinkat(&folder, &name, AtFlags::empty());
            let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let file = fs::openat(&folder, &name, flags, FILE)?;
            let draft = Draft {
                folder,
                name,
                kept: false,
            };
            Ok((draft, file.into()))
        };
        make().map_err(|error| failed(format!("a chunk cannot be written: {error}")))
    }

    /// What a payload calls a chunk: by the whole path if it called its medium so, else below the folder.
    pub fn name_of(&self, run: RunId, node: u32, index: u64, medium: &str) -> String {
        let name = format!("{CHUNKS}/{run}/{node}/{index}{SUFFIX}");
        if Path::new(medium).is_absolute() {
            // Both parts are Unicode.
            self.named.join(name).to_string_lossy().into_owned()
        } else {
            name
        }
    }

    /// Removes the folder that a chunk lies in, if it is one of this run.
    pub fn remove(&self, run: RunId, chunk: &str) {
        let run = run.to_string();
        let mut parts = chunk.rsplitn(3, '/');
        let is_file = parts.next().is_some_and(|name| name.ends_with(SUFFIX));
        let node = parts.next().filter(|name| is_file && name.parse::<u32>().is_ok());
        let of_run = parts
            .next()
            .map(Path::new)
            .filter(|path| path.ends_with(Path::new(CHUNKS).join(&run)));
        let (Some(node), Some(_)) = (node, of_run) else { return };
        let removed = || {
            let all = open_folder(&self.base()?, CHUNKS)?;
            let of_run = open_folder(&all, &run)?;
            remove_folder(&of_run, node)?;
            // It stays while another step of the run has chunks.
            let _ = fs::unlinkat(&all, &run, AtFlags::REMOVEDIR);
            Ok::<(), Errno>(())
        };
        if let Err(error) = removed()
            && error != Errno::NOENT
        {
            tracing::warn!(error = %error, run, "chunks were not removed");
        }
    }

    /// Removes the chunks of runs that have not made any since then.
    pub fn sweep(&self, before: Time) {
        let swept = || {
            let all = open_folder(&self.base()?, CHUNKS)?;
            for run in names(&all)? {
                let of_run = open_folder(&all, &run)?;
                if fs::fstat(&of_run)?.st_mtime >= before.0.div_euclid(1_000_000) {
                    continue;
                }
                for node in names(&of_run)? {
                    remove_folder(&of_run, &node)?;
                }
                fs::unlinkat(&all, &run, AtFlags::REMOVEDIR)?;
                tracing::info!(run, "removed chunks that were never merged");
            }
            Ok::<(), Errno>(())
        };
        if let Err(error) = swept()
            && error != Errno::NOENT
        {
            tracing::warn!(error = %error, "old chunks were not removed");
        }
    }

    /// The folder itself is the operator's choice, link or not.
    fn base(&self) -> Result<OwnedFd, Errno> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        fs::open(&self.named, flags, Mode::empty())
    }
}

impl Draft {
    /// Gives the file the name that payloads know, once it is on the disk.
    pub fn keep(mut self, file: &File, index: u64) -> std::io::Result<()> {
        file.sync_data()?;
        fs::renameat(&self.folder, &self.name, &self.folder, format!("{index}{SUFFIX}"))?;
        self.kept = true;
        Ok(())
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.kept {
            let _ = fs::unlinkat(&self.folder, &self.name, AtFlags::empty());
        }
    }
}

fn open_folder(above: impl AsFd, name: impl rustix::path::Arg) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    fs::openat(above, name, flags, Mode::empty())
}

/// Removes a folder of files.
fn remove_folder(above: impl AsFd, name: &str) -> Result<(), Errno> {
    let folder = open_folder(&above, name)?;
    for file in names(&folder)? {
        fs::unlinkat(&folder, file, AtFlags::empty())?;
    }
    fs::unlinkat(above, name, AtFlags::REMOVEDIR)
}

fn names(folder: impl AsFd) -> Result<Vec<String>, Errno> {
    let mut names = Vec::new();
    for entry in Dir::read_from(folder)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name != "." && name != ".." {
            names.push(name);
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::fs::symlink;

    use super::*;

    /// A folder with a file, and a file beside it that nobody may read.
    fn place() -> (tempfile::TempDir, Place) {
        let around = tempfile::tempdir().expect("a folder");
        let dir = around.path().join("media");
        std::fs::create_dir_all(dir.join("talks")).expect("a folder");
        std::fs::write(dir.join("talks/-i"), "inside").expect("a file");
        std::fs::write(around.path().join("secret"), "outside").expect("a file");
        let place = Place::open(&dir).expect("a place");
        (around, place)
    }

    fn read(place: &Place, named: &str) -> Option<String> {
        let mut text = String::new();
        let mut file = place.open_file("audio_path", named).ok()?;
        file.read_to_string(&mut text).expect("text");
        Some(text)
    }

    fn run() -> RunId {
        RunId::from_bits(7)
    }

    #[test]
    fn files_in_the_folder_are_found_by_both_of_their_names_and_through_links() {
        let (around, place) = place();
        symlink("talks/-i", place.named.join("link")).expect("a link");
        symlink(around.path().join("media"), around.path().join("other")).expect("a link");
        let whole = place.named.join("talks/-i");
        for named in ["talks/-i", "./talks/../talks/-i", "link", whole.to_str().expect("text")] {
            assert_eq!(read(&place, named).as_deref(), Some("inside"), "{named}");
        }
        let by_link = Place::open(&around.path().join("other")).expect("a place");
        assert_eq!(read(&by_link, "talks/-i").as_deref(), Some("inside"));
    }

    #[test]
    fn nothing_outside_the_folder_is_opened_and_all_refusals_are_alike() {
        let (around, place) = place();
        symlink(around.path().join("secret"), place.named.join("link")).expect("a link");
        symlink(around.path(), place.named.join("up")).expect("a link");
        let secret = around.path().join("secret");
        let outside = [
            "../secret",
            "talks/../../secret",
            "link",
            "up/secret",
            "/etc/passwd",
            "/no/such/file",
            "missing",
            "talks",
            ".",
            "",
            "a\0b",
            secret.to_str().expect("text"),
        ];
        for named in outside {
            let failure = place.open_file("audio_path", named).expect_err(named);
            assert_eq!(
                failure.message, "payload.audio_path: there is no such file in the media folder",
                "{named}"
            );
            assert_eq!(failure.retryable, Some(false));
        }
    }

    #[test]
    fn a_pipe_is_no_medium_and_does_not_hang_whoever_opens_it() {
        let (_around, place) = place();
        let made = std::process::Command::new("mkfifo")
            .arg(place.named.join("pipe"))
            .status();
        assert!(made.expect("mkfifo").success());
        assert!(place.open_file("audio_path", "pipe").is_err());
    }

    fn write(place: &Place, node: u32, index: u64) {
        let (draft, file) = place.draft(run(), node, index, 1).expect("a draft");
        draft.keep(&file, index).expect("kept");
    }

    #[test]
    fn a_chunk_is_there_when_it_is_kept_and_goes_with_its_step() {
        let (_around, place) = place();
        let folder = place.named.join(format!(".chunks/{}", run()));
        let (draft, _file) = place.draft(run(), 3, 0, 1).expect("a draft");
        assert!(folder.join("3/0.1.part").is_file());
        drop(draft);
        assert!(!folder.join("3/0.1.part").exists());

        write(&place, 3, 0);
        write(&place, 3, 1);
        write(&place, 4, 0);
        let name = place.name_of(run(), 3, 1, "talks/-i");
        assert_eq!(name, format!(".chunks/{}/3/1.wav", run()));
        assert!(place.named.join(&name).is_file());
        // One task's chunks are not another's medium.
        assert!(place.open_file("audio_path", &name).is_err());

        place.remove(run(), &name);
        assert!(!folder.join("3").exists() && folder.join("4/0.wav").is_file());
        place.remove(run(), &place.name_of(run(), 4, 0, "/whole"));
        assert!(!folder.exists());
    }

    #[test]
    fn only_what_is_a_chunk_of_the_run_is_removed() {
        let (_around, place) = place();
        write(&place, 3, 0);
        let kept = place.named.join(format!(".chunks/{}/3/0.wav", run()));
        let other = RunId::from_bits(8);
        for (of, name) in [
            (other, format!(".chunks/{}/3/0.wav", run())),
            (run(), "talks/-i".to_owned()),
            (run(), format!(".chunks/{}/../0.wav", run())),
            (run(), format!("chunks/{}/3/0.wav", run())),
            (run(), format!(".chunks/{}/3/0.mp3", run())),
        ] {
            place.remove(of, &name);
        }
        assert!(kept.is_file() && place.named.join("talks/-i").is_file());
    }

    #[test]
    fn chunks_that_nobody_merged_are_swept_when_they_are_old() {
        let (_around, place) = place();
        place.sweep(Time::NEVER);
        write(&place, 3, 0);
        place.sweep(Time(0));
        assert!(place.named.join(".chunks").join(run().to_string()).exists());
        place.sweep(Time::NEVER);
        assert!(!place.named.join(".chunks").join(run().to_string()).exists());
    }

    #[test]
    fn a_folder_of_chunks_that_is_a_link_is_not_written_through() {
        let (around, place) = place();
        symlink(around.path(), place.named.join(".chunks")).expect("a link");
        assert!(place.draft(run(), 0, 0, 1).is_err());
        assert_eq!(std::fs::read_dir(around.path()).expect("a folder").count(), 2);
    }

    #[test]
    fn a_folder_that_is_not_there_is_refused_at_the_start() {
        let complaint = Place::open(Path::new("/no/such/folder"))
            .expect_err("refused")
            .to_string();
        assert!(
            complaint.starts_with("the media folder /no/such/folder cannot be used: "),
            "{complaint}"
        );
    }
}
