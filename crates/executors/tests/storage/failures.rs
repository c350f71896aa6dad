//! Services that fail: what is tried again, what is given up, and what is told.

use quintet_executors::storage::{Bucket, Durability, StorageError};
use serde_json::json;

use crate::support::{Target, answer, redirect};
use crate::{key, open};

const SECRET: &str = "wJalrXUtnFEMI/K7MDENG";

fn at(endpoint: &str) -> Bucket {
    open(
        json!({ "id": "s3", "provider": "minio", "endpoint": endpoint, "bucket": "dev",
                 "credentials": { "accessKey": "AKIAEXAMPLE", "secretKey": SECRET } }),
    )
}

async fn put(bucket: &Bucket) -> Result<(), StorageError> {
    bucket.put(&key("a"), "x", "text/plain", Durability::Synced).await
}

#[tokio::test]
async fn a_service_that_recovers_soon_is_not_noticed() {
    let count = std::sync::atomic::AtomicUsize::new(0);
    let target = Target::start(move |_| match count.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
        0 | 1 => answer(503, "", "<Error><Code>SlowDown</Code></Error>"),
        _ => answer(200, "etag: \"1\"\r\n", ""),
    })
    .await;
    assert_eq!(put(&at(&target.url(""))).await, Ok(()));
    assert_eq!(target.seen().len(), 3);
}

#[tokio::test]
async fn a_service_that_stays_down_is_given_up_for_now() {
    let target = Target::start(|_| answer(503, "", "<Error><Code>SlowDown</Code></Error>")).await;
    let error = put(&at(&target.url(""))).await.expect_err("down");
    assert!(error.is_retryable(), "{error}");
    assert!(error.to_string().contains("503"), "{error}");
    assert_eq!(target.seen().len(), 4);
}

#[tokio::test]
async fn a_refusal_is_final_and_quoted_without_credentials() {
    let body = format!("<Error><Code>InvalidAccessKeyId</Code><Id>AKIAEXAMPLE</Id><Was>{SECRET}</Was></Error>");
    for status in [400, 403] {
        let body = body.clone();
        let target = Target::start(move |_| answer(status, "", &body)).await;
        let error = put(&at(&target.url(""))).await.expect_err("refused");
        assert!(!error.is_retryable(), "{error}");
        let text = error.to_string();
        assert!(text.contains("InvalidAccessKeyId"), "{text}");
        assert!(!text.contains("AKIAEXAMPLE") && !text.contains(SECRET), "{text}");
        assert_eq!(target.seen().len(), 1);
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed_with_credentials_in_hand() {
    let elsewhere = Target::saying("{}").await;
    let to = elsewhere.url("/dev/a");
    let target = Target::start(move |_| redirect(307, &to)).await;
    let error = at(&target.url("")).get(&key("a"), 10).await.expect_err("redirected");
    assert!(!error.is_retryable(), "{error}");
    assert_eq!(elsewhere.seen().len(), 0);
}

#[tokio::test]
async fn where_nobody_listens_another_try_may_help() {
    let target = Target::saying("").await;
    let url = target.url("");
    drop(target);
    let error = at(&url).head(&key("a")).await.expect_err("nobody");
    assert!(error.is_retryable(), "{error}");
}

#[tokio::test]
async fn requests_are_signed_and_say_what_is_put() {
    let target = Target::start(|_| answer(200, "etag: \"1\"\r\n", "")).await;
    put(&at(&target.url(""))).await.expect("put");
    let seen = &target.seen()[0];
    assert_eq!((seen.method.as_str(), seen.path.as_str()), ("PUT", "/dev/a"));
    assert_eq!(seen.headers["content-type"], "text/plain");
    let authorization = &seen.headers["authorization"];
    assert!(
        authorization.starts_with("AWS4-HMAC-SHA256 Credential=AKIAEXAMPLE/"),
        "{authorization}"
    );
    assert!(authorization.contains("/us-east-1/s3/aws4_request"), "{authorization}");
    assert!(!authorization.contains(SECRET));
}
