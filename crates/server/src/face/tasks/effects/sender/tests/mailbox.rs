//! A mail server that speaks just enough SMTP, without TLS, and answers to each recipient as it is told.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

#[derive(Debug, Clone, Default)]
pub(super) struct Delivered {
    pub from: String,
    pub to: Vec<String>,
    pub text: String,
}

#[derive(Debug, Default)]
struct Notes {
    mails: Vec<Delivered>,
    heard: Vec<String>,
}

/// Ends with the value.
pub(super) struct Mailbox {
    pub address: SocketAddr,
    notes: Arc<Mutex<Notes>>,
    _serving: JoinSet<()>,
}

impl Mailbox {
    pub async fn start(to_recipients: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let address = listener.local_addr().expect("address");
        let notes: Arc<Mutex<Notes>> = Arc::default();
        let shared = Arc::clone(&notes);
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // The client may hang up whenever it likes.
                let _ = talk(stream, to_recipients, &shared).await;
            }
        });
        Self {
            address,
            notes,
            _serving: serving,
        }
    }

    pub fn mails(&self) -> Vec<Delivered> {
        lock(&self.notes).mails.clone()
    }

    pub fn heard(&self) -> Vec<String> {
        lock(&self.notes).heard.clone()
    }
}

fn lock(notes: &Mutex<Notes>) -> MutexGuard<'_, Notes> {
    notes.lock().expect("lock")
}

async fn talk(mut stream: TcpStream, to_recipients: &str, notes: &Mutex<Notes>) -> std::io::Result<()> {
    let (reader, mut writer) = stream.split();
    let mut lines = BufReader::new(reader).lines();
    writer.write_all(b"220 test\r\n").await?;
    let (mut mail, mut is_text) = (Delivered::default(), false);
    while let Some(line) = lines.next_line().await? {
        if is_text {
            if line == "." {
                is_text = false;
                lock(notes).mails.push(std::mem::take(&mut mail));
                writer.write_all(b"250 taken\r\n").await?;
            } else {
                mail.text.push_str(&format!("{line}\n"));
            }
            continue;
        }
        lock(notes).heard.push(line.clone());
        let address = || line.split(['<', '>']).nth(1).unwrap_or_default().to_owned();
        let answer = match line.split([' ', ':']).next().unwrap_or_default() {
            "EHLO" => "250-test\r\n250 8BITMIME",
            "MAIL" => {
                mail.from = address();
                "250 ok"
            }
            "RCPT" => {
                mail.to.push(address());
                to_recipients
            }
            "DATA" => {
                is_text = true;
                "354 go on"
            }
            "QUIT" => "221 bye",
            _ => "502 unknown",
        };
        writer.write_all(format!("{answer}\r\n").as_bytes()).await?;
    }
    Ok(())
}
