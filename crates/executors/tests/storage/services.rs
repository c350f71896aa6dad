//! Buckets of services, addressed in each of the ways in which workers address them.

use quintet_executors::storage::{BackendSet, Backends, Bucket, Durability};
use quintet_testkit::gcs::{self, Gcs};
use quintet_testkit::s3::{self, Service};
use serde_json::{Value, json};

use crate::contract::{self, Types};
use crate::{key, open};

/// The service and a new bucket in it. Starting one blocks.
async fn s3_with_bucket() -> (Service, String) {
    let start = || {
        let service = s3::shared().expect("an S3 service");
        let bucket = service.fresh_bucket().expect("a bucket");
        (service, bucket)
    };
    tokio::task::spawn_blocking(start).await.expect("joined")
}

fn s3(provider: &str, endpoint: &str, bucket: &str) -> Bucket {
    open(
        json!({ "id": "s3", "provider": provider, "endpoint": endpoint, "bucket": bucket, "region": "us-east-1",
                 "credentials": { "accessKey": "AKIAEXAMPLE", "secretKey": "wJalrXUtnFEMI/K7MDENG" } }),
    )
}

/// Holds the contract, and an object lies under the bucket and key that others know it by.
async fn holds_at(service: &Service, bucket: &Bucket) {
    contract::holds(bucket, Types::Remembered).await;
    let input = key("runs/trun_0/input.json");
    let put = bucket
        .put(&input, "{\"a\":1}", "application/json", Durability::Synced)
        .await;
    put.expect("put");
    let (service, name) = (service.clone(), bucket.backend().bucket.clone());
    let look = move || service.object(&name, "runs/trun_0/input.json");
    let seen = tokio::task::spawn_blocking(look)
        .await
        .expect("joined")
        .expect("an answer");
    assert_eq!(seen.as_deref(), Some("{\"a\":1}"));
}

#[tokio::test]
async fn aws_s3_by_virtual_host_holds_the_contract() {
    let (service, name) = s3_with_bucket().await;
    holds_at(&service, &s3("aws-s3", &service.url_by_name(), &name)).await;
}

#[tokio::test]
async fn aws_s3_at_an_address_holds_the_contract() {
    let (service, name) = s3_with_bucket().await;
    holds_at(&service, &s3("aws-s3", &service.url(), &name)).await;
}

#[tokio::test]
async fn minio_holds_the_contract() {
    let (service, name) = s3_with_bucket().await;
    holds_at(&service, &s3("minio", &service.url_by_name(), &name)).await;
}

#[tokio::test]
async fn a_bucket_that_is_missing_is_not_taken_for_a_missing_object() {
    let (service, _) = s3_with_bucket().await;
    let error = s3("minio", &service.url(), "no-such-bucket")
        .get(&key("a"), 10)
        .await
        .expect_err("no bucket");
    assert!(!error.is_retryable());
    assert!(error.to_string().contains("NoSuchBucket"), "{error}");
}

fn google(gcs: &Gcs, bucket: &str, email: &str) -> Value {
    json!({ "id": "gcs", "provider": "gcs", "endpoint": gcs.url, "bucket": bucket,
            "credentials": { "projectId": "test-project", "clientEmail": email, "privateKey": gcs::PRIVATE_KEY } })
}

#[tokio::test]
async fn google_cloud_storage_holds_the_contract() {
    let gcs = Gcs::start("prod").expect("an imitation");
    let bucket = open(google(&gcs, "prod", gcs::CLIENT_EMAIL));
    contract::holds(&bucket, Types::Remembered).await;
    bucket
        .put(&key("a/b c"), "x", "text/x-test", Durability::Synced)
        .await
        .expect("put");
    assert_eq!(
        gcs.object("prod", "a/b c"),
        Some((b"x".to_vec(), "text/x-test".to_owned()))
    );
}

#[tokio::test]
async fn google_refuses_another_account_and_another_bucket_for_good() {
    let gcs = Gcs::start("prod").expect("an imitation");
    for (backend, reason) in [
        (google(&gcs, "prod", "other@test-project"), "another account"),
        (google(&gcs, "test", gcs::CLIENT_EMAIL), "NoSuchBucket"),
    ] {
        let error = open(backend).get(&key("a"), 10).await.expect_err(reason);
        assert!(!error.is_retryable());
        assert!(error.to_string().contains(reason), "{error}");
    }
}

#[tokio::test]
async fn a_private_key_that_is_none_is_told_at_the_start_and_not_shown() {
    let mut backend = google(&Gcs::start("prod").expect("an imitation"), "prod", "a@b");
    backend["credentials"]["privateKey"] = json!("hunter2");
    let list = Value::Array(vec![backend]).to_string();
    let set = BackendSet::from_json(&list, None).expect("settings");
    let complaint = Backends::open(set).expect_err("no key").to_string();
    assert!(
        complaint.starts_with("storage backend \"gcs\" cannot be opened: "),
        "{complaint}"
    );
    assert!(!complaint.contains("hunter2"), "{complaint}");
}
