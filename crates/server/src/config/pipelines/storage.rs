//! Where objects lie, as the settings say it: documents of the original, kept as they were read because the credentials in
//! them may only be references (`env:NAME`, `file:PATH`), which are looked up when the storage is opened.

use std::fmt;
use std::path::Path;

use quintet_executors::storage::{self, Backend, BackendSet, Credentials};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::{Value, json};

use crate::config::{ConfigError, Secret};

const KEY: &str = "pipelines.storage_backends";
const DEFAULT_KEY: &str = "pipelines.default_storage_backend";
/// What the default is called where the original's variables name it.
const DEFAULT_VARIABLE: &str = "DEFAULT_STORAGE_BACKEND_ID";

/// The configured storage backends. Read from a list of documents, or from its JSON text; shown without credentials.
#[derive(Clone, Default, PartialEq)]
pub struct StorageBackends(Vec<Value>);

/// What becomes of a credential that is only a reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum References {
    /// It is looked up.
    Follow,
    /// It stands for itself, which is enough to see whether everything is there.
    Keep,
}

impl StorageBackends {
    /// Whether none is configured.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The backends, one of which is the default.
    pub(super) fn set(&self, default_id: Option<&str>, references: References) -> Result<BackendSet, ConfigError> {
        let mut backends = Vec::with_capacity(self.0.len());
        for (number, document) in self.0.iter().enumerate() {
            let wrong = |reason: String| ConfigError::senseless(format!("{KEY}[{number}]"), reason);
            let document = match references {
                References::Follow => revealed(document).map_err(wrong)?,
                References::Keep => document.clone(),
            };
            backends.push(Backend::from_json(document).map_err(|error| wrong(error.to_string()))?);
        }
        set_of(backends, default_id)
    }
}

/// The backend of a server that was given none: a folder, by its absolute path because workers have a working directory of
/// their own.
pub(super) fn in_folder(folder: &Path, default_id: Option<&str>) -> Result<BackendSet, ConfigError> {
    let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    let document = json!({
        "id": "local", "provider": "local", "isDefault": true,
        "credentials": { "basePath": folder.to_string_lossy() },
    });
    let backend = Backend::from_json(document).map_err(|error| ConfigError::senseless(KEY, error.to_string()))?;
    set_of(vec![backend], default_id)
}

fn set_of(backends: Vec<Backend>, default_id: Option<&str>) -> Result<BackendSet, ConfigError> {
    BackendSet::new(backends, default_id).map_err(|error| match error.field.as_str() {
        DEFAULT_VARIABLE => ConfigError::senseless(DEFAULT_KEY, error.problem),
        _ => ConfigError::senseless(KEY, error.to_string()),
    })
}

/// The document with its credentials in clear.
fn revealed(document: &Value) -> Result<Value, String> {
    let mut document = document.clone();
    let credentials = document.get_mut("credentials").and_then(Value::as_object_mut);
    for (name, value) in credentials.into_iter().flatten() {
        if let Value::String(text) = value {
            let secret = Secret::new(text.as_str()).reveal();
            *text = secret.map_err(|reason| format!("credentials.{name}: {reason}"))?;
        }
    }
    Ok(document)
}

/// The backends of the original's older variables, as documents; with the variable that is wrong, if one is.
pub(in crate::config) fn from_variables(
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Option<Value>, storage::ConfigError> {
    let set = storage::from_environment(variable)?;
    Ok(set.map(|set| set.backends().iter().map(document).collect()))
}

fn document(backend: &Backend) -> Value {
    let credentials = match &backend.credentials {
        Credentials::Local { base_path } => json!({ "basePath": base_path }),
        Credentials::AwsS3 {
            access_key_id,
            secret_access_key,
            session_token,
        } => json!({
            "accessKeyId": access_key_id.reveal(), "secretAccessKey": secret_access_key.reveal(),
            "sessionToken": session_token.as_ref().map(storage::Secret::reveal),
        }),
        Credentials::Gcs {
            project_id,
            client_email,
            private_key,
        } => json!({ "projectId": project_id, "clientEmail": client_email, "privateKey": private_key.reveal() }),
        Credentials::Minio { access_key, secret_key } => {
            json!({ "accessKey": access_key.reveal(), "secretKey": secret_key.reveal() })
        }
    };
    json!({
        "id": backend.id, "provider": backend.provider.name(), "endpoint": backend.endpoint, "bucket": backend.bucket,
        "region": backend.region, "credentials": credentials, "isDefault": backend.is_default,
    })
}

impl<'de> Deserialize<'de> for StorageBackends {
    /// Errors never repeat what they were given: it holds credentials.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut value = Value::deserialize(deserializer)?;
        if let Value::String(text) = &value {
            value = serde_json::from_str(text).map_err(|error| {
                let (line, column) = (error.line(), error.column());
                de::Error::custom(format!("is not JSON, from line {line}, column {column}"))
            })?;
        }
        match value {
            Value::Array(documents) if documents.iter().all(Value::is_object) => Ok(Self(documents)),
            _ => Err(de::Error::custom(
                "must be a list of backends, such as [{\"id\": \"main\", \"provider\": \"local\", \
                 \"credentials\": {\"basePath\": \"/srv/objects\"}}]",
            )),
        }
    }
}

impl Serialize for StorageBackends {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let shown = |document: &Value| json!({ "id": document["id"], "provider": document["provider"] });
        serializer.collect_seq(self.0.iter().map(shown))
    }
}

impl fmt::Debug for StorageBackends {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.0.iter().map(|document| &document["id"]))
            .finish()
    }
}
