//! One configured storage backend.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value, json};
use url::Url;

use super::fields::{ConfigError, Fields};
use super::secret::Secret;

/// What the aws-s3 provider takes for AWS itself.
pub(super) const AWS_ENDPOINT: &str = "https://s3.amazonaws.com";
/// What the gcs provider takes for Google itself.
pub(super) const GCS_ENDPOINT: &str = "https://storage.googleapis.com";
/// Local backends have no endpoint; the workers' SDK wants one to be written all the same.
const LOCAL_ENDPOINT: &str = "file://";
/// Nor have they a bucket.
const LOCAL_BUCKET: &str = "local";

/// Where objects can be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Provider {
    /// A folder of this machine, which the workers must have too.
    Local,
    /// AWS, or a service of its kind that is addressed by virtual hosts.
    AwsS3,
    /// Google Cloud Storage.
    Gcs,
    /// MinIO, or a service of its kind that is addressed by paths.
    Minio,
}

/// How one is let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credentials {
    /// By being on the same machine.
    Local {
        /// The folder: object `a/b` is the file `<base path>/a/b`.
        base_path: PathBuf,
    },
    /// By an AWS key.
    AwsS3 {
        /// Its name.
        access_key_id: Secret,
        /// Its secret half.
        secret_access_key: Secret,
        /// Of temporary credentials only.
        session_token: Option<Secret>,
    },
    /// By a service account.
    Gcs {
        /// The project.
        project_id: String,
        /// The account.
        client_email: String,
        /// Its key, in PEM.
        private_key: Secret,
    },
    /// By a MinIO key.
    Minio {
        /// Its name.
        access_key: Secret,
        /// Its secret half.
        secret_key: Secret,
    },
}

/// A storage backend, as it was configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backend {
    /// What it is called in the API and in tokens.
    pub id: String,
    /// What it is.
    pub provider: Provider,
    /// Base URL of the service. `file://` for a local folder.
    pub endpoint: String,
    /// The bucket. A local folder ignores it.
    pub bucket: String,
    /// The region, where the service has such.
    pub region: Option<String>,
    /// How one is let in.
    pub credentials: Credentials,
    /// Whether it claims to be the default.
    pub is_default: bool,
    /// For people.
    pub description: Option<String>,
}

/// What everybody may know of a backend.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BackendView {
    /// Its id.
    pub id: String,
    /// `local`, `aws-s3`, `gcs` or `minio`.
    pub provider: &'static str,
    /// Its endpoint.
    pub endpoint: String,
    /// Its bucket.
    pub bucket: String,
    /// Its region, left out when there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Whether it is the one that runs use.
    pub is_default: bool,
}

impl Provider {
    const ALL: [Provider; 4] = [Self::Local, Self::AwsS3, Self::Gcs, Self::Minio];

    /// Its name in settings, tokens and answers.
    pub fn name(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::AwsS3 => "aws-s3",
            Self::Gcs => "gcs",
            Self::Minio => "minio",
        }
    }

    /// The provider of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|provider| provider.name() == name)
    }
}

impl Backend {
    /// Reads a backend from a JSON object.
    pub fn from_json(value: Value) -> Result<Self, ConfigError> {
        let mut fields = Fields::of(value)?;
        let id = fields.required(&["id"])?;
        let name = fields.required(&["provider"])?;
        let provider = Provider::named(&name)
            .ok_or_else(|| ConfigError::new("provider", "must be local, aws-s3, gcs or minio"))?;
        let backend = Self {
            endpoint: endpoint(provider, fields.text("endpoint")?)?,
            bucket: bucket(provider, fields.text("bucket")?)?,
            region: fields.text("region")?,
            credentials: credentials(provider, fields.take("credentials"))
                .map_err(|error| error.within("credentials"))?,
            is_default: fields.flag("isDefault")?,
            description: fields.text("description")?,
            id,
            provider,
        };
        fields.finish()?;
        Ok(backend)
    }

    /// What may be shown. Whether it is the default is decided among all backends.
    pub fn view(&self, is_default: bool) -> BackendView {
        BackendView {
            id: self.id.clone(),
            provider: self.provider.name(),
            endpoint: self.endpoint.clone(),
            bucket: self.bucket.clone(),
            region: self.region.clone(),
            is_default,
        }
    }

    /// The folder of a local backend.
    pub fn base_path(&self) -> Option<&Path> {
        match &self.credentials {
            Credentials::Local { base_path } => Some(base_path),
            _ => None,
        }
    }

    /// What a worker is told, credentials and all, in the order in which the SDK's own tools write it.
    pub(super) fn claims(&self) -> Map<String, Value> {
        let mut claims = Map::new();
        let mut say = |name: &str, value: Value| claims.insert(name.to_owned(), value);
        say("id", json!(self.id));
        say("provider", json!(self.provider.name()));
        say("endpoint", json!(self.endpoint));
        say("bucket", json!(self.bucket));
        if let Some(region) = &self.region {
            say("region", json!(region));
        }
        say("credentials", self.credentials.claims());
        claims
    }

    /// Everything that must not appear in a text, longest first, so that none is cut short by another.
    pub(super) fn secrets(&self) -> Vec<&str> {
        let mut secrets = match &self.credentials {
            Credentials::Local { .. } => vec![],
            Credentials::AwsS3 {
                access_key_id,
                secret_access_key,
                session_token,
            } => {
                let token = session_token.as_ref().map(Secret::reveal);
                [Some(access_key_id.reveal()), Some(secret_access_key.reveal()), token]
                    .into_iter()
                    .flatten()
                    .collect()
            }
            Credentials::Gcs { private_key, .. } => vec![private_key.reveal()],
            Credentials::Minio { access_key, secret_key } => vec![access_key.reveal(), secret_key.reveal()],
        };
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        secrets
    }
}

impl Credentials {
    fn claims(&self) -> Value {
        match self {
            Self::Local { base_path } => json!({ "basePath": base_path.to_string_lossy() }),
            Self::AwsS3 {
                access_key_id,
                secret_access_key,
                session_token,
            } => {
                let mut claims = json!({
                    "accessKeyId": access_key_id.reveal(),
                    "secretAccessKey": secret_access_key.reveal(),
                });
                if let Some(token) = session_token {
                    claims["sessionToken"] = json!(token.reveal());
                }
                claims
            }
            Self::Gcs {
                project_id,
                client_email,
                private_key,
            } => json!({ "projectId": project_id, "clientEmail": client_email, "privateKey": private_key.reveal() }),
            Self::Minio { access_key, secret_key } => {
                json!({ "accessKey": access_key.reveal(), "secretKey": secret_key.reveal() })
            }
        }
    }
}

impl<'de> Deserialize<'de> for Backend {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        Self::from_json(value).map_err(serde::de::Error::custom)
    }
}

fn endpoint(provider: Provider, given: Option<String>) -> Result<String, ConfigError> {
    let default = match provider {
        Provider::Local => return Ok(given.unwrap_or_else(|| LOCAL_ENDPOINT.to_owned())),
        Provider::AwsS3 => Some(AWS_ENDPOINT),
        Provider::Gcs => Some(GCS_ENDPOINT),
        Provider::Minio => None,
    };
    let wrong = |problem: &str| ConfigError::new("endpoint", problem);
    let text = given
        .or(default.map(str::to_owned))
        .ok_or_else(|| wrong("is missing"))?;
    let url = Url::parse(&text).map_err(|_| wrong("must be a URL"))?;
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return Err(wrong("must be a URL that begins with http:// or https://"));
    }
    // Endpoints are shown to everybody.
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
        return Err(wrong(
            "must have no user, password, query or fragment: credentials have a place of their own",
        ));
    }
    Ok(text)
}

/// Buckets end up in host names and paths.
fn bucket(provider: Provider, given: Option<String>) -> Result<String, ConfigError> {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '-' | '_');
    match (provider, given) {
        (Provider::Local, given) => Ok(given.unwrap_or_else(|| LOCAL_BUCKET.to_owned())),
        (_, None) => Err(ConfigError::new("bucket", "is missing")),
        (_, Some(name)) if name.len() <= 222 && name.chars().all(plain) && name != "." && name != ".." => Ok(name),
        (_, Some(_)) => Err(ConfigError::new(
            "bucket",
            "must be made of letters, digits, '.', '-' and '_'",
        )),
    }
}

fn credentials(provider: Provider, given: Option<Value>) -> Result<Credentials, ConfigError> {
    let mut fields = Fields::of(given.ok_or_else(|| ConfigError::new("", "is missing"))?)?;
    // Both pairs of names stand in the originals' own examples, for either provider.
    let names = [["accessKeyId", "accessKey"], ["secretAccessKey", "secretKey"]];
    let credentials = match provider {
        Provider::Local => Credentials::Local {
            base_path: fields.required(&["basePath"])?.into(),
        },
        Provider::AwsS3 => Credentials::AwsS3 {
            access_key_id: Secret::new(fields.required(&names[0])?),
            secret_access_key: Secret::new(fields.required(&names[1])?),
            session_token: fields.text("sessionToken")?.map(Secret::new),
        },
        Provider::Gcs => Credentials::Gcs {
            project_id: fields.required(&["projectId"])?,
            client_email: fields.required(&["clientEmail"])?,
            // In an environment, the lines of a key are usually parted by a written-out \n.
            private_key: Secret::new(fields.required(&["privateKey"])?.replace("\\n", "\n")),
        },
        Provider::Minio => Credentials::Minio {
            access_key: Secret::new(fields.required(&[names[0][1], names[0][0]])?),
            secret_key: Secret::new(fields.required(&[names[1][1], names[1][0]])?),
        },
    };
    fields.finish()?;
    Ok(credentials)
}

#[cfg(test)]
pub(super) mod tests;
