mod mailbox;
mod receiver;

use std::sync::Mutex;

use quintet_core::time::Time;
use quintet_engine::clock::SystemClock;
use quintet_executors::egress::{Guard, Policy};
use serde_json::value::to_raw_value;

use self::mailbox::Mailbox;
use self::receiver::Receiver;
use super::*;
use crate::config::Mail;

const PATIENCE: Duration = Duration::from_secs(20);

/// Notes what is to be started.
#[derive(Default)]
struct Started(Mutex<Vec<(Value, String)>>);

#[async_trait]
impl Starter for Started {
    async fn start(&self, document: Value, key: String) -> Result<(), DeliveryError> {
        self.0.lock().unwrap().push((document, key));
        Ok(())
    }
}

/// May users call loopback?
#[derive(PartialEq)]
enum Loopback {
    Open,
    Closed,
}

fn sender_for(targets: EffectTargets, loopback: Loopback) -> (Sender, Arc<Started>) {
    let guard = Guard::new(Policy {
        allow_loopback: loopback == Loopback::Open,
        ..Policy::default()
    });
    let (clock, started): (Arc<dyn Clock>, _) = (Arc::new(SystemClock), Arc::new(Started::default()));
    let sender = Sender::new(targets, &Client::new(guard), &clock, started.clone());
    (sender.expect("settings"), started)
}

fn sender(targets: EffectTargets) -> Sender {
    sender_for(targets, Loopback::Open).0
}

fn entry(target: &str, body: &impl serde::Serialize) -> OutboxEntry {
    OutboxEntry {
        id: 1,
        target: target.into(),
        key: "run_1/success/0".into(),
        message_id: "msg_run_1_2_success_0".to_owned(),
        body: serde_json::to_string(body).unwrap(),
        attempts: 0,
        created_at: Time(0),
    }
}

fn webhook(url: &str, body: &Value) -> OutboxEntry {
    let message = WebhookMessage {
        url: url.to_owned(),
        method: "PATCH".to_owned(),
        headers: [("x-team".to_owned(), "blue".to_owned())].into(),
        body: to_raw_value(body).unwrap(),
    };
    entry("task.webhook:any:80", &message)
}

fn notice(channel: &str, message: &str, target: Option<&str>) -> OutboxEntry {
    let message = NotifyMessage {
        message: message.to_owned(),
        target: target.map(str::to_owned),
        subject: "t failed (run_1)".to_owned(),
    };
    entry(&format!("{NOTIFY}{channel}"), &message)
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("in time")
}

#[tokio::test]
async fn a_webhook_arrives_as_it_was_asked_for_and_signed() {
    let receiver = Receiver::start(204).await;
    let secret: WebhookSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".parse().unwrap();
    let sender = sender(EffectTargets {
        webhook_secret: Some(secret.clone()),
        ..EffectTargets::default()
    });
    let body = json!({ "task": { "type": "t" }, "result": { "b": 1, "a": "\"" }, "jobId": "run_1" });
    within(sender.deliver(&webhook(&receiver.url("/done"), &body)))
        .await
        .expect("delivered");
    let seen = receiver.only();
    assert_eq!(
        (&*seen.method, &*seen.path, &*seen.body),
        ("PATCH", "/done", &*body.to_string())
    );
    assert_eq!(
        (seen.header("x-team"), seen.header("content-type")),
        (Some("blue"), Some("application/json"))
    );
    assert_eq!(seen.header("webhook-id"), Some("msg_run_1_2_success_0"));
    let timestamp: i64 = seen.header("webhook-timestamp").unwrap().parse().unwrap();
    let expected = quintet_executors::webhook::sign(&secret, "msg_run_1_2_success_0", timestamp, seen.body.as_bytes());
    assert_eq!(seen.header("webhook-signature"), Some(&*expected));
}

#[tokio::test]
async fn a_webhook_to_where_users_may_not_go_is_given_up() {
    let receiver = Receiver::start(204).await;
    let (sender, _) = sender_for(EffectTargets::default(), Loopback::Closed);
    let error = within(sender.deliver(&webhook(&receiver.url("/"), &json!({}))))
        .await
        .expect_err("refused");
    assert!(!error.retryable && error.message.contains("loopback"), "{error}");
    assert_eq!(receiver.seen().len(), 0);
}

#[tokio::test]
async fn gone_and_errors_are_told_apart() {
    for (status, retryable) in [(410, false), (500, true), (301, true), (404, true)] {
        let receiver = Receiver::start(status).await;
        let sender = sender(EffectTargets::default());
        let error = within(sender.deliver(&webhook(&receiver.url("/"), &json!({}))))
            .await
            .expect_err("no delivery");
        assert_eq!(error.retryable, retryable, "{status}");
    }
}

#[tokio::test]
async fn slack_and_discord_get_the_bodies_that_they_know() {
    let receiver = Receiver::start(200).await;
    // The operator's own URLs may lead to where users' may not.
    let targets = EffectTargets {
        slack: Some(receiver.url("/slack").parse().unwrap()),
        discord: Some(receiver.url("/discord").parse().unwrap()),
        ..EffectTargets::default()
    };
    let (sender, _) = sender_for(targets, Loopback::Closed);
    for entry in [
        notice("slack", "a \"word\"", None),
        notice("slack", "b", Some("#ops")),
        notice("discord", &"ü".repeat(3_000), None),
    ] {
        within(sender.deliver(&entry)).await.expect("delivered");
    }
    let bodies: Vec<(String, Value)> = receiver
        .seen()
        .iter()
        .map(|seen| (seen.path.clone(), serde_json::from_str(&seen.body).unwrap()))
        .collect();
    assert_eq!(
        bodies[0],
        (
            "/slack".to_owned(),
            json!({ "channel": "#general", "text": "a \"word\"" })
        )
    );
    assert_eq!(
        bodies[1],
        ("/slack".to_owned(), json!({ "channel": "#ops", "text": "b" }))
    );
    let content = format!("{}…", "ü".repeat(1_999));
    assert_eq!(bodies[2], ("/discord".to_owned(), json!({ "content": content })));
}

#[tokio::test]
async fn what_is_not_configured_is_given_up_with_the_name_of_the_setting() {
    let sender = sender(EffectTargets::default());
    for (channel, setting) in [
        ("slack", "tasks.slack_webhook_url"),
        ("discord", "tasks.discord_webhook_url"),
        ("email", "tasks.smtp_url"),
    ] {
        let error = within(sender.deliver(&notice(channel, "m", None)))
            .await
            .expect_err("nowhere to go");
        assert!(!error.retryable && error.message.contains(setting), "{error}");
    }
}

#[tokio::test]
async fn a_child_is_started_under_the_messages_id() {
    let (sender, started) = sender_for(EffectTargets::default(), Loopback::Open);
    let task = json!({ "type": "next", "payload": {} });
    let message = entry(ENQUEUE, &EnqueueMessage::Task(task.clone()));
    sender.deliver(&message).await.expect("started");
    assert_eq!(*started.0.lock().unwrap(), [(task, "msg_run_1_2_success_0".to_owned())]);
    let refused = entry(ENQUEUE, &EnqueueMessage::Refused("too large".to_owned()));
    let error = sender.deliver(&refused).await.expect_err("refused");
    assert_eq!((error.retryable, &*error.message), (false, "too large"));
}

fn by_mail(mailbox: &Mailbox, query: &str) -> EffectTargets {
    EffectTargets {
        mail: Some(Mail {
            server: format!("smtp://{}{query}", mailbox.address).parse().unwrap(),
            from: "Quintet <quintet@example.com>".to_owned(),
            to: vec!["ops@example.com".to_owned()],
        }),
        ..EffectTargets::default()
    }
}

#[tokio::test]
async fn a_mail_goes_to_the_target_or_to_whom_the_operator_named() {
    let mailbox = Mailbox::start("250 ok").await;
    let sender = sender(by_mail(&mailbox, ""));
    within(sender.deliver(&notice("email", "It failed:\n.\ndöt", None)))
        .await
        .expect("sent");
    within(sender.deliver(&notice("email", "x", Some("a@example.com, B <b@example.com>"))))
        .await
        .expect("sent");
    let mails = mailbox.mails();
    assert_eq!(mails[0].to, ["ops@example.com"]);
    assert_eq!(mails[1].to, ["a@example.com", "b@example.com"]);
    assert_eq!(mails[0].from, "quintet@example.com");
    for line in [
        "Subject: t failed (run_1)",
        "Message-ID: <msg_run_1_2_success_0@quintet.localhost>",
    ] {
        assert!(mails[0].text.contains(line), "{line}: {}", mails[0].text);
    }
    assert!(mails[0].text.contains("It failed:"), "{}", mails[0].text);
}

#[tokio::test]
async fn a_refused_mail_is_given_up_and_one_that_may_go_later_is_not() {
    for (answer, retryable) in [
        ("550 no such user", false),
        ("450 busy", true),
        ("535 wrong password", true),
    ] {
        let mailbox = Mailbox::start(answer).await;
        let error = within(sender(by_mail(&mailbox, "")).deliver(&notice("email", "m", None)))
            .await
            .expect_err(answer);
        assert_eq!(error.retryable, retryable, "{answer}: {error}");
    }
}

#[tokio::test]
async fn a_password_is_not_told_to_a_server_without_tls() {
    let mailbox = Mailbox::start("250 ok").await;
    let mut targets = by_mail(&mailbox, "");
    if let Some(mail) = &mut targets.mail {
        mail.server.set_username("user").unwrap();
        mail.server.set_password(Some("secret")).unwrap();
    }
    let error = within(sender(targets).deliver(&notice("email", "m", None)))
        .await
        .expect_err("no TLS");
    assert!(mailbox.mails().is_empty(), "{error}");
    assert!(
        !mailbox.heard().iter().any(|line| line.starts_with("AUTH")),
        "{:?}",
        mailbox.heard()
    );
}

#[tokio::test]
async fn settings_that_cannot_be_used_are_named() {
    let targets = EffectTargets {
        mail: Some(Mail {
            server: "smtp://u:secret@localhost?tls=maybe".parse().unwrap(),
            from: "quintet@example.com".to_owned(),
            to: Vec::new(),
        }),
        ..EffectTargets::default()
    };
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let client = Client::new(Guard::new(Policy::default()));
    let error = Sender::new(targets, &client, &clock, Arc::new(Started::default()))
        .err()
        .expect("wrong");
    let text = error.to_string();
    assert!(text.contains("tasks.smtp_url") && !text.contains("secret"), "{text}");
}
