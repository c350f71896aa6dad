//! A folder of this machine as a bucket: object `a/b` is the file `<base path>/a/b`, letter for letter, as the workers'
//! SDK has it.
//!
//! Workers write into the same folder, so nothing in it can be relied on to stay as it was seen. Each part of a key is
//! therefore opened below the one before without following links, and what was opened is what is used: between check and
//! use there is no moment in which a link could be slipped in. A link below the base leads nowhere, even to the inside.
//!
//! Files are written beside their place and renamed into it, so readers see the old content or the new, never a half.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use futures_util::stream;
use rustix::fs::{self, AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::bucket::{Driver, Durability, Failure, Metadata, Reading};
use super::key::{Key, KeyError};

const CHUNK_BYTES: usize = 64 * 1024;
/// A folder that a delete found empty can go between the moment when a put opens it and the moment when it writes.
const PUT_TRIES: usize = 100;
/// Permissions are the umask's affair: workers may be other users.
const FILE: Mode = Mode::from_raw_mode(0o666);
const FOLDER: Mode = Mode::from_raw_mode(0o777);

/// A folder.
#[derive(Debug, Clone)]
pub(super) struct Local {
    base: Arc<PathBuf>,
}

impl Local {
    /// Makes the folder if it is not there.
    pub fn open(base_path: &Path) -> Result<Self, String> {
        let complain = |error: std::io::Error| format!("{}: {error}", base_path.display());
        let base = std::path::absolute(base_path).map_err(complain)?;
        std::fs::create_dir_all(&base).map_err(complain)?;
        if base.to_str().is_none() {
            return Err("basePath must be Unicode: workers are told it as text".to_owned());
        }
        Ok(Self { base: Arc::new(base) })
    }

    /// The absolute path.
    pub fn base_path(&self) -> &PathBuf {
        &self.base
    }

    /// Runs blocking work elsewhere.
    async fn elsewhere<T: Send + 'static>(
        &self,
        key: &Key,
        work: impl FnOnce(&Path, &Key) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        let (base, key) = (Arc::clone(&self.base), key.clone());
        blocking(move || work(&base, &key)).await
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Failure> + Send + 'static) -> Result<T, Failure> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(Failure::passing(error.to_string())))
}

#[async_trait]
impl Driver for Local {
    async fn put(&self, key: &Key, content: Bytes, _: &str, durability: Durability) -> Result<(), Failure> {
        self.elsewhere(key, move |base, key| put(base, key, &content, durability))
            .await
    }

    async fn read(&self, key: &Key) -> Result<Reading, Failure> {
        let opened = self.elsewhere(key, |base, key| {
            let (mut file, metadata) = open_file(base, key)?;
            // Most objects are small, and then this is all there is to read.
            let first = read_chunk(&mut file)?;
            Ok((file, metadata, first))
        });
        let (file, metadata, first) = opened.await?;
        let rest = stream::unfold(Some((file, first)), |state| async {
            let (file, chunk) = state?;
            if chunk.is_empty() {
                return None;
            }
            let next = blocking(move || {
                let mut file = file;
                let next = read_chunk(&mut file)?;
                Ok((file, next))
            });
            match next.await {
                Ok(next) => Some((vec![Ok(chunk)], Some(next))),
                Err(failure) => Some((vec![Ok(chunk), Err(failure)], None)),
            }
        });
        Ok(Reading {
            metadata,
            chunks: rest.flat_map(stream::iter).boxed(),
        })
    }

    async fn head(&self, key: &Key) -> Result<Metadata, Failure> {
        self.elsewhere(key, |base, key| Ok(open_file(base, key)?.1)).await
    }

    async fn delete(&self, key: &Key) -> Result<(), Failure> {
        self.elsewhere(key, delete).await
    }
}

/// Whether folders on the way to an object are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Missing {
    Fail,
    Make(Durability),
}

/// The folders on the way to an object, the base first, and the object's own name.
fn walk<'a>(base: &Path, key: &'a Key, missing: Missing) -> Result<(Vec<OwnedFd>, &'a str), Errno> {
    let mut names: Vec<&str> = key.segments().collect();
    let name = names.pop().unwrap_or_default();
    let mut folders = vec![open_base(base, missing)?];
    for segment in names {
        let above = folders[folders.len() - 1].as_fd();
        let folder = match open_folder(above, segment) {
            Err(Errno::NOENT) if let Missing::Make(durability) = missing => {
                match fs::mkdirat(above, segment, FOLDER) {
                    Ok(()) if durability == Durability::Synced => fs::fsync(above)?,
                    Ok(()) | Err(Errno::EXIST) => {}
                    Err(error) => return Err(error),
                }
                open_folder(above, segment)
            }
            opened => opened,
        };
        folders.push(folder?);
    }
    Ok((folders, name))
}

/// The base itself is the operator's choice, link or not.
fn open_base(base: &Path, missing: Missing) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    match fs::open(base, flags, Mode::empty()) {
        Err(Errno::NOENT) if missing != Missing::Fail => {
            std::fs::create_dir_all(base).map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::NOENT))?;
            fs::open(base, flags, Mode::empty())
        }
        opened => opened,
    }
}

fn open_folder(above: impl AsFd, name: &str) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    fs::openat(above, name, flags, Mode::empty())
}

fn open_file(base: &Path, key: &Key) -> Result<(File, Metadata), Failure> {
    let open = || {
        let (folders, name) = walk(base, key, Missing::Fail)?;
        // Opening a pipe would wait for its other end.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = fs::openat(&folders[folders.len() - 1], name, flags, Mode::empty())?;
        let stat = fs::fstat(&file)?;
        Ok((file, stat))
    };
    let (file, stat) = open().map_err(failure)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(Failure::Invalid(KeyError::NotPlain));
    }
    let metadata = Metadata {
        size_bytes: u64::try_from(stat.st_size).unwrap_or(0),
        content_type: None,
    };
    Ok((file.into(), metadata))
}

fn read_chunk(file: &mut File) -> Result<Bytes, Failure> {
    let mut chunk = BytesMut::zeroed(CHUNK_BYTES);
    let mut filled = 0;
    while filled < CHUNK_BYTES {
        match file.read(&mut chunk[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Failure::passing(error.to_string())),
        }
    }
    chunk.truncate(filled);
    Ok(chunk.freeze())
}

fn put(base: &Path, key: &Key, content: &[u8], durability: Durability) -> Result<(), Failure> {
    let mut tries = 1;
    loop {
        match put_once(base, key, content, durability) {
            Err(Errno::NOENT) if tries < PUT_TRIES => tries += 1,
            done => return done.map_err(failure_of_put),
        }
    }
}

fn put_once(base: &Path, key: &Key, content: &[u8], durability: Durability) -> Result<(), Errno> {
    let (folders, name) = walk(base, key, Missing::Make(durability))?;
    let folder = &folders[folders.len() - 1];
    let (staged, mut file) = stage(folder)?;
    let mut write = || {
        file.write_all(content)
            .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
        if durability == Durability::Synced {
            fs::fdatasync(&file)?;
        }
        fs::renameat(folder, &staged, folder, name)?;
        if durability == Durability::Synced {
            fs::fsync(folder)?;
        }
        Ok(())
    };
    let written = write();
    if written.is_err() {
        // After a rename that took place there is nothing to remove, and that is just as well.
        let _ = fs::unlinkat(folder, &staged, AtFlags::empty());
    }
    written
}

/// A new file beside its later place. Other processes stage here too, some with the same process id (containers), some
/// that have died over it: the first name that is free is taken.
fn stage(folder: &OwnedFd) -> Result<(String, File), Errno> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    loop {
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!(".quintet-{}-{count}.part", std::process::id());
        match fs::openat(folder, &name, flags, FILE) {
            Err(Errno::EXIST) => {}
            opened => return Ok((name, opened?.into())),
        }
    }
}

fn delete(base: &Path, key: &Key) -> Result<(), Failure> {
    let (folders, name) = walk(base, key, Missing::Fail).map_err(failure)?;
    fs::unlinkat(&folders[folders.len() - 1], name, AtFlags::empty()).map_err(failure)?;
    // Runs and uploads have folders of their own, which nobody else would ever remove.
    let segments: Vec<&str> = key.segments().collect();
    for (above, segment) in folders.iter().zip(&segments[..segments.len() - 1]).rev() {
        if fs::unlinkat(above, *segment, AtFlags::REMOVEDIR).is_err() {
            break;
        }
    }
    Ok(())
}

fn failure(errno: Errno) -> Failure {
    match errno {
        Errno::NOENT => Failure::Missing,
        Errno::LOOP | Errno::NOTDIR | Errno::ISDIR | Errno::NXIO => Failure::Invalid(KeyError::NotPlain),
        Errno::NAMETOOLONG => Failure::Invalid(KeyError::SegmentTooLong),
        Errno::ACCESS | Errno::PERM | Errno::ROFS => Failure::permanent(errno.to_string()),
        _ => Failure::passing(errno.to_string()),
    }
}

/// Where something is written, that it is not there is no answer.
fn failure_of_put(errno: Errno) -> Failure {
    match errno {
        Errno::NOENT => Failure::passing("the folder is removed again and again"),
        errno => failure(errno),
    }
}
