//! The http action against a real server on loopback: what is sent, and what becomes of the answer.

mod support;

use quintet_core::outcome::{Failure, Outcome};
use quintet_engine::executor::Executor;
use quintet_executors::egress::{Client, Guard, Policy};
use quintet_executors::http::Http;
use quintet_executors::http::service::Services;
use serde_json::json;
use support::{Answer, Target, answer, fail, http, loopback, params, redirect, succeed, work};
use tokio::net::TcpListener;

#[tokio::test]
async fn the_request_is_sent_as_the_step_says_and_names_its_attempt() {
    let target = Target::saying("hello").await;
    let input = json!({
        "url": target.url("/a?x=1#fragment"),
        "method": "pAtCh",
        "headers": {"X-Own": "é", "Content-Type": "text/x"},
        "body": {"b": 1, "a": [null]},
        "query": {"q": "a b&c", "page": 2},
    });
    let success = succeed(&http(loopback()), input).await;
    assert_eq!(
        (success.output.as_ref(), success.text, success.code),
        (&json!("hello"), None, Some(200))
    );
    let [seen] = &target.seen()[..] else {
        panic!("one request expected")
    };
    assert_eq!(
        (seen.method.as_str(), seen.path.as_str()),
        ("pAtCh", "/a?x=1&q=a+b%26c&page=2")
    );
    assert_eq!(seen.body, r#"{"b":1,"a":[null]}"#);
    let run = "run_00000000000000000000000007";
    for (name, value) in [
        ("x-own", "é"),
        ("content-type", "text/x"),
        ("host", &target.address.to_string()),
        ("user-agent", concat!("quintet/", env!("CARGO_PKG_VERSION"))),
        ("idempotency-key", &format!("{run}/fetch[0]")),
        ("x-quintet-run", run),
        ("x-quintet-step", "fetch[0]"),
        ("x-quintet-attempt", "2"),
    ] {
        assert_eq!(seen.headers.get(name).map(String::as_str), Some(value), "{name}");
    }
}

#[tokio::test]
async fn the_defaults_are_post_json_and_no_body_unless_one_is_given() {
    let target = Target::saying("{}").await;
    let http = http(loopback());
    for input in [
        json!({"url": target.url("/")}),
        json!({"url": target.url("/"), "body": "text"}),
        json!({"url": target.url("/"), "body": null}),
    ] {
        succeed(&http, input).await;
    }
    let seen = target.seen();
    assert!(
        seen.iter()
            .all(|seen| seen.method == "POST" && seen.headers["content-type"] == "application/json")
    );
    assert_eq!(
        seen.iter().map(|seen| seen.body.as_str()).collect::<Vec<_>>(),
        ["", "\"text\"", "null"]
    );
}

#[tokio::test]
async fn headers_of_the_step_win_over_quintets_own() {
    let target = Target::saying("{}").await;
    let headers = json!({"idempotency-key": "mine", "USER-AGENT": "me", "X-Quintet-Run": "other"});
    succeed(&http(loopback()), json!({"url": target.url("/"), "headers": headers})).await;
    let seen = &target.seen()[0].headers;
    assert_eq!(
        (&*seen["idempotency-key"], &*seen["user-agent"], &*seen["x-quintet-run"]),
        ("mine", "me", "other")
    );
}

#[tokio::test]
async fn connections_are_kept_for_the_next_step() {
    let target = Target::saying("{\"a\": 1}").await;
    let http = http(loopback());
    for _ in 0..3 {
        let success = succeed(&http, json!({"url": target.url("/")})).await;
        assert_eq!(
            (success.output.as_ref(), success.text.as_deref()),
            (&json!({"a": 1}), Some("{\"a\": 1}"))
        );
    }
    assert_eq!((target.seen().len(), target.connections()), (3, 1));
}

#[tokio::test]
async fn a_status_of_400_and_above_fails_with_the_status_and_the_beginning_of_the_body() {
    for (status, retryable) in [
        (400, None),
        (404, None),
        (429, None),
        (500, None),
        (503, None),
        (501, Some(false)),
        (505, Some(false)),
    ] {
        let target = Target::start(move |_| answer(status, "retry-after: 7\r\n", "{\"error\":\"why\"}")).await;
        let failure = fail(&http(loopback()), json!({"url": target.url("/")})).await;
        let expected = Failure {
            code: Some(status),
            retryable,
            retry_after_ms: Some(7000),
            detail: Some(json!({"error": "why"})),
            ..Failure::new("http_status", format!("http status {status}"))
        };
        assert_eq!(failure, expected);
    }
    let long = Target::start(|_| answer(500, "", &"x".repeat(6 << 20))).await;
    let failure = fail(&http(loopback()), json!({"url": long.url("/")})).await;
    assert_eq!(
        (failure.code, failure.detail),
        (Some(500), Some(json!("x".repeat(4096))))
    );
}

#[tokio::test]
async fn a_body_over_the_limit_fails_for_good_and_names_the_limit() {
    let policy = || Policy {
        max_response_bytes: 10,
        ..loopback()
    };
    let announced = Target::saying("12345678901").await;
    let chunked = Target::start(|_| {
        Answer::Raw(
            b"HTTP/1.1 200 X\r\ntransfer-encoding: chunked\r\n\r\n6\r\n123456\r\n5\r\n78901\r\n0\r\n\r\n".to_vec(),
        )
    })
    .await;
    for target in [&announced, &chunked] {
        let failure = fail(&http(policy()), json!({"url": target.url("/")})).await;
        assert_eq!(
            (failure.kind.as_deref(), failure.retryable),
            (Some("response_too_large"), Some(false))
        );
        assert!(failure.message.contains("10 bytes"), "{}", failure.message);
    }
    let fitting = Target::saying("1234567890").await;
    assert_eq!(
        succeed(&http(policy()), json!({"url": fitting.url("/")}))
            .await
            .output
            .as_ref(),
        &json!(1234567890)
    );
}

#[tokio::test]
async fn invalid_input_fails_for_good_with_the_original_texts() {
    for (input, message) in [
        (json!("text"), "invalid http input"),
        (json!({"url": "http://x", "headers": {"a": 1}}), "invalid http input"),
        (json!({}), "missing url"),
        (json!({"url": " "}), "missing url"),
        (json!({"url": "ftp://x"}), "url must be http or https"),
        (json!({"url": "/path"}), "url must be http or https"),
        (json!({"url": "httpfoo://x"}), "url must be http or https"),
        (json!({"url": "http://"}), "invalid url: empty host"),
    ] {
        let failure = fail(&http(loopback()), input).await;
        assert_eq!(
            (failure.message.as_str(), failure.retryable, failure.code),
            (message, Some(false), None)
        );
        assert_eq!(failure.kind.as_deref(), Some("invalid_input"));
    }
}

#[tokio::test]
async fn a_refused_connection_says_so_and_may_be_retried() {
    let closed = TcpListener::bind("127.0.0.1:0")
        .await
        .expect("bind")
        .local_addr()
        .expect("address");
    let failure = fail(&http(loopback()), json!({"url": format!("http://{closed}/a?secret=1")})).await;
    assert_eq!(
        (failure.kind.as_deref(), failure.retryable, failure.code),
        (Some("connect"), None, None)
    );
    let message = failure.message.to_lowercase();
    assert!(
        message.contains("connection refused") && message.contains(&closed.to_string()),
        "{message}"
    );
    assert!(!message.contains("secret"), "{message}");
}

#[tokio::test]
async fn silence_ends_with_a_timeout_after_the_steps_own_limit() {
    let target = Target::start(|_| Answer::Never).await;
    let failure = fail(&http(loopback()), json!({"url": target.url("/"), "timeout_ms": 30})).await;
    assert_eq!((failure.kind.as_deref(), failure.retryable), (Some("timeout"), None));
    assert!(
        failure.message.contains("no answer within 30 ms"),
        "{}",
        failure.message
    );

    let stalling = Target::start(|_| Answer::Raw(b"HTTP/1.1 200 X\r\ncontent-length: 5\r\n\r\nab".to_vec())).await;
    let failure = fail(&http(loopback()), json!({"url": stalling.url("/"), "timeout_ms": 30})).await;
    assert_eq!(failure.kind.as_deref(), Some("timeout"));
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_a_transport_failure() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let url = format!("http://{}/", listener.local_addr().expect("address"));
    let hang_up = async { drop(listener.accept().await.expect("accept")) };
    let http = http(loopback());
    let (failure, ()) = tokio::join!(fail(&http, json!({"url": url})), hang_up);
    assert_eq!((failure.kind.as_deref(), failure.retryable), (Some("transport"), None));
}

#[tokio::test]
async fn redirects_are_followed_as_gos_client_does() {
    let target = Target::start(|seen| match seen.path.as_str() {
        "/303" => redirect(303, "/end"),
        "/308" => redirect(308, "/end?kept=1"),
        "/bare" => answer(302, "", "no location"),
        _ => answer(200, "", "end"),
    })
    .await;
    let http = http(loopback());
    for path in ["/303", "/308"] {
        assert_eq!(
            succeed(&http, json!({"url": target.url(path), "body": {"a": 1}}))
                .await
                .output
                .as_ref(),
            &json!("end")
        );
    }
    let requests: Vec<_> = target
        .seen()
        .into_iter()
        .map(|seen| (seen.method, seen.path, seen.body))
        .collect();
    let request = |method: &str, path: &str, body: &str| (method.to_owned(), path.to_owned(), body.to_owned());
    let expected = [
        request("POST", "/303", "{\"a\":1}"),
        request("GET", "/end", ""),
        request("POST", "/308", "{\"a\":1}"),
        request("POST", "/end?kept=1", "{\"a\":1}"),
    ];
    assert_eq!(requests, expected);
    let bare = succeed(&http, json!({"url": target.url("/bare")})).await;
    assert_eq!((bare.output.as_ref(), bare.code), (&json!("no location"), Some(302)));
}

#[tokio::test]
async fn a_circle_of_redirects_ends_after_ten() {
    let target = Target::start(|_| redirect(307, "/again")).await;
    let failure = fail(&http(loopback()), json!({"url": target.url("/")})).await;
    assert_eq!(
        (failure.message.as_str(), target.seen().len()),
        ("stopped after 10 redirects", 11)
    );
}

#[tokio::test]
async fn credentials_are_not_carried_to_another_host() {
    let other = Target::saying("other").await;
    let url = other.url("/");
    let first = Target::start(move |_| redirect(307, &url)).await;
    let headers = json!({"Authorization": "Bearer s", "Cookie": "s", "X-Own": "1"});
    succeed(&http(loopback()), json!({"url": first.url("/"), "headers": headers})).await;
    assert!(first.seen()[0].headers.contains_key("authorization"));
    let seen = &other.seen()[0].headers;
    assert!(!seen.contains_key("authorization") && !seen.contains_key("cookie") && seen.contains_key("x-own"));
}

#[tokio::test]
async fn an_alias_uses_the_configured_service_although_loopback_is_closed() {
    let target = Target::saying("{}").await;
    let configured = [
        ("ai_router".to_owned(), target.url("")),
        ("web.search".to_owned(), target.url("/find")),
    ];
    let services = Services::new(&configured.into()).expect("services");
    let mut guard = Guard::new(Policy::default());
    services.urls().for_each(|url| guard.permit(url));
    let http = Http::new(Client::new(guard), services, params());
    for (action, input) in [
        (
            "AI_Router.Chat",
            json!({"model": "m", "messages": [], "timeout_ms": 9000}),
        ),
        ("ai_router.chat", json!({"url": "/v1/models", "method": "GET"})),
        ("web.search", json!({"query": "rust"})),
        ("web.search", json!({"body": {"q": 1}, "headers": {"X-Own": "1"}})),
        ("scm.call", json!({"url": target.url("/full")})),
    ] {
        let outcome = http.execute(work(action, input)).await;
        assert!(matches!(outcome, Outcome::Succeeded(_)), "{action}: {outcome:?}");
    }
    let requests: Vec<_> = target
        .seen()
        .into_iter()
        .map(|seen| format!("{} {} {}", seen.method, seen.path, seen.body))
        .collect();
    let expected = [
        "POST /v1/chat/completions {\"model\":\"m\",\"messages\":[]}",
        "GET /v1/models ",
        "POST /find {\"query\":\"rust\"}",
        "POST /find {\"q\":1}",
        "POST /full ",
    ];
    assert_eq!(requests, expected);
    let Outcome::Failed(failure) = http.execute(work("memarch.search", json!({"q": 1}))).await else {
        panic!("must fail")
    };
    assert_eq!(failure.message, "missing url");
}

#[tokio::test]
async fn dropping_the_attempt_hangs_up() {
    let target = Target::start(|_| Answer::Never).await;
    let http = http(loopback());
    let attempt = http.execute(work("http", json!({"url": target.url("/")})));
    tokio::select! {
        outcome = attempt => panic!("ended by itself: {outcome:?}"),
        () = target.request() => {}
    }
    target.hang_up().await;
}
