//! Storage backends from the names that the originals' users have in their environment.
//!
//! `STORAGE_BACKENDS` is the list. Where it is not set, the older names describe a single backend, of the kind that
//! `STORAGE_PROVIDER` says; the variables of other kinds may be there for other programs, and are left alone.

use serde_json::{Map, Value, json};

use super::backend::{Backend, Provider};
use super::fields::ConfigError;
use super::set::{BackendSet, DEFAULT_ID, LIST};

/// The one field that long-lived credentials lack.
const SESSION_TOKEN: &str = "sessionToken";
/// What the one backend of the older names is called.
const SINGLE_ID: &str = "default";

/// The backends that these variables describe; none when they do not speak of storage. An empty variable counts as not
/// set.
pub fn from_environment(variable: impl Fn(&str) -> Option<String>) -> Result<Option<BackendSet>, ConfigError> {
    let variable = |name: &str| variable(name).filter(|text| !text.trim().is_empty());
    let default_id = variable(DEFAULT_ID);
    if let Some(list) = variable(LIST) {
        return BackendSet::from_json(&list, default_id.as_deref()).map(Some);
    }
    let Some(backend) = single(&variable, default_id.as_deref())? else {
        return Ok(None);
    };
    BackendSet::new(vec![backend], default_id.as_deref()).map(Some)
}

fn single(
    variable: &impl Fn(&str) -> Option<String>,
    default_id: Option<&str>,
) -> Result<Option<Backend>, ConfigError> {
    let provider = match variable("STORAGE_PROVIDER") {
        Some(name) => Provider::named(&name)
            .ok_or_else(|| ConfigError::new("STORAGE_PROVIDER", "must be local, aws-s3, gcs or minio"))?,
        None if variable("LOCAL_STORAGE_BASE_PATH").is_some() => Provider::Local,
        None => return Ok(None),
    };
    let mut credentials = Map::new();
    // A session's token belongs to the session's key, and would spoil any other.
    let has_session_key = variable("AWS_ACCESS_KEY_ID").is_some();
    let of_other_key = |field: &str| field == SESSION_TOKEN && !has_session_key;
    for (field, names) in credential_names(provider) {
        if of_other_key(field) {
            continue;
        }
        match names.iter().find_map(|name| variable(name)) {
            Some(value) => drop(credentials.insert((*field).to_owned(), json!(value))),
            None if *field == SESSION_TOKEN => {}
            None => {
                let provider = provider.name();
                return Err(ConfigError::new(
                    names[0],
                    format!("must be set for STORAGE_PROVIDER={provider}"),
                ));
            }
        }
    }
    let mut backend = json!({
        "id": default_id.unwrap_or(SINGLE_ID),
        "provider": provider.name(),
        "bucket": variable("S3_BUCKET"),
        "region": variable("S3_REGION"),
        "isDefault": true,
    });
    // The variable of an S3 service says nothing about the others.
    if matches!(provider, Provider::AwsS3 | Provider::Minio) {
        backend["endpoint"] = json!(variable("S3_ENDPOINT"));
    }
    backend["credentials"] = Value::Object(credentials);
    let named = |error: ConfigError| match error.field.as_str() {
        "bucket" => ConfigError::new("S3_BUCKET", error.problem),
        "endpoint" => ConfigError::new("S3_ENDPOINT", error.problem),
        _ => error,
    };
    Backend::from_json(backend).map(Some).map_err(named)
}

type Names = &'static [(&'static str, &'static [&'static str])];

/// Field of the credentials, and the variables that can hold it, the first that is set.
fn credential_names(provider: Provider) -> Names {
    match provider {
        Provider::Local => &[("basePath", &["LOCAL_STORAGE_BASE_PATH"])],
        Provider::AwsS3 => &[
            ("accessKeyId", &["AWS_ACCESS_KEY_ID", "S3_ACCESS_KEY"]),
            ("secretAccessKey", &["AWS_SECRET_ACCESS_KEY", "S3_SECRET_KEY"]),
            (SESSION_TOKEN, &["AWS_SESSION_TOKEN"]),
        ],
        Provider::Gcs => &[
            ("projectId", &["GCP_PROJECT_ID"]),
            ("clientEmail", &["GCP_CLIENT_EMAIL"]),
            ("privateKey", &["GCP_PRIVATE_KEY"]),
        ],
        Provider::Minio => &[
            ("accessKey", &["MINIO_ACCESS_KEY", "S3_ACCESS_KEY"]),
            ("secretKey", &["MINIO_SECRET_KEY", "S3_SECRET_KEY"]),
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Option<BackendSet>, String> {
        let lookup = |name: &str| {
            let found = variables.iter().find(|(variable, _)| *variable == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        from_environment(lookup).map_err(|error| error.to_string())
    }

    fn claims(variables: &[(&str, &str)]) -> Value {
        Value::Object(read(variables).unwrap().unwrap().default_backend().claims())
    }

    #[test]
    fn the_list_goes_before_the_older_names() {
        let list = r#"[{"id":"a","provider":"local","credentials":{"basePath":"x"}},
                       {"id":"b","provider":"local","credentials":{"basePath":"y"}}]"#;
        let set = read(&[
            ("STORAGE_BACKENDS", list),
            ("DEFAULT_STORAGE_BACKEND_ID", "b"),
            ("STORAGE_PROVIDER", "minio"),
        ]);
        assert_eq!(set.unwrap().unwrap().default_backend().id, "b");
    }

    #[test]
    fn without_a_word_on_storage_there_are_no_backends() {
        assert_eq!(read(&[("AWS_ACCESS_KEY_ID", "k"), ("STORAGE_BACKENDS", " ")]), Ok(None));
    }

    #[test]
    fn the_older_names_describe_one_backend_of_each_kind() {
        let local = [
            ("STORAGE_PROVIDER", "local"),
            ("S3_BUCKET", "data"),
            ("LOCAL_STORAGE_BASE_PATH", "./storage"),
        ];
        assert_eq!(
            claims(&local),
            json!({ "id": "default", "provider": "local", "endpoint": "file://", "bucket": "data",
                    "credentials": { "basePath": "./storage" } })
        );
        assert_eq!(claims(&local[2..])["provider"], json!("local"));
        let aws = [
            ("STORAGE_PROVIDER", "aws-s3"),
            ("S3_ENDPOINT", "https://s3.amazonaws.com"),
            ("S3_BUCKET", "prod"),
            ("S3_REGION", "eu-west-1"),
            ("S3_ACCESS_KEY", "k"),
            ("AWS_SECRET_ACCESS_KEY", "s"),
            ("GCP_PROJECT_ID", "left alone"),
        ];
        assert_eq!(
            claims(&aws),
            json!({ "id": "default", "provider": "aws-s3", "endpoint": "https://s3.amazonaws.com", "bucket": "prod",
                    "region": "eu-west-1", "credentials": { "accessKeyId": "k", "secretAccessKey": "s" } })
        );
        let gcs = [
            ("STORAGE_PROVIDER", "gcs"),
            ("S3_BUCKET", "prod"),
            ("GCP_PROJECT_ID", "p"),
            ("GCP_CLIENT_EMAIL", "e"),
            ("GCP_PRIVATE_KEY", "a\\nb"),
        ];
        assert_eq!(
            claims(&gcs)["credentials"],
            json!({ "projectId": "p", "clientEmail": "e", "privateKey": "a\nb" })
        );
        let minio = [
            ("STORAGE_PROVIDER", "minio"),
            ("S3_ENDPOINT", "http://localhost:9000"),
            ("S3_BUCKET", "dev"),
            ("MINIO_ACCESS_KEY", "k"),
            ("MINIO_SECRET_KEY", "s"),
        ];
        assert_eq!(
            claims(&minio)["credentials"],
            json!({ "accessKey": "k", "secretKey": "s" })
        );
    }

    #[test]
    fn what_is_missing_is_called_by_the_name_of_its_variable() {
        for (variables, complaint) in [
            (
                &[("STORAGE_PROVIDER", "ftp")][..],
                "STORAGE_PROVIDER: must be local, aws-s3, gcs or minio",
            ),
            (
                &[("STORAGE_PROVIDER", "local")],
                "LOCAL_STORAGE_BASE_PATH: must be set for STORAGE_PROVIDER=local",
            ),
            (
                &[
                    ("STORAGE_PROVIDER", "minio"),
                    ("MINIO_ACCESS_KEY", "k"),
                    ("MINIO_SECRET_KEY", "s"),
                    ("S3_BUCKET", "b"),
                ],
                "S3_ENDPOINT: is missing",
            ),
            (
                &[
                    ("STORAGE_PROVIDER", "aws-s3"),
                    ("S3_ACCESS_KEY", "k"),
                    ("S3_SECRET_KEY", "s"),
                ],
                "S3_BUCKET: is missing",
            ),
        ] {
            assert_eq!(read(variables), Err(complaint.to_owned()));
        }
    }
}
