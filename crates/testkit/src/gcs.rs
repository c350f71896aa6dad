//! An imitation of Google Cloud Storage: those of its calls on objects that a client of buckets needs (its XML API).
//!
//! PyPI's emulators speak its other API. This one is strict where a client could get away with a mistake elsewhere:
//! every request must bear a token that the test account's own key has signed and that lives for an hour at most, a
//! bucket must have been made, and keys arrive percent-encoded as a whole.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use serde_json::Value;

use crate::http::{header, read_bytes};

/// The account that is let in.
pub const CLIENT_EMAIL: &str = "worker@test-project.iam.gserviceaccount.com";
/// Its key, made for this and used for nothing else.
pub const PRIVATE_KEY: &str = include_str!("gcs/key.pem");

/// The other half of it.
const PUBLIC_KEY: &[u8] = include_bytes!("gcs/key.public.der");
/// Of a token; Google takes no more.
const MAX_LIFETIME_SECONDS: u64 = 3600;

/// A running imitation. It lives as long as the process.
#[derive(Debug, Clone)]
pub struct Gcs {
    /// Its base URL.
    pub url: String,
    room: Arc<Mutex<Room>>,
}

#[derive(Debug, Default)]
struct Room {
    buckets: BTreeSet<String>,
    objects: BTreeMap<(String, String), Object>,
    generation: u64,
}

#[derive(Debug, Clone)]
struct Object {
    content: Vec<u8>,
    content_type: String,
    generation: u64,
}

struct Reply {
    status: &'static str,
    headers: String,
    body: Vec<u8>,
}

impl Gcs {
    /// Starts an imitation with one bucket on a free loopback port.
    pub fn start(bucket: &str) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let room = Arc::new(Mutex::new(Room {
            buckets: BTreeSet::from([bucket.to_owned()]),
            ..Room::default()
        }));
        let gcs = Self {
            url: format!("http://{}", listener.local_addr()?),
            room: Arc::clone(&room),
        };
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let room = Arc::clone(&room);
                std::thread::spawn(move || {
                    let mut reader = BufReader::new(&stream);
                    while serve(&stream, &mut reader, &room).is_ok() {}
                });
            }
        });
        Ok(gcs)
    }

    /// Content and content type of an object; none when it is not there.
    pub fn object(&self, bucket: &str, key: &str) -> Option<(Vec<u8>, String)> {
        let room = lock(&self.room);
        let object = room.objects.get(&(bucket.to_owned(), key.to_owned()))?;
        Some((object.content.clone(), object.content_type.clone()))
    }
}

fn lock(room: &Mutex<Room>) -> MutexGuard<'_, Room> {
    room.lock().unwrap_or_else(PoisonError::into_inner)
}

fn serve(mut stream: &TcpStream, reader: &mut BufReader<&TcpStream>, room: &Mutex<Room>) -> anyhow::Result<()> {
    let (head, body) = read_bytes(reader)?;
    let mut words = head[0].split(' ');
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let reply = match refuse(&head) {
        Some(reason) => error("401 Unauthorized", "AuthenticationRequired", reason),
        None => answer(room, method, path, &head, body),
    };
    let length = reply.body.len();
    write!(
        stream,
        "HTTP/1.1 {}\r\ncontent-length: {length}\r\n{}\r\n",
        reply.status, reply.headers
    )?;
    if method != "HEAD" {
        stream.write_all(&reply.body)?;
    }
    Ok(())
}

/// Why the bearer is not let in.
fn refuse(head: &[String]) -> Option<&'static str> {
    let token = header(head, "authorization").and_then(|value| value.strip_prefix("Bearer "));
    let Some((message, signature)) = token.and_then(|token| token.rsplit_once('.')) else {
        return Some("no bearer token");
    };
    let key = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, PUBLIC_KEY);
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap_or_default();
    if key.verify(message.as_bytes(), &signature).is_err() {
        return Some("the account's key has not signed the token");
    }
    let claims = message
        .split('.')
        .nth(1)
        .and_then(|claims| URL_SAFE_NO_PAD.decode(claims).ok());
    let claims: Value = claims
        .and_then(|claims| serde_json::from_slice(&claims).ok())
        .unwrap_or_default();
    let is_storage = |scope: &str| scope.contains("devstorage") || scope.contains("cloud-platform");
    let [issued, expires] = ["iat", "exp"].map(|name| claims[name].as_u64().unwrap_or(0));
    if claims["iss"] != CLIENT_EMAIL {
        Some("the token is another account's")
    } else if !claims["scope"].as_str().is_some_and(is_storage) {
        Some("the token is not for storage")
    } else if !(1..=MAX_LIFETIME_SECONDS).contains(&expires.saturating_sub(issued)) {
        Some("the token lives for too long")
    } else {
        None
    }
}

fn answer(room: &Mutex<Room>, method: &str, path: &str, head: &[String], body: Vec<u8>) -> Reply {
    let (bucket, key) = path.trim_start_matches('/').split_once('/').unwrap_or((path, ""));
    let (bucket, key) = (decode(bucket), decode(key));
    let mut room = lock(room);
    if !room.buckets.contains(&bucket) {
        return error("404 Not Found", "NoSuchBucket", "The specified bucket does not exist.");
    }
    let place = (bucket, key);
    match method {
        "PUT" => {
            room.generation += 1;
            let object = Object {
                content: body,
                content_type: header(head, "content-type")
                    .unwrap_or("application/octet-stream")
                    .to_owned(),
                generation: room.generation,
            };
            let headers = describe(&object);
            room.objects.insert(place, object);
            Reply {
                status: "200 OK",
                headers,
                body: Vec::new(),
            }
        }
        "GET" | "HEAD" => match room.objects.get(&place) {
            Some(object) => Reply {
                status: "200 OK",
                headers: format!("{}content-type: {}\r\n", describe(object), object.content_type),
                body: object.content.clone(),
            },
            None => missing(),
        },
        "DELETE" => match room.objects.remove(&place) {
            Some(_) => Reply {
                status: "204 No Content",
                headers: String::new(),
                body: Vec::new(),
            },
            None => missing(),
        },
        _ => error(
            "405 Method Not Allowed",
            "MethodNotAllowed",
            "not a part of the imitation",
        ),
    }
}

fn describe(object: &Object) -> String {
    let generation = object.generation;
    format!(
        "etag: \"{generation:032x}\"\r\nx-goog-generation: {generation}\r\n\
         last-modified: Thu, 01 Jan 2026 00:00:00 GMT\r\n"
    )
}

fn missing() -> Reply {
    error("404 Not Found", "NoSuchKey", "The specified key does not exist.")
}

fn error(status: &'static str, code: &str, message: &str) -> Reply {
    let body = format!("<?xml version='1.0'?><Error><Code>{code}</Code><Message>{message}</Message></Error>");
    Reply {
        status,
        headers: "content-type: application/xml\r\n".to_owned(),
        body: body.into_bytes(),
    }
}

fn decode(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('%') {
        bytes.extend_from_slice(before.as_bytes());
        let code = after.get(..2).and_then(|code| u8::from_str_radix(code, 16).ok());
        bytes.push(code.unwrap_or(b'%'));
        rest = if code.is_some() { &after[2..] } else { after };
    }
    bytes.extend_from_slice(rest.as_bytes());
    String::from_utf8_lossy(&bytes).into_owned()
}
