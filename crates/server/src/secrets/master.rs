//! The master keys: the one that seals, and those that only open while keys are changed.
//!
//! They come from the settings. The embedded store, which belongs to one server, may do without: a key is then made
//! when the first secret is stored, in a file that only its owner may read. Many servers that share a store must all
//! have the same key, so there it has to be set.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

use super::seal::{KEY_BYTES, Key, KeyId};
use super::{OpenError, SecretError};
use crate::config::{Config, Secret, StoreUrl};

const FILE: &str = "secrets.key";

/// All master keys of this process.
pub(super) struct Masters {
    current: Mutex<Option<Arc<Key>>>,
    previous: Vec<Arc<Key>>,
    place: Place,
}

/// Where the current key is, or would be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// In the settings, and nowhere else.
    Setting,
    /// In a file of this server.
    File(PathBuf),
    /// Nowhere: it ends with the process, as the store does.
    Memory,
}

impl Masters {
    pub fn open(config: &Config, url: &StoreUrl) -> Result<Self, OpenError> {
        let settings = &config.secrets;
        let previous: Result<_, _> = settings
            .previous_keys
            .iter()
            .map(|key| of_setting("previous_keys", key))
            .collect();
        let (current, place) = match (&settings.master_key, url) {
            (Some(key), _) => (Some(of_setting("master_key", key)?), Place::Setting),
            (None, StoreUrl::Sqlite(_)) => {
                let path = config.data_dir.join(FILE);
                (of_file(&path)?, Place::File(path))
            }
            (None, StoreUrl::Memory) => (None, Place::Memory),
            (None, StoreUrl::Postgres(_)) => (None, Place::Setting),
        };
        Ok(Self {
            current: Mutex::new(current),
            previous: previous?,
            place,
        })
    }

    #[cfg(test)]
    pub fn of(current: Option<Key>, previous: Vec<Key>, place: Place) -> Self {
        Self {
            current: Mutex::new(current.map(Arc::new)),
            previous: previous.into_iter().map(Arc::new).collect(),
            place,
        }
    }

    /// The key that seals.
    pub fn current(&self) -> Option<Arc<Key>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The key of this id.
    pub fn find(&self, id: KeyId) -> Option<Arc<Key>> {
        let current = self.current();
        current
            .iter()
            .chain(&self.previous)
            .find(|key| key.id == id)
            .map(Arc::clone)
    }

    /// Makes the key that seals, where there is none yet and this server may make one.
    pub fn ready(&self) -> Result<(), SecretError> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.is_none() {
            let key = Key::named_by_itself(Zeroizing::new(*Key::random()?.bytes()));
            match &self.place {
                Place::Setting => return Err(SecretError::NoMasterKey),
                Place::Memory => {}
                Place::File(path) => {
                    keep(path, &key).map_err(SecretError::KeyFile)?;
                    tracing::info!(path = %path.display(), key = %key.id, "made the master key of the secrets: back it up");
                }
            }
            *current = Some(Arc::new(key));
        }
        Ok(())
    }

    /// For people: where the key belongs.
    pub fn place(&self) -> String {
        match &self.place {
            Place::Setting => "`secrets.master_key`".to_owned(),
            Place::File(path) => format!("{} or `secrets.master_key`", path.display()),
            Place::Memory => "nowhere".to_owned(),
        }
    }
}

fn of_setting(setting: &'static str, secret: &Secret) -> Result<Arc<Key>, OpenError> {
    let text = secret.reveal().map(Zeroizing::new);
    let key = text.and_then(|text| parse(&text));
    key.map(Arc::new)
        .map_err(|reason| OpenError::Setting { setting, reason })
}

fn of_file(path: &Path) -> Result<Option<Arc<Key>>, OpenError> {
    let wrong = |reason: String| OpenError::File {
        path: path.to_owned(),
        reason,
    };
    let text = match std::fs::read_to_string(path) {
        Ok(text) => Zeroizing::new(text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(wrong(error.to_string())),
    };
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(path)
            .map_err(|error| wrong(error.to_string()))?
            .permissions()
            .mode();
        if mode & 0o077 != 0 {
            return Err(wrong(
                "others may read it: take their rights away (chmod 600)".to_owned(),
            ));
        }
    }
    parse(&text).map(|key| Some(Arc::new(key))).map_err(wrong)
}

/// 32 bytes as base64, or as hexadecimal digits. The error does not repeat the text.
fn parse(text: &str) -> Result<Key, String> {
    let text = text.trim();
    let decoded = if text.len() == 2 * KEY_BYTES {
        let digit = |nth: usize| u8::from_str_radix(text.get(nth..nth + 2)?, 16).ok();
        (0..text.len()).step_by(2).map(digit).collect()
    } else {
        let plain = text.trim_end_matches('=').replace('+', "-").replace('/', "_");
        URL_SAFE_NO_PAD.decode(plain).ok()
    };
    let mut bytes = Zeroizing::new([0; KEY_BYTES]);
    match decoded.map(Zeroizing::new) {
        Some(decoded) if decoded.len() == KEY_BYTES => bytes.copy_from_slice(&decoded),
        _ => {
            return Err(
                "a master key is 32 bytes, as base64 or as 64 hexadecimal digits: `openssl rand -base64 32`".to_owned(),
            );
        }
    }
    Ok(Key::named_by_itself(bytes))
}

/// Writes the key so that it is there whole, or not at all, and survives a power cut.
fn keep(path: &Path, key: &Key) -> std::io::Result<()> {
    let draft = path.with_extension("key.new");
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&draft)?;
    let text = Zeroizing::new(format!("{}\n", STANDARD.encode(key.bytes())));
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&draft, path)?;
    match path.parent() {
        Some(folder) => std::fs::File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_in_all_of_its_forms() {
        let hex = "00ff".repeat(16);
        let id = parse(&hex).unwrap().id;
        let bytes: Vec<u8> = [0, 255].repeat(16);
        for text in [
            STANDARD.encode(&bytes),
            URL_SAFE_NO_PAD.encode(&bytes),
            format!(" {}\n", hex.to_uppercase()),
        ] {
            assert_eq!(parse(&text).unwrap().id, id);
        }
        for wrong in [
            "",
            "short",
            &"00".repeat(31),
            &"zz".repeat(32),
            &STANDARD.encode([0; 33]),
        ] {
            let error = parse(wrong).unwrap_err();
            assert!(
                error.contains("32 bytes") && (wrong.is_empty() || !error.contains(wrong)),
                "{error}"
            );
        }
    }

    #[cfg(unix)]
    #[test]
    fn the_file_is_made_once_for_its_owner_only() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        assert!(of_file(&path).unwrap().is_none());
        let masters = Masters::of(None, Vec::new(), Place::File(path.clone()));
        masters.ready().unwrap();
        masters.ready().unwrap();
        let made = masters.current().unwrap();
        assert_eq!(of_file(&path).unwrap().unwrap().id, made.id);
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o600);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert!(of_file(&path).unwrap_err().to_string().contains("chmod 600"));
    }
}
