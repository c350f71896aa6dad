//! A folder of this machine as a bucket, and everything by which somebody might get out of it.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use quintet_executors::storage::{BackendSet, Backends, Bucket, Durability, Key, KeyError, StorageError};
use serde_json::json;

use crate::contract::{self, Types};
use crate::{key, open};

/// A bucket at `base` beside a file that nobody may see.
struct Place {
    folder: tempfile::TempDir,
    bucket: Bucket,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("folder");
        std::fs::create_dir(folder.path().join("outside")).expect("outside");
        std::fs::write(folder.path().join("outside/secret"), "hunter2").expect("secret");
        let bucket = at(&folder.path().join("base"));
        Self { folder, bucket }
    }

    fn base(&self) -> PathBuf {
        self.folder.path().join("base")
    }

    fn outside(&self, name: &str) -> Option<String> {
        std::fs::read_to_string(self.folder.path().join("outside").join(name)).ok()
    }
}

fn at(base: &Path) -> Bucket {
    open(
        json!({ "id": "local-dev", "provider": "local", "endpoint": "file://", "bucket": "data",
                 "credentials": { "basePath": base } }),
    )
}

async fn put(bucket: &Bucket, name: &str, content: &'static str) -> Result<(), StorageError> {
    bucket.put(&key(name), content, "text/plain", Durability::Synced).await
}

#[tokio::test]
async fn a_folder_holds_the_contract() {
    contract::holds(&Place::new().bucket, Types::Forgotten).await;
}

#[tokio::test]
async fn an_object_is_the_file_that_workers_look_for_and_the_bucket_is_no_part_of_it() {
    let place = Place::new();
    put(&place.bucket, "runs/trun_0/output #1%.json", "{}")
        .await
        .expect("put");
    let file = place.base().join("runs/trun_0/output #1%.json");
    assert_eq!(std::fs::read_to_string(&file).expect("file"), "{}");
    // And the other way round: what a worker left there.
    std::fs::create_dir_all(place.base().join("runs/trun_1/assets")).expect("folders");
    std::fs::write(place.base().join("runs/trun_1/assets/ä b"), "left").expect("file");
    let got = place
        .bucket
        .get(&key("runs/trun_1/assets/ä b"), 100)
        .await
        .expect("object");
    assert_eq!(got.content, "left");
}

#[tokio::test]
async fn nothing_but_the_object_is_left_behind() {
    let place = Place::new();
    for content in ["one", "two"] {
        put(&place.bucket, "a/b/c", content).await.expect("put");
    }
    let names: Vec<_> = std::fs::read_dir(place.base().join("a/b"))
        .expect("folder")
        .flatten()
        .collect();
    assert_eq!(names.len(), 1, "{names:?}");
    // A put that fails takes its staged file along.
    std::fs::create_dir(place.base().join("a/b/d")).expect("folder");
    let refused = put(&place.bucket, "a/b/d", "x").await;
    assert_eq!(refused, Err(StorageError::InvalidPath(KeyError::NotPlain)));
    assert_eq!(std::fs::read_dir(place.base().join("a/b")).expect("folder").count(), 2);
    std::fs::remove_dir(place.base().join("a/b/d")).expect("removed");
    place.bucket.delete(&key("a/b/c")).await.expect("deleted");
    assert_eq!(
        std::fs::read_dir(place.base()).expect("folder").count(),
        0,
        "empty folders remain"
    );
}

#[tokio::test]
async fn a_delete_leaves_folders_that_are_in_use() {
    let place = Place::new();
    for name in ["a/b/c", "a/d"] {
        put(&place.bucket, name, "x").await.expect("put");
    }
    place.bucket.delete(&key("a/b/c")).await.expect("deleted");
    assert!(!place.base().join("a/b").exists());
    assert!(place.bucket.head(&key("a/d")).await.is_ok());
}

#[test]
fn no_key_that_climbs_can_be_made() {
    for (text, error) in [
        ("../outside/secret", KeyError::DotSegment),
        ("a/../../outside/secret", KeyError::DotSegment),
        ("..%2foutside%2fsecret", KeyError::DotSegment),
        ("%2e%2e/outside/secret", KeyError::DotSegment),
        ("/etc/hostname", KeyError::Absolute),
        ("%2fetc/hostname", KeyError::Absolute),
        ("..\\outside\\secret", KeyError::Backslash),
        ("secret\0.json", KeyError::Control),
    ] {
        assert_eq!(Key::parse(text), Err(error), "{text}");
    }
}

/// Every operation on a key is refused, and what is outside stays as it is.
async fn is_refused(place: &Place, name: &str) {
    let not_plain = StorageError::InvalidPath(KeyError::NotPlain);
    let bucket = &place.bucket;
    assert_eq!(
        bucket.get(&key(name), 1000).await.err(),
        Some(not_plain.clone()),
        "get {name}"
    );
    assert_eq!(
        bucket.stream(&key(name)).await.err(),
        Some(not_plain.clone()),
        "stream {name}"
    );
    assert_eq!(bucket.head(&key(name)).await.err(), Some(not_plain), "head {name}");
}

#[tokio::test]
async fn a_link_to_a_file_is_not_followed_wherever_it_leads() {
    let place = Place::new();
    put(&place.bucket, "a/inside", "x").await.expect("put");
    symlink(
        place.folder.path().join("outside/secret"),
        place.base().join("a/absolute"),
    )
    .expect("link");
    symlink("../../outside/secret", place.base().join("a/relative")).expect("link");
    symlink("inside", place.base().join("a/near")).expect("link");
    symlink("nowhere", place.base().join("a/dangling")).expect("link");
    for name in ["a/absolute", "a/relative", "a/near", "a/dangling"] {
        is_refused(&place, name).await;
    }
    // A put takes the link's place, and a delete takes the link; neither touches what it led to.
    put(&place.bucket, "a/absolute", "mine").await.expect("put");
    assert_eq!(
        place.bucket.get(&key("a/absolute"), 100).await.expect("object").content,
        "mine"
    );
    place.bucket.delete(&key("a/relative")).await.expect("deleted");
    assert_eq!(place.outside("secret").as_deref(), Some("hunter2"));
}

#[tokio::test]
async fn a_link_to_a_folder_is_not_followed_wherever_it_leads() {
    let place = Place::new();
    put(&place.bucket, "a/inside/b", "x").await.expect("put");
    symlink(place.folder.path().join("outside"), place.base().join("out")).expect("link");
    symlink("inside", place.base().join("a/near")).expect("link");
    let not_plain = Err(StorageError::InvalidPath(KeyError::NotPlain));
    for name in ["out/secret", "a/near/b"] {
        is_refused(&place, name).await;
        assert_eq!(place.bucket.delete(&key(name)).await, not_plain, "delete {name}");
    }
    for name in ["out/new", "out/secret", "out/deep/new", "a/near/c"] {
        assert_eq!(put(&place.bucket, name, "x").await, not_plain, "put {name}");
    }
    assert_eq!(place.outside("secret").as_deref(), Some("hunter2"));
    assert_eq!(
        std::fs::read_dir(place.folder.path().join("outside"))
            .expect("outside")
            .count(),
        1
    );
}

#[tokio::test]
async fn what_is_no_plain_file_is_no_object() {
    let place = Place::new();
    put(&place.bucket, "folder/file", "x").await.expect("put");
    let pipe = place.base().join("pipe");
    assert!(
        std::process::Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .expect("mkfifo")
            .success()
    );
    for name in ["folder", "pipe", "folder/file/deeper"] {
        is_refused(&place, name).await;
    }
    assert!(put(&place.bucket, "folder/file/deeper", "x").await.is_err());
}

#[tokio::test]
async fn a_name_that_the_file_system_cannot_take_is_a_wrong_key() {
    let place = Place::new();
    let name = "x".repeat(300);
    let too_long = StorageError::InvalidPath(KeyError::SegmentTooLong);
    assert_eq!(put(&place.bucket, &name, "x").await, Err(too_long.clone()));
    assert_eq!(place.bucket.head(&key(&format!("{name}/y"))).await, Err(too_long));
}

#[tokio::test]
async fn puts_and_deletes_of_neighbours_do_not_trip_over_each_other() {
    let place = Place::new();
    let bucket = &place.bucket;
    // Each delete finds its folder empty about as often as the other's put finds it there.
    let churn = |name: &'static str| async move {
        for _ in 0..200 {
            put(bucket, name, "x").await.expect("put");
            bucket.delete(&key(name)).await.expect("deleted");
        }
    };
    tokio::join!(churn("shared/a"), churn("shared/b"));
}

#[tokio::test]
async fn readers_see_the_old_content_or_the_new_and_never_a_half() {
    let place = Place::new();
    let bucket = &place.bucket;
    let contents = ["a".repeat(200_000), "b".repeat(300_000)];
    let name = key("flips");
    let flip = |content: &String| bucket.put(&name, content.clone(), "text/plain", Durability::Unsynced);
    flip(&contents[0]).await.expect("put");
    let write = async {
        for round in 0..50 {
            flip(&contents[round % 2]).await.expect("put");
        }
    };
    let read = async {
        for _ in 0..50 {
            let got = bucket.get(&name, 1_000_000).await.expect("object").content;
            assert!(
                contents.iter().any(|content| got == content.as_bytes()),
                "{} bytes",
                got.len()
            );
        }
    };
    tokio::join!(write, read);
}

#[tokio::test]
async fn a_folder_that_vanishes_is_made_again() {
    let place = Place::new();
    std::fs::remove_dir(place.base()).expect("removed");
    assert!(matches!(
        place.bucket.head(&key("a")).await,
        Err(StorageError::NotFound { .. })
    ));
    put(&place.bucket, "a", "x").await.expect("put");
    assert!(place.base().join("a").is_file());
}

#[test]
fn a_relative_base_is_made_absolute_and_created() {
    let folder = tempfile::tempdir_in(".").expect("folder");
    let relative = Path::new(folder.path().file_name().expect("name")).join("./storage");
    let bucket = at(&relative);
    let absolute = bucket.backend().base_path().expect("base").to_owned();
    assert!(absolute.is_absolute(), "{absolute:?}");
    assert!(absolute.is_dir());
    assert_eq!(
        absolute.canonicalize().unwrap(),
        folder.path().join("storage").canonicalize().unwrap()
    );
}

#[test]
fn a_base_that_cannot_be_a_folder_is_told_at_the_start() {
    let file = tempfile::NamedTempFile::new().expect("file");
    let list = json!([{ "id": "l", "provider": "local", "credentials": { "basePath": file.path() } }]);
    let set = BackendSet::from_json(&list.to_string(), None).expect("settings");
    let complaint = Backends::open(set).expect_err("no folder").to_string();
    assert!(
        complaint.starts_with("storage backend \"l\" cannot be opened: "),
        "{complaint}"
    );
}

#[tokio::test]
async fn backends_are_found_by_id_and_one_of_them_is_the_default() {
    let folder = tempfile::tempdir().expect("folder");
    let one =
        |id: &str| json!({ "id": id, "provider": "local", "credentials": { "basePath": folder.path().join(id) } });
    let list = json!([one("a"), one("b")]).to_string();
    let backends = Backends::open(BackendSet::from_json(&list, Some("b")).expect("settings")).expect("backends");
    assert_eq!(backends.default_bucket().backend().id, "b");
    assert!(backends.bucket("c").is_none());
    put(backends.bucket("a").expect("a"), "x", "of a").await.expect("put");
    assert!(backends.default_bucket().head(&key("x")).await.is_err());
    let views: Vec<_> = backends
        .views()
        .into_iter()
        .map(|view| (view.id, view.is_default))
        .collect();
    assert_eq!(views, [("a".to_owned(), false), ("b".to_owned(), true)]);
}
