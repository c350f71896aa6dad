//! Pairs that can and cannot be used, files that change, and handshakes that never end.

use tokio::net::TcpListener;

use super::*;

/// A fresh pair for this name, as files of a folder.
fn write_pair(folder: &Path, name: &str) {
    let made = rcgen::generate_simple_self_signed([name.to_owned()]).expect("certificate");
    std::fs::write(folder.join("cert.pem"), made.cert.pem()).expect("written");
    std::fs::write(folder.join("key.pem"), made.signing_key.serialize_pem()).expect("written");
}

fn settings(folder: &Path) -> config::Server {
    config::Server {
        tls_cert: Some(folder.join("cert.pem")),
        tls_key: Some(folder.join("key.pem")),
        ..config::Server::default()
    }
}

fn opened(folder: &Path) -> Arc<Tls> {
    Tls::open(&settings(folder)).expect("usable").expect("wanted")
}

#[test]
fn what_cannot_be_used_is_named_with_its_setting() {
    let folder = tempfile::tempdir().expect("folder");
    let complaint = || Tls::open(&settings(folder.path())).expect_err("refused").to_string();
    assert!(
        complaint().contains("`server.tls_cert`: cannot read"),
        "{}",
        complaint()
    );
    write_pair(folder.path(), "a.test");
    std::fs::write(folder.path().join("key.pem"), "no key").expect("written");
    assert!(complaint().contains("with a private key"), "{}", complaint());
    std::fs::write(folder.path().join("cert.pem"), "no certificate").expect("written");
    assert!(complaint().contains("with certificates"), "{}", complaint());
}

#[test]
fn a_key_of_another_certificate_is_refused() {
    let (folder, other) = (
        tempfile::tempdir().expect("folder"),
        tempfile::tempdir().expect("folder"),
    );
    write_pair(folder.path(), "a.test");
    write_pair(other.path(), "a.test");
    std::fs::copy(other.path().join("key.pem"), folder.path().join("key.pem")).expect("copied");
    let refused = Tls::open(&settings(folder.path()));
    assert!(matches!(refused, Err(TlsError::Pair(_))), "{refused:?}");
}

#[test]
fn files_that_changed_are_taken_whole_and_bad_ones_complained_about_once() {
    let folder = tempfile::tempdir().expect("folder");
    write_pair(folder.path(), "a.test");
    let tls = opened(folder.path());
    let config = || Arc::clone(&tls.current.read().expect("a lock"));
    let first = config();
    assert!(matches!(tls.reload(Reload::WhenChanged), Ok(Reloaded::Unchanged)));
    let good = std::fs::read(folder.path().join("key.pem")).expect("read");
    std::fs::write(folder.path().join("key.pem"), "half").expect("written");
    assert!(tls.reload(Reload::WhenChanged).is_err());
    assert!(Arc::ptr_eq(&first, &config()), "the old pair stays");
    assert!(matches!(tls.reload(Reload::WhenChanged), Ok(Reloaded::Unchanged)));
    assert!(tls.reload(Reload::Always).is_err(), "whoever asks is told again");
    std::fs::write(folder.path().join("key.pem"), good).expect("written");
    assert!(matches!(tls.reload(Reload::WhenChanged), Ok(Reloaded::Taken)));
    assert!(!Arc::ptr_eq(&first, &config()));
}

#[test]
fn browsers_are_held_to_tls_but_not_for_localhost() {
    let told = |host: &'static str| {
        let mut headers = HeaderMap::new();
        insist(Some(&HeaderValue::from_static(host)), &mut headers);
        headers.contains_key("strict-transport-security")
    };
    assert!(told("quintet.example") && told("quintet.example:8443"));
    assert!(!told("localhost:8443") && !told("LOCALHOST") && !told("a.localhost"));
}

#[tokio::test]
async fn a_handshake_that_does_not_come_is_given_up() {
    let folder = tempfile::tempdir().expect("folder");
    write_pair(folder.path(), "a.test");
    let tls = opened(folder.path());
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let address = listener.local_addr().expect("address");
    // Nothing at all, and the beginning of a record that never ends.
    for beginning in [&b""[..], b"\x16\x03\x01\x02\x00\x01"] {
        let mut client = TcpStream::connect(address).await.expect("connected");
        let (socket, _) = listener.accept().await.expect("accepted");
        client.write_all(beginning).await.expect("sent");
        let ended = tls.accept_within(socket, Duration::from_millis(50)).await;
        let error = ended.expect_err("given up");
        assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
    }
}
