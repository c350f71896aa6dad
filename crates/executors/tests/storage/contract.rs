//! What every backend owes.

use bytes::Bytes;
use futures_util::TryStreamExt;
use quintet_executors::storage::{Bucket, Durability, StorageError};

use crate::key;

const LIMIT: u64 = 1024 * 1024;

/// Whether a backend remembers what an object was put as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Types {
    Remembered,
    Forgotten,
}

pub async fn holds(bucket: &Bucket, types: Types) {
    objects_come_back_as_they_were_put(bucket, types).await;
    keys_are_taken_letter_for_letter(bucket).await;
    what_is_not_there_is_missing(bucket).await;
    large_objects_come_in_pieces_and_not_beyond_the_limit(bucket).await;
    many_at_once_do_not_disturb_each_other(bucket).await;
}

async fn put(bucket: &Bucket, name: &str, content: &[u8]) {
    let (key, content) = (key(name), Bytes::copy_from_slice(content));
    let put = bucket.put(&key, content, "text/x-test", Durability::Unsynced).await;
    put.unwrap_or_else(|error| panic!("{name}: {error}"));
}

async fn got(bucket: &Bucket, name: &str) -> Bytes {
    let got = bucket.get(&key(name), LIMIT).await;
    got.unwrap_or_else(|error| panic!("{name}: {error}")).content
}

async fn objects_come_back_as_they_were_put(bucket: &Bucket, types: Types) {
    let binary: Vec<u8> = (0..=255).collect();
    for durability in [Durability::Synced, Durability::Unsynced] {
        let name = key("standalone/trun_0/input.bin");
        bucket
            .put(&name, binary.clone(), "application/x-test", durability)
            .await
            .expect("put");
        let object = bucket.get(&name, LIMIT).await.expect("object");
        assert_eq!(object.content, binary);
        let expected = (types == Types::Remembered).then(|| "application/x-test".to_owned());
        assert_eq!(object.content_type, expected);
        let metadata = bucket.head(&name).await.expect("metadata");
        assert_eq!((metadata.size_bytes, metadata.content_type), (256, expected));
    }
    put(bucket, "standalone/trun_0/input.bin", b"shorter").await;
    assert_eq!(got(bucket, "standalone/trun_0/input.bin").await, "shorter");
    put(bucket, "empty", b"").await;
    assert_eq!(got(bucket, "empty").await, "");
    assert_eq!(bucket.head(&key("empty")).await.expect("metadata").size_bytes, 0);
}

async fn keys_are_taken_letter_for_letter(bucket: &Bucket) {
    let names = [
        "runs/trun_0~2/assets/my file (1).txt",
        "runs/trun_0/assets/résumé.txt",
        "runs/trun_0/assets/a+b&c=d.txt",
        "runs/trun_0/assets/100%.txt",
        "runs/trun_0/assets/a%20b.txt",
        "runs/trun_0/assets/a b.txt",
        "runs/trun_0/assets/part#12",
        "runs/trun_0/assets/q?x=1",
    ];
    for name in names {
        put(bucket, name, name.as_bytes()).await;
    }
    for name in names {
        assert_eq!(got(bucket, name).await, name);
        bucket.delete(&key(name)).await.expect("deleted");
        assert!(bucket.head(&key(name)).await.is_err(), "{name}");
    }
}

async fn what_is_not_there_is_missing(bucket: &Bucket) {
    put(bucket, "gone/a", b"x").await;
    bucket.delete(&key("gone/a")).await.expect("deleted");
    for name in ["gone/a", "never/was", "gone"] {
        let missing = StorageError::NotFound {
            backend: bucket.backend().id.clone(),
            key: name.to_owned(),
        };
        assert_eq!(bucket.get(&key(name), LIMIT).await, Err(missing.clone()));
        assert_eq!(bucket.stream(&key(name)).await.err(), Some(missing.clone()));
        assert_eq!(bucket.head(&key(name)).await, Err(missing));
        assert_eq!(bucket.delete(&key(name)).await, Ok(()));
    }
    put(bucket, "gone/a", b"again").await;
    assert_eq!(got(bucket, "gone/a").await, "again");
}

async fn large_objects_come_in_pieces_and_not_beyond_the_limit(bucket: &Bucket) {
    let content: Vec<u8> = (0..3_000_000_u32).map(|number| (number % 251) as u8).collect();
    let name = key("large");
    bucket
        .put(&name, content.clone(), "application/octet-stream", Durability::Unsynced)
        .await
        .expect("put");
    let too_large = StorageError::TooLarge {
        key: "large".to_owned(),
        limit_bytes: 2_999_999,
    };
    assert_eq!(bucket.get(&name, 2_999_999).await, Err(too_large));
    assert_eq!(
        bucket.get(&name, 3_000_000).await.expect("object").content.len(),
        3_000_000
    );
    let stream = bucket.stream(&name).await.expect("stream");
    assert_eq!(stream.metadata.size_bytes, 3_000_000);
    let pieces: Vec<Bytes> = stream.chunks.try_collect().await.expect("pieces");
    assert!(pieces.len() > 1);
    assert!(pieces.concat() == content, "the pieces are not the object");
}

async fn many_at_once_do_not_disturb_each_other(bucket: &Bucket) {
    let one = |number: usize| async move {
        let name = format!("many/{}/{number}", number % 4);
        put(bucket, &name, number.to_string().as_bytes()).await;
        assert_eq!(got(bucket, &name).await, number.to_string());
        bucket.delete(&key(&name)).await.expect("deleted");
    };
    futures_util::future::join_all((0..32).map(one)).await;
}
