//! What holds for every backend, on a driver that does as it is told. The backends themselves are tried in `tests/`.

use super::*;
use crate::storage::backend::tests::{local, of};
use futures_util::stream;
use serde_json::json;

#[derive(Debug)]
enum Told {
    /// Announces a length and gives other chunks.
    Chunks(u64, Vec<&'static [u8]>),
    /// Says nothing, ever.
    Hang,
    /// Gives a chunk and then nothing, ever.
    HangAfterOne,
    /// Complains.
    Complain(&'static str),
}

#[async_trait]
impl Driver for Told {
    async fn put(&self, _: &Key, _: Bytes, _: &str, _: Durability) -> Result<(), Failure> {
        match self {
            Told::Complain(reason) => Err(Failure::passing(*reason)),
            _ => std::future::pending().await,
        }
    }

    async fn read(&self, _: &Key) -> Result<Reading, Failure> {
        let (size_bytes, chunks) = match self {
            Told::Chunks(size, chunks) => (
                *size,
                stream::iter(chunks.clone()).map(|chunk| Ok(Bytes::from(chunk))).boxed(),
            ),
            Told::HangAfterOne => {
                let one = stream::iter([Ok(Bytes::from("x"))]);
                (2, one.chain(stream::pending()).boxed())
            }
            Told::Hang => std::future::pending().await,
            Told::Complain(reason) => return Err(Failure::permanent(*reason)),
        };
        let metadata = Metadata {
            size_bytes,
            content_type: None,
        };
        Ok(Reading { metadata, chunks })
    }

    async fn head(&self, _: &Key) -> Result<Metadata, Failure> {
        Err(Failure::Missing)
    }

    async fn delete(&self, _: &Key) -> Result<(), Failure> {
        Err(Failure::Missing)
    }
}

fn told(backend: Backend, driver: Told) -> Bucket {
    let driver = Box::new(driver);
    let patience = Duration::from_millis(20);
    Bucket(Arc::new(Opened {
        backend,
        driver,
        patience,
    }))
}

fn key() -> Key {
    Key::parse("a/b").unwrap()
}

#[tokio::test]
async fn an_object_that_is_too_large_is_refused_whatever_length_it_announced() {
    let too_large = Err(StorageError::TooLarge {
        key: "a/b".to_owned(),
        limit_bytes: 3,
    });
    for (announced, chunks) in [(4, vec![&b"abcd"[..]]), (3, vec![b"ab", b"cd"]), (0, vec![b"abcd"])] {
        let bucket = told(local("/x"), Told::Chunks(announced, chunks));
        assert_eq!(bucket.get(&key(), 3).await, too_large);
    }
    let fits = told(local("/x"), Told::Chunks(3, vec![b"ab", b"c"]));
    assert_eq!(fits.get(&key(), 3).await.unwrap().content, "abc");
}

#[tokio::test]
async fn a_backend_that_does_not_answer_is_given_up_and_may_be_asked_again() {
    let silent = told(local("/x"), Told::Hang);
    for error in [
        silent.get(&key(), 9).await.unwrap_err(),
        silent
            .put(&key(), "x", "text/plain", Durability::Synced)
            .await
            .unwrap_err(),
        told(local("/x"), Told::HangAfterOne).get(&key(), 9).await.unwrap_err(),
    ] {
        assert!(error.is_retryable(), "{error}");
        assert!(error.to_string().contains("no answer within 20 ms"), "{error}");
    }
}

#[tokio::test]
async fn nothing_follows_the_error_in_a_stream() {
    let mut stream = told(local("/x"), Told::HangAfterOne).stream(&key()).await.unwrap();
    assert_eq!(stream.chunks.next().await, Some(Ok(Bytes::from("x"))));
    assert!(stream.chunks.next().await.unwrap().is_err());
    assert_eq!(stream.chunks.next().await, None);
}

#[tokio::test]
async fn a_service_that_repeats_credentials_is_quoted_without_them() {
    let aws = || {
        of(json!({ "id": "a", "provider": "aws-s3", "bucket": "b", "credentials":
            { "accessKeyId": "AKIAEXAMPLE", "secretAccessKey": "wJalrXUtnFEMI", "sessionToken": "IQoJb3JpZ2luX2Vj" } }))
        .unwrap()
    };
    let answer = "<Token-0>IQoJb3JpZ2luX2Vj</Token-0> AKIAEXAMPLE wJalrXUtnFEMI";
    let error = told(aws(), Told::Complain(answer)).get(&key(), 9).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "storage backend \"a\" is unavailable: <Token-0>…</Token-0> … …"
    );
    assert!(!error.is_retryable());
}

#[tokio::test]
async fn a_long_complaint_is_cut() {
    let bucket = told(
        local("/x"),
        Told::Complain(Box::leak("ü".repeat(10_000).into_boxed_str())),
    );
    let error = bucket
        .put(&key(), "x", "text/plain", Durability::Synced)
        .await
        .unwrap_err();
    assert!(error.to_string().chars().count() < 600);
    assert!(error.is_retryable());
}

#[tokio::test]
async fn what_is_not_there_is_missing_for_head_and_gone_for_delete() {
    let bucket = told(local("/x"), Told::Hang);
    let missing = StorageError::NotFound {
        backend: "l".to_owned(),
        key: "a/b".to_owned(),
    };
    assert_eq!(bucket.head(&key()).await, Err(missing));
    assert_eq!(bucket.delete(&key()).await, Ok(()));
}

#[test]
fn larger_objects_have_more_time() {
    let bucket = told(local("/x"), Told::Hang);
    let more = |size_bytes| bucket.time_for(size_bytes) - bucket.time_for(0);
    assert_eq!(more(BYTES_PER_SECOND - 1), Duration::ZERO);
    assert_eq!(more(100 * BYTES_PER_SECOND), Duration::from_secs(100));
}
