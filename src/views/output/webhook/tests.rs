//! The webhook against receivers of this process, on a loopback port.

use std::io::Write as _;
use std::net::TcpListener;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use arrow::array::{
    ArrayRef, BinaryArray, Float64Array, Int64Array, StringViewArray, TimestampMicrosecondArray, UInt64Array,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use chrono::DateTime;
use eventlake_core::names::ViewName;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::json;

use super::super::post::{Limits, TOLD_CHARS, agent, retry_after};
use super::super::receiver::{Post, answer, receiver};
use super::*;

/// Limits short enough for a test, and long enough for a busy machine.
const SHORT: Limits = Limits {
    request: Duration::from_secs(5),
    patience: Duration::from_secs(5),
    first_pause: Duration::from_millis(1),
};

fn rows(count: i64) -> RecordBatch {
    let fields = vec![
        Field::new("n", DataType::Int64, true),
        Field::new("text", DataType::Utf8View, true),
        Field::new("mean", DataType::Float64, true),
    ];
    let texts: StringViewArray = (0..count)
        .map(|n| (n % 2 == 0).then(|| format!("\"a\"\n{n}")))
        .collect();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from_iter_values(0..count)),
        Arc::new(texts),
        Arc::new(Float64Array::from_iter(
            (0..count).map(|n| (n > 0).then_some(0.5)),
        )),
    ];
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).expect("rows")
}

/// Emits these rows with what limits a webhook has.
fn emit(webhook: &mut Webhook, batches: &[RecordBatch], covers: Covers) -> Result<(), String> {
    let view = ViewName::new("totals").expect("a name");
    let columns: SchemaRef = rows(0).schema();
    let emission = Emission {
        view: &view,
        as_of: 7,
        columns: &columns,
        key: &[0],
        rows: batches,
        covers,
        lake: "log-1",
        windows: &[0],
    };
    let outcome = webhook.emit(&emission, None);
    outcome.map(|_| ()).map_err(|error| format!("{error:#}"))
}

fn webhook(url: String, secret: Option<&str>, limits: Limits) -> Webhook {
    let mut webhook = Webhook::new(
        Secret::new(url),
        secret.map(|secret| Secret::new(secret.to_owned())),
    );
    webhook.post.limits = limits;
    // A proxy that the environment names is none of a test's.
    assert!(webhook.post.agent.set(agent(None, &[])).is_ok());
    webhook
}

/// HMAC by RFC 2104, on the hash alone.
fn hmac_sha256(key: &[u8], text: &[u8]) -> String {
    let mut block = [0; 64];
    match key.len() {
        0..=64 => block[..key.len()].copy_from_slice(key),
        _ => block[..32].copy_from_slice(&Sha256::digest(key)),
    }
    let inner = Sha256::new()
        .chain_update(block.map(|byte| byte ^ 0x36))
        .chain_update(text)
        .finalize();
    let outer = Sha256::new()
        .chain_update(block.map(|byte| byte ^ 0x5c))
        .chain_update(inner);
    hex(&outer.finalize())
}

#[test]
fn hmac_of_the_tests_is_that_of_the_rfc() {
    // RFC 4231, test case 2.
    assert_eq!(
        hmac_sha256(b"Jefe", b"what do ya want for nothing?"),
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    );
}

#[test]
fn rows_are_posted_and_signed() {
    let (address, requests) = receiver(&[&answer("204 No Content", "", "")]);
    let mut webhook = webhook(
        format!("http://me:p%40ss@{address}/in?x=y"),
        Some("quiet word"),
        SHORT,
    );
    emit(&mut webhook, &[rows(1), rows(2)], Covers::Windows).expect("taken");
    let request = requests.recv().expect("a request");
    assert_eq!(request.head[0], "POST /in?x=y HTTP/1.1");
    assert_eq!(request.header("content-type"), Some("application/json"));
    assert_eq!(
        request.header("user-agent"),
        Some(concat!("eventlake/", env!("CARGO_PKG_VERSION")))
    );
    assert_eq!(request.header("authorization"), Some("Basic bWU6cEBzcw=="));
    assert_eq!(request.header("host"), Some(address.as_str()));
    let signature = format!("sha256={}", hmac_sha256(b"quiet word", &request.body));
    assert_eq!(request.header("x-eventlake-signature"), Some(signature.as_str()));
    assert_eq!(
        request.json(),
        json!({
            "view": "totals", "as_of": 7, "covers": "windows", "windows": ["1970-01-01T00:00:00Z"], "part": 1, "parts": 1, "key": ["n"],
            "rows": [
                {"n": 0, "text": "\"a\"\n0", "mean": null},
                {"n": 0, "text": "\"a\"\n0", "mean": null},
                {"n": 1, "text": null, "mean": 0.5},
            ],
        })
    );
}

#[test]
fn many_rows_come_in_parts_each_with_a_key_of_its_own() {
    let taken = answer("200 OK", "", "thanks");
    let (address, requests) = receiver(&[&taken, &taken, &taken]);
    let mut webhook = webhook(format!("http://{address}"), None, SHORT);
    emit(&mut webhook, &[rows(999), rows(1500)], Covers::NewRows).expect("taken");
    let requests: Vec<Post> = requests.iter().take(3).collect();
    let counts = requests
        .iter()
        .map(|request| request.json()["rows"].as_array().expect("rows").len());
    assert_eq!(counts.collect::<Vec<_>>(), [1000, 1000, 499]);
    for (at, request) in requests.iter().enumerate() {
        assert_eq!(request.json()["part"], at + 1);
        assert_eq!(request.json()["parts"], 3);
        assert_eq!(request.header("x-eventlake-signature"), None);
        let key = request.header("idempotency-key").expect("a key");
        assert!(key.starts_with(&format!("totals-7-{}-", at + 1)), "{key}");
    }
}

#[test]
fn a_busy_receiver_gets_the_same_request_again_when_it_says() {
    let busy = answer("503 Service Unavailable", "retry-after: 1\r\n", "");
    let (address, requests) = receiver(&[
        &busy,
        &answer("429 Too Many Requests", "", ""),
        &answer("200 OK", "", ""),
    ]);
    let mut webhook = webhook(format!("http://{address}"), Some("s"), SHORT);
    let began = Instant::now();
    emit(&mut webhook, &[rows(3)], Covers::Everything).expect("taken at last");
    assert!(began.elapsed() >= Duration::from_secs(1), "it came back too soon");
    let requests: Vec<Post> = requests.iter().take(3).collect();
    for again in &requests[1..] {
        assert_eq!(again.body, requests[0].body);
        for name in ["idempotency-key", "x-eventlake-signature"] {
            assert_eq!(again.header(name), requests[0].header(name));
        }
    }
}

#[test]
fn a_repeat_of_an_emission_has_the_same_key_and_other_rows_another() {
    let taken = answer("200 OK", "", "");
    let (address, requests) = receiver(&[&taken, &taken, &taken]);
    for count in [2, 2, 3] {
        let mut webhook = webhook(format!("http://{address}"), None, SHORT);
        emit(&mut webhook, &[rows(count)], Covers::Everything).expect("taken");
    }
    let keys = requests
        .iter()
        .take(3)
        .map(|request| request.header("idempotency-key").map(str::to_owned));
    let keys: Vec<Option<String>> = keys.collect();
    assert_eq!(keys[0], keys[1]);
    assert_ne!(keys[1], keys[2]);
}

#[test]
fn a_receiver_that_stays_busy_is_left_for_later() {
    let later = answer(
        "503 Service Unavailable",
        "retry-after: 3600\r\n",
        "closed until tomorrow",
    );
    let (address, _requests) = receiver(&[&later]);
    let mut webhook = webhook(format!("http://{address}"), None, SHORT);
    let error = emit(&mut webhook, &[rows(1)], Covers::Everything).expect_err("it is closed");
    assert!(
        error.contains("503 Service Unavailable: closed until tomorrow"),
        "{error}"
    );
}

#[test]
fn a_refusal_is_told_with_the_start_of_its_body_and_not_tried_again() {
    let body = format!("\u{1b}[31mno column n\n{}", "x".repeat(1000));
    let (address, requests) = receiver(&[&answer("400 Bad Request", "", &body)]);
    let mut webhook = webhook(format!("http://{address}/in"), None, SHORT);
    let error = emit(&mut webhook, &[rows(1)], Covers::Everything).expect_err("refused");
    let start = "view totals: webhook at 127.0.0.1: part 1 of 1: it refuses the rows: it answered 400 Bad Request: \
                 \\x1b[31mno column n\\nxxx";
    assert!(error.starts_with(start), "{error}");
    assert!(error.len() < start.len() + TOLD_CHARS, "{error}");
    assert_eq!(requests.iter().count(), 1);
}

#[test]
fn a_redirect_is_not_followed() {
    let elsewhere = answer("307 Temporary Redirect", "location: http://127.0.0.1:1/\r\n", "");
    let (address, _requests) = receiver(&[&elsewhere]);
    let mut webhook = webhook(format!("http://{address}"), None, SHORT);
    let error = emit(&mut webhook, &[rows(1)], Covers::Everything).expect_err("a redirect");
    assert!(error.contains("follow no redirect"), "{error}");
}

#[test]
fn no_secret_is_told_even_where_the_receiver_echoes_it() {
    let said = "bad token q-hidden of path-hidden for user-hidden:pass-hidden signed with word-hidden";
    let (address, _requests) = receiver(&[&answer("403 Forbidden", "", said)]);
    let url =
        |address: &str| format!("http://user-hidden:pass-hidden@{address}/path-hidden/x?token=q-hidden");
    let mut echoed = webhook(url(&address), Some("word-hidden"), SHORT);
    // Nobody listens at port 1; the last two are no address at all.
    let patient = Limits {
        patience: Duration::from_millis(50),
        ..SHORT
    };
    let mut away = webhook(url("127.0.0.1:1"), Some("word-hidden"), patient);
    let mut malformed = webhook(url("not a host"), None, SHORT);
    let mut other = webhook("ftp://host-hidden/x-hidden".to_owned(), None, SHORT);
    for webhook in [&mut echoed, &mut away, &mut malformed, &mut other] {
        let error = emit(webhook, &[rows(1)], Covers::Everything).expect_err("it cannot be");
        assert!(!error.contains("hidden"), "{error}");
    }
}

#[test]
fn a_receiver_that_hangs_is_not_waited_for() {
    let (address, _requests) = receiver(&["", "", "", "", ""]);
    let limits = Limits {
        request: Duration::from_millis(200),
        patience: Duration::from_millis(500),
        first_pause: Duration::from_millis(1),
    };
    let mut webhook = webhook(format!("http://{address}"), None, limits);
    let began = Instant::now();
    let error = emit(&mut webhook, &[rows(1)], Covers::Everything).expect_err("no answer");
    assert!(error.contains("did not answer in time"), "{error}");
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

#[test]
fn no_rows_are_told_where_they_mean_that_all_is_gone() {
    let (address, requests) = receiver(&[&answer("200 OK", "", "")]);
    let mut webhook = webhook(format!("http://{address}"), None, SHORT);
    emit(&mut webhook, &[rows(0)], Covers::NewRows).expect("nothing to be sent");
    emit(&mut webhook, &[rows(0)], Covers::Everything).expect("taken");
    let request = requests.recv().expect("a request").json();
    assert_eq!((&request["rows"], &request["parts"]), (&json!([]), &json!(1)));
    assert!(requests.recv().is_err());
}

/// A receiver with TLS that answers one request, and its certificate, which nobody signed but itself.
fn receiver_with_tls() -> (String, CertificateDer<'static>) {
    let pem = include_bytes!("tests/receiver.pem");
    let certificate = CertificateDer::from_pem_slice(pem).expect("a certificate");
    let key = PrivateKeyDer::from_pem_slice(pem).expect("a key");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("protocol versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)
        .expect("a certificate with its key");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a client");
        let mut connection = ServerConnection::new(Arc::new(config)).expect("a connection");
        // A client that does not trust the certificate goes away.
        if connection.complete_io(&mut stream).is_ok() {
            let mut stream = StreamOwned::new(connection, stream);
            Post::take(&mut stream).expect("a whole request");
            let answer = answer("200 OK", "", "");
            stream.write_all(answer.as_bytes()).expect("an answer");
        }
    });
    (address, certificate)
}

#[test]
fn rows_go_over_tls_to_a_receiver_whose_certificate_is_trusted_and_no_other() {
    let impatient = Limits {
        patience: Duration::ZERO,
        ..SHORT
    };
    let (address, certificate) = receiver_with_tls();
    let mut trusting = webhook(format!("https://{address}/"), None, SHORT);
    trusting.post.agent = OnceLock::from(agent(None, &[certificate]));
    emit(&mut trusting, &[rows(1)], Covers::Everything).expect("taken");
    let (address, _) = receiver_with_tls();
    let mut other = webhook(format!("https://{address}/"), None, impatient);
    let error = emit(&mut other, &[rows(1)], Covers::Everything).expect_err("an unknown certificate");
    assert!(error.contains("UnknownIssuer"), "{error}");
}

#[test]
fn values_that_json_has_no_like_for_are_texts_and_null() {
    let columns: Vec<(&str, ArrayRef)> = vec![
        (
            "window_start",
            Arc::new(TimestampMicrosecondArray::from(vec![1_600_000_000_123_456]).with_timezone("UTC")),
        ),
        ("bytes", Arc::new(BinaryArray::from(vec![&b"\x00\xff"[..]]))),
        ("nan", Arc::new(Float64Array::from(vec![f64::NAN]))),
        ("large", Arc::new(UInt64Array::from(vec![u64::MAX]))),
    ];
    let rows = RecordBatch::try_from_iter(columns).expect("rows");
    let emission = Emission {
        view: &ViewName::new("totals").expect("a name"),
        as_of: 7,
        columns: &rows.schema(),
        key: &[],
        rows: &[],
        covers: Covers::Everything,
        lake: "log-1",
        windows: &[],
    };
    let body = String::from_utf8(body(&emission, 1, 1, std::slice::from_ref(&rows)).expect("a body"))
        .expect("UTF-8");
    let expected = "\"key\":[],\"rows\":[{\"window_start\":\"2020-09-13T12:26:40.123456Z\",\"bytes\":\"00ff\",\"nan\":null,\
                    \"large\":18446744073709551615}]}";
    assert!(body.ends_with(expected), "{body}");
}

#[test]
fn a_receiver_says_when_in_seconds_or_by_a_date() {
    let now = DateTime::parse_from_rfc3339("2015-10-21T07:27:00Z")
        .expect("a date")
        .to_utc();
    let seconds = |text| retry_after(text, now).map(|wait| wait.as_secs());
    assert_eq!(seconds("7"), Some(7));
    assert_eq!(seconds("Wed, 21 Oct 2015 07:28:00 GMT"), Some(60));
    assert_eq!(seconds("Wed, 21 Oct 2015 07:26:00 GMT"), Some(0));
    assert_eq!(seconds("soon"), None);
    assert_eq!(seconds("-1"), None);
}
