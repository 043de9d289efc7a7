//! What each path answers.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use eventlake_engine::telemetry::{Telemetry, TelemetrySnapshot};
use serde::{Deserialize, Serialize};

use super::{metrics, now_unix_millis};

const TEXT: &str = "text/plain; charset=utf-8";
const INDEX: &str = "\
eventlake

/healthz        200 while the process lives
/readyz         200 when partitions are assigned and no topic has stopped or is paused, else 503 and the reasons
/metrics        Prometheus
/api/v1/status  JSON
";

/// What `/api/v1/status` answers, and `eventlake status --json` shows as `live`. The field names are a public format.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LiveStatus {
    /// The program's version.
    pub version: String,
    pub as_of_unix_millis: i64,
    #[serde(flatten)]
    pub process: TelemetrySnapshot,
}

/// Every path takes GET and HEAD; any other method is answered with 405.
pub fn router(telemetry: Arc<Telemetry>) -> Router {
    Router::new()
        .route(
            "/",
            get(|| async { answer(StatusCode::OK, TEXT, INDEX.to_owned()) }),
        )
        .route(
            "/healthz",
            get(|| async { answer(StatusCode::OK, TEXT, "ok\n".to_owned()) }),
        )
        .route("/readyz", get(readyz))
        .route("/metrics", get(prometheus))
        .route("/api/v1/status", get(status))
        .fallback(|| async {
            answer(
                StatusCode::NOT_FOUND,
                TEXT,
                format!("not found; there are:\n\n{INDEX}"),
            )
        })
        .with_state(telemetry)
}

async fn readyz(State(telemetry): State<Arc<Telemetry>>) -> Response {
    let reasons = telemetry.not_ready();
    if reasons.is_empty() {
        return answer(StatusCode::OK, TEXT, "ready\n".to_owned());
    }
    let lines: String = reasons
        .iter()
        .map(|reason| format!("not ready: {}\n", one_line(reason)))
        .collect();
    answer(StatusCode::SERVICE_UNAVAILABLE, TEXT, lines)
}

async fn prometheus(State(telemetry): State<Arc<Telemetry>>) -> Response {
    answer(
        StatusCode::OK,
        metrics::CONTENT_TYPE,
        metrics::exposition(&telemetry.snapshot()),
    )
}

async fn status(State(telemetry): State<Arc<Telemetry>>) -> Response {
    let status = LiveStatus {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        as_of_unix_millis: now_unix_millis(),
        process: telemetry.snapshot(),
    };
    let mut text = serde_json::to_string(&status).expect("a snapshot has text keys and finite numbers only");
    text.push('\n');
    answer(StatusCode::OK, "application/json", text)
}

fn answer(status: StatusCode, content_type: &'static str, body: String) -> Response {
    let headers = [
        (header::CONTENT_TYPE, content_type),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (status, headers, body).into_response()
}

/// A reason may quote what came from elsewhere; in a list of lines it stays one line.
fn one_line(text: &str) -> String {
    text.split(char::is_control).collect::<Vec<_>>().join(" ")
}
