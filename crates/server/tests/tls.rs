//! TLS of the server's own: certificates of an authority that each test makes, a client on plain sockets, and the
//! command line.

mod serving;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ClientConnection, ProtocolVersion, RootCertStore, StreamOwned};
use serving::{Answer, PATIENCE, Server, folder, quintet, run, stderr};
use tempfile::TempDir;

/// Of the servers, beside `localhost`.
const NAME: &str = "quintet.test";

/// Makes certificates. What a certificate says of its owner is also in its name, so that tests can tell them apart.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        params
            .distinguished_name
            .push(DnType::CommonName, "authority of a test");
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().expect("key")).expect("authority"))
    }

    /// Writes a certificate for these names, and its key.
    fn write(&self, folder: &Path, file: &str, names: &[&str]) {
        let names = names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let params = CertificateParams::new(names).expect("names");
        let key = KeyPair::generate().expect("key");
        let cert = params.signed_by(&key, &self.0).expect("certificate");
        std::fs::write(folder.join(format!("{file}.pem")), cert.pem()).expect("written");
        std::fs::write(folder.join(format!("{file}.key")), key.serialize_pem()).expect("written");
    }

    fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).expect("root");
        roots
    }
}

/// A folder with an authority's file and a server's pair.
fn prepared() -> (TempDir, Authority) {
    let (folder, authority) = (folder(), Authority::new());
    std::fs::write(folder.path().join("ca.pem"), authority.0.pem()).expect("written");
    authority.write(folder.path(), "server", &["localhost", NAME]);
    (folder, authority)
}

fn start(folder: &TempDir, more: &[&str]) -> Server {
    let pair = ["--tls-cert", "server.pem", "--tls-key", "server.key"];
    let words: Vec<_> = pair.iter().chain(more).copied().collect();
    let names = format!("[\"{NAME}\"]");
    Server::with(folder.path(), &words, &[("QUINTET_SERVER__ALLOWED_HOSTS", &names)])
}

type Secure = StreamOwned<ClientConnection, TcpStream>;

fn client(authority: &Authority, versions: &[&'static rustls::SupportedProtocolVersion]) -> ClientConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(versions);
    let builder = builder.expect("versions").with_root_certificates(authority.roots());
    let mut config = builder.with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config
}

/// Connects and shakes hands.
fn connect(server: &Server, config: ClientConfig, name: &'static str) -> Result<Secure, String> {
    let name = ServerName::try_from(name).expect("a name");
    let mut connection = ClientConnection::new(Arc::new(config), name).expect("a connection");
    let mut socket = TcpStream::connect(server.address).expect("connected");
    socket.set_read_timeout(Some(PATIENCE)).expect("timeout");
    while connection.is_handshaking() {
        connection.complete_io(&mut socket).map_err(|error| error.to_string())?;
    }
    Ok(StreamOwned::new(connection, socket))
}

fn trusting(server: &Server, authority: &Authority) -> Secure {
    connect(server, client(authority, &[&TLS13]), NAME).expect("a connection")
}

/// Asks without closing.
fn ask(stream: &mut Secure, host: &str, path: &str) -> Answer {
    let head = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\n\r\n");
    stream.write_all(head.as_bytes()).expect("sent");
    Answer::read(stream)
}

fn shown(stream: &Secure) -> Vec<u8> {
    let chain = stream.conn.peer_certificates().expect("a certificate");
    chain[0].to_vec()
}

fn stored(folder: &TempDir) -> Vec<u8> {
    let file = folder.path().join("server.pem");
    CertificateDer::from_pem_file(file).expect("a certificate").to_vec()
}

#[test]
fn a_client_that_knows_the_authority_is_served_by_either_version() {
    let (folder, authority) = prepared();
    let server = start(&folder, &[]);
    let expected = format!("quintet ready http=https://{} grpc=off store=sqlite\n", server.address);
    assert_eq!(server.ready_line, expected);
    for (version, name) in [(&TLS12, ProtocolVersion::TLSv1_2), (&TLS13, ProtocolVersion::TLSv1_3)] {
        let mut stream = connect(&server, client(&authority, &[version]), NAME).expect("a connection");
        let health = ask(&mut stream, NAME, "/health");
        assert_eq!((health.status, &health.json()["scheme"]), (200, &"https".into()));
        assert_eq!(stream.conn.protocol_version(), Some(name));
        assert_eq!(stream.conn.alpn_protocol(), Some(&b"http/1.1"[..]));
    }
    server.stop();
}

#[test]
fn browsers_are_told_to_stay_with_tls_where_it_is_on_but_not_for_localhost() {
    let (folder, authority) = prepared();
    let server = start(&folder, &[]);
    let mut stream = trusting(&server, &authority);
    for path in ["/healthz", "/docs", "/no/such/path"] {
        let answer = ask(&mut stream, NAME, path);
        assert_eq!(
            answer.header("strict-transport-security"),
            Some("max-age=31536000"),
            "{path}"
        );
        assert_eq!(
            ask(&mut stream, "localhost", path).header("strict-transport-security"),
            None
        );
    }
    server.stop();
    let plain = Server::start(folder.path());
    assert_eq!(plain.get("/healthz").header("strict-transport-security"), None);
    plain.stop();
}

#[test]
fn a_client_refuses_another_name_and_an_authority_that_it_does_not_know() {
    let (folder, authority) = prepared();
    let server = start(&folder, &[]);
    let other_name = connect(&server, client(&authority, &[&TLS13]), "other.test").expect_err("refused");
    assert!(other_name.contains("not valid for name"), "{other_name}");
    let stranger = connect(&server, client(&Authority::new(), &[&TLS13]), NAME).expect_err("refused");
    assert!(
        stranger.contains("UnknownIssuer") || stranger.contains("BadSignature"),
        "{stranger}"
    );
    assert_eq!(ask(&mut trusting(&server, &authority), NAME, "/healthz").status, 200);
    server.stop();
}

#[test]
fn the_command_line_speaks_to_an_https_server_of_its_own_authority_and_to_no_other() {
    let (folder, _authority) = prepared();
    let server = start(&folder, &[]);
    let url = format!("https://localhost:{}", server.address.port());
    let listed = run(folder.path(), &["runs", "list", "--server", &url, "--ca", "ca.pem"]);
    assert!(listed.status.success(), "{}", stderr(&listed));
    let by_variable = quintet(folder.path())
        .args(["runs", "list", "--server", &url])
        .env("QUINTET_CA", "ca.pem")
        .output()
        .expect("the binary runs");
    assert!(by_variable.status.success(), "{}", stderr(&by_variable));

    let unknown = run(folder.path(), &["runs", "list", "--server", &url]);
    assert_eq!(unknown.status.code(), Some(1));
    assert!(stderr(&unknown).contains("--ca"), "{}", stderr(&unknown));
    let by_address = format!("https://{}", server.address);
    let wrong = run(
        folder.path(),
        &["runs", "list", "--server", &by_address, "--ca", "ca.pem"],
    );
    assert_eq!(wrong.status.code(), Some(1));
    assert!(stderr(&wrong).contains("not valid for name"), "{}", stderr(&wrong));
    let no_file = run(folder.path(), &["runs", "list", "--server", &url, "--ca", "none.pem"]);
    assert_eq!(no_file.status.code(), Some(2));
    assert!(stderr(&no_file).contains("none.pem"), "{}", stderr(&no_file));
    server.stop();
}

#[test]
fn a_renewed_certificate_is_shown_after_the_signal_and_open_connections_go_on() {
    let (folder, authority) = prepared();
    let mut server = start(&folder, &[]);
    let first = stored(&folder);
    let mut open = trusting(&server, &authority);
    assert_eq!(shown(&open), first);

    authority.write(folder.path(), "server", &[NAME]);
    let second = stored(&folder);
    assert_ne!(first, second);
    server.signal("HUP");
    server.wait_for("TLS certificate read again");
    assert_eq!(shown(&trusting(&server, &authority)), second);
    assert_eq!(
        ask(&mut open, NAME, "/healthz").status,
        200,
        "it is served with the old one"
    );

    std::fs::write(folder.path().join("server.key"), "half a ke").expect("written");
    server.signal("HUP");
    server.wait_for("the certificate stays");
    assert_eq!(shown(&trusting(&server, &authority)), second);
    assert_eq!(ask(&mut open, NAME, "/healthz").status, 200);
    server.stop();
}

#[test]
fn a_renewed_certificate_is_found_without_a_signal() {
    let (folder, authority) = prepared();
    let mut server = start(&folder, &[]);
    authority.write(folder.path(), "server", &[NAME]);
    server.wait_for("TLS certificate read again");
    assert_eq!(shown(&trusting(&server, &authority)), stored(&folder));
    server.stop();
}

/// What the server says until it closes.
fn reaction(server: &Server, bytes: &[u8]) -> Vec<u8> {
    let mut socket = TcpStream::connect(server.address).expect("connected");
    socket.set_read_timeout(Some(PATIENCE)).expect("timeout");
    socket.write_all(bytes).expect("sent");
    let mut said = Vec::new();
    // A reset is an end too.
    let _ = socket.read_to_end(&mut said);
    said
}

#[test]
fn plain_http_on_the_tls_port_is_told_so_and_noise_does_no_harm() {
    let (folder, authority) = prepared();
    let server = start(&folder, &[]);
    // Begins to shake hands and says no more; it is still there when the others are served.
    let mut silent = TcpStream::connect(server.address).expect("connected");
    silent.write_all(b"\x16\x03\x01\x02\x00\x01\x00").expect("sent");
    for request in [
        "GET / HTTP/1.1\r\nhost: localhost\r\n\r\n",
        "POST /v1/runs HTTP/1.1\r\n\r\n",
    ] {
        let said = String::from_utf8(reaction(&server, request.as_bytes())).expect("text");
        assert!(said.starts_with("HTTP/1.1 400 ") && said.contains("https://"), "{said}");
    }
    // A client of TLS 1.1 is refused by an alert: 70 is `protocol_version`.
    let mut old = vec![0x16, 3, 1, 0, 55, 1, 0, 0, 51, 3, 2];
    old.extend([7; 32]);
    // No session, one cipher, no compression, and one signature algorithm.
    old.extend([0, 0, 2, 0xc0, 0x14, 1, 0, 0, 8, 0, 13, 0, 4, 0, 2, 4, 3]);
    let alert = reaction(&server, &old);
    assert_eq!((alert.first(), alert.last()), (Some(&0x15), Some(&70)), "{alert:?}");
    for noise in [
        &[0; 64][..],
        &[0xff; 4096],
        b"\x16\x03\x03\xff\xff\x00",
        b"\x80\x2e\x01\x03\x01",
        b"\x15\x03\x03\x00\x02\x02\x28",
    ] {
        let said = reaction(&server, noise);
        assert!(
            said.is_empty() || said[0] == 0x15,
            "only an alert is an answer: {said:?}"
        );
    }
    assert_eq!(ask(&mut trusting(&server, &authority), NAME, "/healthz").status, 200);
    server.stop();
}

#[test]
fn where_clients_must_show_a_certificate_nobody_without_one_is_served() {
    let (folder, authority) = prepared();
    authority.write(folder.path(), "client", &["somebody"]);
    let names = format!("[\"{NAME}\"]");
    let pair = ["--tls-cert", "server.pem", "--tls-key", "server.key"];
    let environment = [
        ("QUINTET_SERVER__TLS_CLIENT_CA", "ca.pem"),
        ("QUINTET_SERVER__ALLOWED_HOSTS", &names),
    ];
    let server = Server::with(folder.path(), &pair, &environment);

    // By TLS 1.3 the client believes that it is let in until it reads.
    let refused = connect(&server, client(&authority, &[&TLS12]), NAME).expect_err("refused");
    assert!(
        refused.contains("CertificateRequired") || refused.contains("HandshakeFailure"),
        "{refused}"
    );

    let roots = authority.roots();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let chain = vec![CertificateDer::from_pem_file(folder.path().join("client.pem")).expect("certificate")];
    let key = PrivateKeyDer::from_pem_file(folder.path().join("client.key")).expect("key");
    let builder = builder.expect("versions").with_root_certificates(roots);
    let config = builder.with_client_auth_cert(chain, key).expect("a pair");
    let mut stream = connect(&server, config, NAME).expect("a connection");
    assert_eq!(ask(&mut stream, NAME, "/healthz").status, 200);

    let url = format!("https://localhost:{}", server.address.port());
    let words = ["runs", "list", "--server", &url, "--ca", "ca.pem"];
    let without = run(folder.path(), &words);
    assert_eq!(without.status.code(), Some(1), "{}", stderr(&without));
    let pair = ["--client-cert", "client.pem", "--client-key", "client.key"];
    let with: Vec<_> = words.iter().chain(&pair).copied().collect();
    let with = run(folder.path(), &with);
    assert!(with.status.success(), "{}", stderr(&with));
    server.stop();
}

#[test]
fn settings_that_make_no_pair_end_the_program_with_a_sentence() {
    let (folder, authority) = prepared();
    authority.write(folder.path(), "other", &[NAME]);
    for (words, part) in [
        (&["--tls-cert", "server.pem"][..], "server.tls_key"),
        (&["--tls-key", "server.key"], "server.tls_cert"),
        (&["--tls-cert", "none.pem", "--tls-key", "server.key"], "none.pem"),
        (&["--tls-cert", "server.key", "--tls-key", "server.key"], "certificates"),
        (&["--tls-cert", "server.pem", "--tls-key", "server.pem"], "private key"),
        (
            &["--tls-cert", "server.pem", "--tls-key", "other.key"],
            "cannot be used together",
        ),
    ] {
        let words: Vec<_> = ["serve", "--listen", "127.0.0.1:0"]
            .iter()
            .chain(words)
            .copied()
            .collect();
        let output = run(folder.path(), &words);
        assert_eq!(output.status.code(), Some(2), "{words:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(part), "{words:?}: {}", stderr(&output));
    }
}
