//! Keys of a store, by a clock that the test sets.

use std::sync::atomic::{AtomicI64, Ordering};

use quintet_executors::egress::{Guard, Policy};
use quintet_store::MemoryStore;

use super::*;

struct Set(AtomicI64);

impl Clock for Set {
    fn now(&self) -> Time {
        Time(self.0.load(Ordering::Relaxed))
    }
}

struct Stage {
    store: Arc<MemoryStore>,
    clock: Arc<Set>,
    folder: tempfile::TempDir,
}

impl Stage {
    fn new() -> Self {
        Self {
            store: Arc::default(),
            clock: Arc::new(Set(AtomicI64::new(1_800_000_000_000_000))),
            folder: tempfile::tempdir().expect("folder"),
        }
    }

    /// A node on the store.
    async fn node(&self, settings: &str) -> Identity {
        let mut config = Config::parse(settings).expect("settings");
        config.data_dir = self.folder.path().join("data");
        let clock: Arc<dyn Clock> = Arc::clone(&self.clock) as Arc<dyn Clock>;
        let store: Arc<dyn Store> = Arc::clone(&self.store) as Arc<dyn Store>;
        let client = Client::new(Guard::new(Policy::default()));
        Identity::open(&config, store, &client, &clock).await.expect("open")
    }

    fn pass_ms(&self, ms: u64) {
        self.clock.0.store(self.clock.now().plus_ms(ms).0, Ordering::Relaxed);
    }

    fn first_token(&self) -> Option<String> {
        let path = self.folder.path().join("data/admin-token");
        std::fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
    }
}

fn draft(name: &str, namespace: &str, grants: &[&str]) -> Draft {
    Draft {
        name: name.to_owned(),
        namespace: namespace.to_owned(),
        grants: grants.iter().map(|grant| grant.parse().expect("grant")).collect(),
        queues: None,
        expires_at: None,
    }
}

fn who(identity: &Identity, key: &str) -> Result<Caller, Reason> {
    let mut headers = HeaderMap::new();
    headers.insert("x-api-key", key.parse().expect("header"));
    identity.caller(&headers).map_err(|rejection| rejection.reason)
}

fn sentence(refused: Result<Shown, KeysError>) -> String {
    refused.err().map(|error| error.to_string()).unwrap_or_default()
}

const ALWAYS: &str = "auth:\n  required: true\n";

#[tokio::test]
async fn the_first_admin_is_made_once_and_its_token_is_for_its_owner_only() {
    let stage = Stage::new();
    let one = stage.node(ALWAYS).await;
    let token = stage.first_token().expect("token");
    let admin = who(&one, &token).expect("admin");
    assert!(admin.is_global() && admin.may(Permission::AuthWrite) && !one.is_open());
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let file = std::fs::metadata(stage.folder.path().join("data/admin-token")).expect("file");
        assert_eq!(file.permissions().mode() & 0o777, 0o600);
    }
    let again = stage.node(ALWAYS).await;
    assert_eq!(stage.first_token(), Some(token.clone()), "nothing was made again");
    assert!(who(&again, &token).is_ok());
}

#[tokio::test]
async fn no_first_admin_is_made_where_there_is_one_or_nobody_needs_any() {
    let stage = Stage::new();
    assert!(stage.node("").await.is_open());
    assert_eq!(stage.first_token(), None);
    let hash = "0".repeat(64);
    let with = |role: &str| {
        format!("auth:\n  required: true\n  api_keys: [{{ name: a, sha256: '{hash}', permissions: [{role}] }}]\n")
    };
    stage.node(&with("admin")).await;
    assert_eq!(stage.first_token(), None);
    stage.node(&with("viewer")).await;
    assert!(stage.first_token().is_some(), "a viewer makes no keys");
}

#[tokio::test]
async fn a_lost_admin_is_replaced_at_the_next_start() {
    let stage = Stage::new();
    let one = stage.node(ALWAYS).await;
    let token = stage.first_token().expect("token");
    let admin = who(&one, &token).expect("admin");
    let Credential::Key(id) = admin.credential() else {
        panic!("a stored key")
    };
    one.keys().revoke(&admin, id).await.expect("revoked");
    assert_eq!(who(&one, &token).err(), Some(Reason::Revoked));
    assert!(!one.is_open(), "revoking the last key opens nothing");
    let two = stage.node("").await;
    assert!(!two.is_open(), "nor does another start");
    let other = stage.first_token().expect("token");
    assert_ne!(other, token);
    assert!(who(&two, &other).is_ok());
}

#[tokio::test]
async fn a_key_lives_until_it_expires_or_is_revoked() {
    let stage = Stage::new();
    let node = stage.node(ALWAYS).await;
    let admin = who(&node, &stage.first_token().expect("token")).expect("admin");
    let mut wanted = draft("ci", "red", &["operator"]);
    wanted.expires_at = Some(node.now().plus_ms(60_000));
    let short = node.keys().create(&admin, wanted).await.expect("key");
    let caller = who(&node, &short.key).expect("known");
    assert_eq!((&*caller.name, &*caller.namespace), ("ci", "red"));
    assert!(caller.may(Permission::TasksCreate) && !caller.may(Permission::TemplatesWrite));
    stage.pass_ms(60_000);
    assert_eq!(who(&node, &short.key).err(), Some(Reason::Expired));

    let long = node
        .keys()
        .create(&admin, draft("ci", "red", &["operator"]))
        .await
        .expect("key");
    node.keys().revoke(&admin, &long.stored.id).await.expect("revoked");
    assert_eq!(who(&node, &long.key).err(), Some(Reason::Revoked));
    let again = node.keys().revoke(&admin, &long.stored.id).await.expect("revoked");
    assert!(again.revoked_at.is_some());
}

#[tokio::test]
async fn another_node_refuses_a_revoked_key_after_its_next_look() {
    let stage = Stage::new();
    let (one, two) = (stage.node(ALWAYS).await, stage.node(ALWAYS).await);
    let admin = who(&one, &stage.first_token().expect("token")).expect("admin");
    let made = one
        .keys()
        .create(&admin, draft("ci", "red", &["viewer"]))
        .await
        .expect("key");
    assert_eq!(who(&two, &made.key).err(), Some(Reason::Invalid));
    two.keys().refresh().await.expect("look");
    assert!(who(&two, &made.key).is_ok());
    one.keys().revoke(&admin, &made.stored.id).await.expect("revoked");
    assert!(who(&two, &made.key).is_ok());
    two.keys().refresh().await.expect("look");
    assert_eq!(who(&two, &made.key).err(), Some(Reason::Revoked));
}

#[tokio::test]
async fn nobody_hands_out_more_than_it_has() {
    let stage = Stage::new();
    let node = stage.node(ALWAYS).await;
    let keys = node.keys();
    let admin = who(&node, &stage.first_token().expect("token")).expect("admin");
    let red = keys.create(&admin, draft("red", "red", &["admin"])).await.expect("key");
    let red = who(&node, &red.key).expect("known");
    for namespace in ["blue", "*"] {
        let said = sentence(keys.create(&red, draft("x", namespace, &["viewer"])).await);
        assert!(said.contains("namespace `red` only"), "{said}");
    }
    assert!(keys.create(&red, draft("x", "red", &["admin"])).await.is_ok());

    let maker = keys
        .create(&admin, draft("maker", "red", &["viewer", "auth:*"]))
        .await
        .expect("key");
    let maker_id = maker.stored.id.to_string();
    let maker = who(&node, &maker.key).expect("known");
    assert!(keys.create(&maker, draft("x", "red", &["viewer"])).await.is_ok());
    for grant in ["operator", "admin", "tasks:*", "dlq:purge"] {
        let said = sentence(keys.create(&maker, draft("x", "red", &[grant])).await);
        assert!(said.contains("cannot give it"), "{grant}: {said}");
    }
    let strong = keys
        .create(&red, draft("strong", "red", &["operator"]))
        .await
        .expect("key");
    let said = sentence(keys.rotate(&maker, &strong.stored.id, 0, None).await);
    assert!(
        said.contains("cannot give it"),
        "replacing a key would hand it over: {said}"
    );
    assert!(keys.rotate(&maker, &maker_id, 0, None).await.is_ok());

    let mut narrow = draft("narrow", "red", &["worker", "auth:write"]);
    narrow.queues = Some(vec!["gpu".to_owned()]);
    let narrow = keys.create(&admin, narrow).await.expect("key");
    let narrow = who(&node, &narrow.key).expect("known");
    let said = sentence(keys.create(&narrow, draft("x", "red", &["worker"])).await);
    assert!(said.contains("certain queues"), "{said}");
}

#[tokio::test]
async fn a_key_of_another_namespace_is_not_there() {
    let stage = Stage::new();
    let node = stage.node(ALWAYS).await;
    let keys = node.keys();
    let admin = who(&node, &stage.first_token().expect("token")).expect("admin");
    let red = keys.create(&admin, draft("red", "red", &["admin"])).await.expect("key");
    let blue = keys
        .create(&admin, draft("blue", "blue", &["admin"]))
        .await
        .expect("key");
    let red = who(&node, &red.key).expect("known");
    let id = &blue.stored.id;
    assert!(matches!(keys.get(&red, id).await, Err(KeysError::NotFound)));
    assert!(matches!(keys.revoke(&red, id).await, Err(KeysError::NotFound)));
    assert!(matches!(keys.rotate(&red, id, 0, None).await, Err(KeysError::NotFound)));
    let listed = keys.list(&red, None, None, 10).await.expect("list");
    assert!(listed.iter().all(|key| key.namespace == "red") && listed.len() == 1);
    assert!(keys.list(&red, Some("blue"), None, 10).await.expect("list").is_empty());
    assert_eq!(keys.list(&admin, None, None, 10).await.expect("list").len(), 3);
}

#[tokio::test]
async fn a_replaced_key_goes_on_for_as_long_as_was_said() {
    let stage = Stage::new();
    let node = stage.node(ALWAYS).await;
    let keys = node.keys();
    let admin = who(&node, &stage.first_token().expect("token")).expect("admin");
    let mut wanted = draft("ci", "red", &["operator"]);
    wanted.expires_at = Some(node.now().plus_ms(1_000_000));
    let old = keys.create(&admin, wanted).await.expect("key");
    stage.pass_ms(500_000);
    let new = keys
        .rotate(&admin, &old.stored.id, 10_000, None)
        .await
        .expect("rotated");
    assert_eq!(new.stored.replaces.as_deref(), Some(&*old.stored.id));
    assert_eq!(
        new.stored.expires_at,
        Some(node.now().plus_ms(1_000_000)),
        "it lives as long as the old one was made for"
    );
    assert!(who(&node, &old.key).is_ok() && who(&node, &new.key).is_ok());
    stage.pass_ms(10_000);
    assert_eq!(who(&node, &old.key).err(), Some(Reason::Expired));
    assert!(matches!(
        keys.rotate(&admin, &old.stored.id, 0, None).await,
        Err(KeysError::Ended("expired"))
    ));
    let newer = keys.rotate(&admin, &new.stored.id, 0, None).await.expect("rotated");
    assert_eq!(who(&node, &new.key).err(), Some(Reason::Revoked));
    assert!(who(&node, &newer.key).is_ok());
}

#[tokio::test]
async fn what_is_stored_of_a_key_does_not_open_anything() {
    let stage = Stage::new();
    let node = stage.node(ALWAYS).await;
    let token = stage.first_token().expect("token");
    let records = stage
        .store
        .records(OWN_NAMESPACE, stored::KIND, None, 10)
        .await
        .expect("records");
    let [record] = records.as_slice() else {
        panic!("one key")
    };
    let secret = &token[16..];
    assert!(!record.body.contains(secret) && !record.body.contains(&token));
    let hash = key::to_hex(&key::digest(&token));
    assert!(record.body.contains(&hash));
    for shown in [hash.as_str(), &record.id, &format!("qk_{}_{hash}", record.id)] {
        assert_eq!(who(&node, shown).err(), Some(Reason::Invalid));
    }
}

#[tokio::test]
async fn the_last_use_is_stored_about_once_a_minute() {
    let stage = Stage::new();
    let node = stage.node(ALWAYS).await;
    let token = stage.first_token().expect("token");
    let admin = who(&node, &token).expect("admin");
    let Credential::Key(id) = admin.credential().clone() else {
        panic!("a stored key")
    };
    let version = async || {
        stage
            .store
            .record(OWN_NAMESPACE, stored::KIND, &id)
            .await
            .expect("record")
            .map(|r| r.version)
    };
    node.tick().await;
    assert_eq!(version().await, Some(2));
    stage.pass_ms(30_000);
    assert!(who(&node, &token).is_ok());
    node.tick().await;
    assert_eq!(version().await, Some(2), "half a minute later nothing is stored");
    let seen = node.keys().get(&admin, &id).await.expect("key");
    assert_eq!(seen.last_used_at, Some(stage.clock.now()), "though it is shown");
    stage.pass_ms(30_000);
    assert!(who(&node, &token).is_ok());
    node.tick().await;
    assert_eq!(version().await, Some(3));
    assert!(who(&node, &token).is_ok(), "and the key is as good as before");
}

#[tokio::test]
async fn the_first_key_of_an_open_server_is_an_admins() {
    let stage = Stage::new();
    let node = stage.node("").await;
    let said = sentence(
        node.keys()
            .create(&Caller::anonymous(), draft("x", "red", &["viewer"]))
            .await,
    );
    assert!(said.contains("must be an admin's"), "{said}");
    assert!(node.is_open());
    let admin = node
        .keys()
        .create(&Caller::anonymous(), draft("x", "*", &["admin"]))
        .await
        .expect("key");
    assert!(!node.is_open() && who(&node, &admin.key).is_ok());
}

#[tokio::test]
async fn the_key_for_the_process_itself_is_stored_nowhere() {
    let stage = Stage::new();
    assert!(
        stage.node("").await.own_key().expect("key").is_none(),
        "nobody needs one"
    );
    let node = stage.node(ALWAYS).await;
    let key = node.own_key().expect("key").expect("one is needed");
    assert!(who(&node, &key).is_ok_and(|caller| caller.may(Permission::TasksDelete)));
    assert_eq!(who(&stage.node(ALWAYS).await, &key).err(), Some(Reason::Invalid));
}
