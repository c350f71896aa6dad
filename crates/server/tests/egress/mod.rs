//! Places that must not be reached, the notations that people try for them, and a sink that notices if one works.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use super::common::until;

/// Listens on loopback, and counts who comes.
pub struct Sink {
    pub port: u16,
    reached: Arc<AtomicUsize>,
}

impl Sink {
    pub fn start() -> Self {
        let first = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("listener");
        let port = first.local_addr().expect("address").port();
        // Other ways to say loopback lead to other addresses; where one cannot be had, nobody reaches it either.
        let others: [SocketAddr; 2] = [
            (Ipv6Addr::LOCALHOST, port).into(),
            (Ipv4Addr::new(127, 255, 255, 254), port).into(),
        ];
        let others = others.into_iter().filter_map(|address| TcpListener::bind(address).ok());
        let reached = Arc::new(AtomicUsize::new(0));
        for listener in std::iter::once(first).chain(others) {
            let reached = Arc::clone(&reached);
            std::thread::spawn(move || {
                for _ in listener.incoming() {
                    reached.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        Self { port, reached }
    }

    /// Fails if anybody came; and proves that it would have been noticed.
    pub fn assert_unreached(&self) {
        TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).expect("the sink is there");
        let reached = || Some(self.reached.load(Ordering::SeqCst)).filter(|count| *count > 0);
        // Connections are counted in the order in which they came, so ours is the last.
        assert_eq!(until("the sink counts", reached), 1, "somebody else came");
    }
}

/// A place that may be called, and that sends its callers elsewhere.
pub struct Bouncer {
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Bouncer {
    /// Answers each path with what `say` says of it and of how often it was called before: a status and a location.
    pub fn start(say: impl Fn(&str, usize) -> (u16, String) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("listener");
        let address = listener.local_addr().expect("address");
        let seen: Arc<Mutex<Vec<String>>> = Arc::default();
        let notes = Arc::clone(&seen);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let Some(path) = path(&stream) else { continue };
                let before = {
                    let mut notes = notes.lock().expect("notes");
                    notes.push(path.clone());
                    notes.iter().filter(|known| **known == path).count() - 1
                };
                let (status, location) = say(&path, before);
                let answer = format!(
                    "HTTP/1.1 {status} Said\r\nlocation: {location}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
                );
                // The caller may have gone.
                let _ = (&stream).write_all(answer.as_bytes());
            }
        });
        Self { address, seen }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// How often a path was called.
    pub fn count(&self, path: &str) -> usize {
        let seen = self.seen.lock().expect("notes");
        seen.iter().filter(|known| *known == path).count()
    }
}

/// Path of a request; its head is read to the end, and of these callers nobody waits for the body to be read.
fn path(stream: &TcpStream) -> Option<String> {
    let mut lines = BufReader::new(stream).lines();
    let first = lines.next()?.ok()?;
    lines.map_while(Result::ok).find(String::is_empty)?;
    first.split(' ').nth(1).map(str::to_owned)
}

/// Loopback as hosts of URLs.
const LOOPBACK: &[&str] = &[
    "127.0.0.1",
    "127.1",
    "127.0.1",
    "127.255.255.254",
    "2130706433",
    "0x7f000001",
    "0x7f.0.0.1",
    "0x7f.1",
    "0177.0.0.1",
    "017700000001",
    "127.0.0.1.",
    "127。0。0。1",
    "１２７.０.０.１",
    "%31%32%37.0.0.1",
    "127.0.0.%31",
    "127.0\t.0.1",
    "127.0.\n0.1",
    "localhost",
    "LOCALHOST",
    "%6cocalhost",
    "0",
    "0.0.0.0",
    "0x0",
    "[::1]",
    "[0:0:0:0:0:0:0:1]",
    "[0000::0001]",
    "[::]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::127.0.0.1]",
    "[::ffff:0:127.0.0.1]",
    "[64:ff9b::127.0.0.1]",
    "[64:ff9b:1::127.0.0.1]",
    "[2002:7f00:1::]",
    "[2001:0:4136:e378:8000:63bf:80ff:fffe]",
];

/// Whole URLs that lead to loopback at `{port}`, or look like others.
const SHAPES: &[&str] = &[
    "HTTP://127.0.0.1:{port}/",
    "https://127.0.0.1:{port}/",
    " http://127.0.0.1:{port}/ ",
    "http:127.0.0.1:{port}/",
    "http:/127.0.0.1:{port}/",
    "http:\\\\127.0.0.1:{port}\\",
    "http:///127.0.0.1:{port}/",
    "http://127.0.0.1:{port}\\@example.com/",
    "http://127.0.0.1:{port}#@example.com/",
    "http://127.0.0.1:{port}?@example.com/",
    "http://example.com@127.0.0.1:{port}/",
    "http://example.com:80@127.0.0.1:{port}/",
    "http://user:password@localhost:{port}/",
    "file:///etc/passwd",
    "gopher://127.0.0.1:{port}/_INFO",
    "gopher://2130706433:{port}/",
    "ftp://127.0.0.1:{port}/",
    "dict://127.0.0.1:{port}/stat",
    "data:text/plain,hello",
    "unix:///var/run/docker.sock",
    "ws://127.0.0.1:{port}/",
    "//127.0.0.1:{port}/",
    "127.0.0.1:{port}",
];

/// Private networks, metadata services, and services that do not speak HTTP.
const ELSEWHERE: &[&str] = &[
    "http://10.0.0.1/",
    "http://167772161/",
    "http://172.16.0.1/",
    "http://192.168.1/",
    "http://100.64.0.1/",
    "http://[::ffff:10.0.0.1]/",
    "http://[fc00::1]/",
    "http://169.254.169.254/latest/meta-data/",
    "http://2852039166/",
    "http://0xa9fea9fe/",
    "http://0251.0376.0251.0376/",
    "http://169.254.169.254./",
    "http://[::ffff:a9fe:a9fe]/",
    "http://[64:ff9b::169.254.169.254]/",
    "http://[2002:a9fe:a9fe::]/",
    "http://169.254.170.2/",
    "http://100.100.100.200/",
    "http://168.63.129.16/",
    "http://[fd00:ec2::254]/",
    "http://metadata.google.internal/computeMetadata/v1/",
    "http://METADATA.google.internal./",
    "http://metadata.amazonaws.com/",
    "http://[fe80::1]/",
    "http://[fe80::1%25eth0]/",
    "http://224.0.0.1/",
    "http://255.255.255.255/",
    "http://8.8.8.8:22/",
    "http://8.8.8.8:25/",
    "http://8.8.8.8:5432/",
    "http://8.8.8.8:6379/",
];

/// All URLs; those of loopback lead to the sink, and one to the server itself.
pub fn urls(sink: &Sink, server: &str) -> Vec<String> {
    let port = sink.port.to_string();
    let hosts = LOOPBACK.iter().map(|host| format!("http://{host}:{port}/"));
    let shapes = SHAPES.iter().map(|shape| shape.replace("{port}", &port));
    let elsewhere = ELSEWHERE.iter().map(|url| (*url).to_owned());
    let own = format!("http://{server}/v1/runs");
    let all: Vec<_> = hosts.chain(shapes).chain(elsewhere).chain([own]).collect();
    assert!(all.len() >= 60, "{}", all.len());
    all
}

/// Whether a text says that the guard refused, and not that a connection failed.
pub fn is_refusal(text: &str) -> bool {
    [
        "is refused because",
        "inside a url is refused",
        "url must be http or https",
        "invalid url",
    ]
    .iter()
    .any(|words| text.contains(words))
}
