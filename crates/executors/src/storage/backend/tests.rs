//! What is read from settings, what is told to workers, and what is shown to nobody.

use super::*;

pub fn of(value: Value) -> Result<Backend, String> {
    Backend::from_json(value).map_err(|error| error.to_string())
}

pub fn local(base_path: &str) -> Backend {
    of(json!({ "id": "l", "provider": "local", "credentials": { "basePath": base_path } })).unwrap()
}

fn examples() -> [Value; 4] {
    [
        json!({ "id": "local-dev", "provider": "local", "endpoint": "file://", "bucket": "data",
                "credentials": { "basePath": "./storage-hunter2" }, "isDefault": true }),
        json!({ "id": "aws", "provider": "aws-s3", "endpoint": "https://s3.amazonaws.com", "bucket": "b",
                "region": "eu-central-1", "credentials": { "accessKeyId": "AKIAhunter2",
                "secretAccessKey": "hunter2/+=", "sessionToken": "hunter2token" } }),
        json!({ "id": "gcs", "provider": "gcs", "endpoint": "https://storage.googleapis.com", "bucket": "b",
                "credentials": { "projectId": "p", "clientEmail": "a@b", "privateKey": "-----hunter2" } }),
        json!({ "id": "m", "provider": "minio", "endpoint": "http://localhost:9000", "bucket": "pipeweave-dev",
                "credentials": { "accessKey": "minioadminhunter2", "secretKey": "hunter2" } }),
    ]
}

#[test]
fn the_documented_examples_are_read_and_told_to_workers_as_they_are() {
    for example in examples() {
        let backend = of(example.clone()).unwrap();
        let mut told = example;
        told.as_object_mut().unwrap().remove("isDefault");
        assert_eq!(Value::Object(backend.claims()), told);
    }
}

#[test]
fn neither_debug_nor_view_shows_a_credential() {
    for example in examples().into_iter().skip(1) {
        let backend = of(example).unwrap();
        let shown = format!("{backend:?} {}", json!(backend.view(true)));
        assert!(!shown.contains("hunter2"), "{shown}");
        assert!(backend.secrets().iter().all(|secret| secret.contains("hunter2")));
    }
    let view = of(examples()[1].clone()).unwrap().view(false);
    assert_eq!(
        json!(view),
        json!({ "id": "aws", "provider": "aws-s3", "endpoint": "https://s3.amazonaws.com", "bucket": "b",
                "region": "eu-central-1", "isDefault": false })
    );
}

#[test]
fn the_other_names_of_keys_are_understood() {
    let aws = json!({ "id": "a", "provider": "aws-s3", "bucket": "b",
                      "credentials": { "accessKey": "k", "secretKey": "s" } });
    let backend = of(aws).unwrap();
    assert_eq!(backend.endpoint, AWS_ENDPOINT);
    assert_eq!(
        backend.claims()["credentials"],
        json!({ "accessKeyId": "k", "secretAccessKey": "s" })
    );
    let minio = json!({ "id": "a", "provider": "minio", "bucket": "b", "endpoint": "http://h:1",
                        "credentials": { "access_key_id": "k", "secret_access_key": "s" } });
    assert_eq!(
        of(minio).unwrap().claims()["credentials"],
        json!({ "accessKey": "k", "secretKey": "s" })
    );
}

#[test]
fn a_wrong_setting_is_named_and_its_value_is_not() {
    let local = |more: Value| {
        let mut value = json!({ "id": "l", "provider": "local", "credentials": { "basePath": "x" } });
        value.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        of(value).unwrap_err()
    };
    assert_eq!(
        local(json!({ "provider": "ftp" })),
        "provider: must be local, aws-s3, gcs or minio"
    );
    assert_eq!(local(json!({ "id": "" })), "id: is missing");
    assert_eq!(
        local(json!({ "credentials": "hunter2" })),
        "credentials: must be an object"
    );
    assert_eq!(local(json!({ "credentials": {} })), "credentials.basePath: is missing");
    assert_eq!(
        local(json!({ "bukcet": "b" })),
        "bukcet: is no setting of this storage backend"
    );
    let minio = |more: Value| {
        let mut value = json!({ "id": "m", "provider": "minio", "endpoint": "http://h:1", "bucket": "b",
                                "credentials": { "accessKey": "k", "secretKey": "hunter2" } });
        value.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        of(value).unwrap_err()
    };
    assert_eq!(minio(json!({ "endpoint": null })), "endpoint: is missing");
    assert_eq!(
        minio(json!({ "endpoint": "h:1" })),
        "endpoint: must be a URL that begins with http:// or https://"
    );
    assert!(minio(json!({ "endpoint": "http://me:hunter2@h" })).starts_with("endpoint: must have no user"));
    assert_eq!(minio(json!({ "bucket": "" })), "bucket: is missing");
    assert!(minio(json!({ "bucket": "a/b" })).starts_with("bucket: must be made of"));
    let both = json!({ "accessKey": "k", "accessKeyId": "k", "secretKey": "hunter2" });
    assert!(minio(json!({ "credentials": both })).starts_with("credentials.accessKeyId: says the same"));
}

#[test]
fn a_written_out_line_break_in_a_private_key_is_one() {
    let gcs = json!({ "id": "g", "provider": "gcs", "bucket": "b",
                      "credentials": { "projectId": "p", "clientEmail": "e", "privateKey": "a\\nb" } });
    assert_eq!(of(gcs).unwrap().claims()["credentials"]["privateKey"], json!("a\nb"));
}
