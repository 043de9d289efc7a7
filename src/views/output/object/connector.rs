//! The HTTP client that `object_store` is given: the one that posts webhooks, so that stores bring no second one.
//!
//! It blocks: each output has a thread of its own, on which nothing else runs. What a store answered, or why it did not, is noted
//! beside the result, since the errors of `object_store` tell it in their text alone.

use std::error::Error;
use std::fmt;
use std::io::{self, Read as _};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::Body as _;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpRequestBody, HttpResponse,
    HttpService,
};
use object_store::{ClientConfigKey, ClientOptions};
use ureq::http::{Request, Response, StatusCode, Uri};
use ureq::{Agent, Proxy};

use super::super::post::{agent, in_words, native_roots};

/// Until a connection is there, TLS included.
pub(super) const CONNECT: Duration = Duration::from_secs(10);
/// Of a machine's own metadata service, which is near or not there.
const METADATA_CONNECT: Duration = Duration::from_secs(1);
const METADATA: Duration = Duration::from_secs(2);
/// A request without a body, to the end of its answer; one with a body has longer, by its size.
const REQUEST: Duration = Duration::from_secs(10);
const REQUEST_WITH_BODY: Duration = Duration::from_secs(30);
/// The slowest line that a large object may come over, in bytes a second.
const SLOWEST: usize = 1 << 20;
/// Stores give idle connections up, and a request on one that is gone is lost.
const IDLE_MAX: Duration = Duration::from_secs(4);
/// The longest answer: no object is read.
const ANSWER_BYTES_MAX: u64 = 16 << 20;

/// How the newest request ended, where it did not succeed.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    /// Whom it was sent to: host and port.
    pub host: String,
    /// Whether that is the machine's metadata service, which was asked for credentials.
    pub is_metadata: bool,
    pub why: Why,
}

#[derive(Clone, Debug)]
pub(super) enum Why {
    Answered {
        status: StatusCode,
        body: String,
    },
    /// In our words, without a secret.
    Failed(String),
    /// It was under way when the connection broke.
    Lost(String),
}

/// The newest refusal, shared by all clients of a store.
#[derive(Clone, Debug, Default)]
pub(super) struct Told(Arc<Mutex<Option<Refusal>>>);

impl Told {
    fn lock(&self) -> MutexGuard<'_, Option<Refusal>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn forget(&self) {
        *self.lock() = None;
    }

    pub fn newest(&self) -> Option<Refusal> {
        self.lock().clone()
    }
}

#[derive(Clone, Debug)]
pub(super) struct Connector {
    agents: Arc<Agents>,
    told: Told,
}

impl Connector {
    pub fn new(told: Told) -> Connector {
        Connector {
            agents: Arc::default(),
            told,
        }
    }

    /// For tests, whose proxy the environment does not name.
    #[cfg(test)]
    pub fn without_proxy(told: Told) -> Connector {
        let connector = Connector::new(told);
        assert!(connector.agents.proxied.set(agent(None, &[])).is_ok());
        connector
    }
}

#[derive(Debug, Default)]
struct Agents {
    proxied: OnceLock<Agent>,
    direct: OnceLock<Agent>,
}

impl HttpConnector for Connector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let connect = |options: &ClientOptions| options.get_config_value(&ClientConfigKey::ConnectTimeout);
        let ours = ClientOptions::new().with_connect_timeout(CONNECT);
        let allows_http = options.get_config_value(&ClientConfigKey::AllowHttp);
        Ok(HttpClient::new(Service {
            connector: self.clone(),
            // For it alone `object_store` changes how long a connection may take.
            is_metadata: connect(options) != connect(&ours),
            is_https_only: allows_http.as_deref() != Some("true"),
        }))
    }
}

#[derive(Debug)]
struct Service {
    connector: Connector,
    is_metadata: bool,
    is_https_only: bool,
}

impl HttpService for Service {
    // As `async_trait` has it.
    fn call<'s, 'f>(
        &'s self,
        request: HttpRequest,
    ) -> Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send + 'f>>
    where
        's: 'f,
        Self: 'f,
    {
        Box::pin(async move { self.answer(request) })
    }
}

impl Service {
    fn answer(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let (parts, body) = request.into_parts();
        let body = gathered(body)?;
        let host = parts.uri.authority().map_or("", |authority| authority.as_str());
        let host = host.rsplit('@').next().unwrap_or_default().to_owned();
        let outcome = self.send(Request::from_parts(parts, ()), body);
        let is_metadata = self.is_metadata;
        let note = |why| Refusal {
            host,
            is_metadata,
            why,
        };
        let (refusal, outcome) = match outcome {
            Ok(answer) if answer.status().is_success() => (None, Ok(answer)),
            Ok(answer) => {
                let why = Why::Answered {
                    status: answer.status(),
                    body: String::from_utf8_lossy(answer.body()).into_owned(),
                };
                (Some(note(why)), Ok(answer))
            }
            Err((kind, why)) => {
                let why = match kind {
                    HttpErrorKind::Interrupted => Why::Lost(why),
                    _ => Why::Failed(why),
                };
                // Whether there is one is clear at once, and asking again takes the time that a stop must not take.
                let kind = if is_metadata { HttpErrorKind::Unknown } else { kind };
                (Some(note(why.clone())), Err(HttpError::new(kind, why)))
            }
        };
        *self.connector.told.lock() = refusal;
        outcome.map(|answer| answer.map(Into::into))
    }

    fn send(&self, request: Request<()>, body: Bytes) -> Result<Response<Bytes>, (HttpErrorKind, String)> {
        if self.is_https_only && request.uri().scheme_str() != Some("https") {
            let why = "no plain HTTP is spoken, as nothing asks for it";
            return Err((HttpErrorKind::Unknown, why.to_owned()));
        }
        let limit = match (self.is_metadata, body.len()) {
            (true, _) => METADATA,
            (false, 0) => REQUEST,
            (false, bytes) => REQUEST_WITH_BODY + Duration::from_secs((bytes / SLOWEST) as u64),
        };
        let agent = self.agent(request.uri());
        let request = agent
            .configure_request(request)
            .timeout_connect(Some(if self.is_metadata {
                METADATA_CONNECT
            } else {
                CONNECT
            }))
            .timeout_global(Some(limit))
            .max_idle_age(IDLE_MAX)
            .build();
        // What has a length has a body, be it empty; a GET has none.
        let answer = if request.headers().contains_key("content-length") || !body.is_empty() {
            agent.run(request.map(|()| &body[..]))
        } else {
            agent.run(request)
        };
        let failed = |error: &ureq::Error| (kind_of(error), in_words(error));
        let (parts, mut body) = answer.map_err(|error| failed(&error))?.into_parts();
        let mut bytes = Vec::new();
        let read = body
            .as_reader()
            .take(ANSWER_BYTES_MAX)
            .read_to_end(&mut bytes)
            .map_err(ureq::Error::from);
        read.map_err(|error| failed(&error))?;
        Ok(Response::from_parts(parts, bytes.into()))
    }

    /// What is on this machine's own link lies behind no proxy.
    fn agent(&self, uri: &Uri) -> &Agent {
        let agents = &self.connector.agents;
        let address = uri
            .host()
            .and_then(|host| host.parse::<std::net::Ipv4Addr>().ok());
        if self.is_metadata || address.is_some_and(|address| address.is_link_local()) {
            return agents.direct.get_or_init(|| agent(None, &[]));
        }
        agents
            .proxied
            .get_or_init(|| agent(Proxy::try_from_env(), &native_roots()))
    }
}

/// The body as one piece, which it nearly always is: all of it is there.
fn gathered(body: HttpRequestBody) -> Result<Bytes, HttpError> {
    let mut pieces: Vec<Bytes> = Vec::new();
    let mut body = pin!(body);
    let mut context = Context::from_waker(Waker::noop());
    while let Poll::Ready(Some(frame)) = body.as_mut().poll_frame(&mut context) {
        pieces.extend(frame?.into_data().ok());
    }
    Ok(match pieces.len() {
        0 | 1 => pieces.pop().unwrap_or_default(),
        _ => pieces.concat().into(),
    })
}

/// By which `object_store` tells whether to try again.
fn kind_of(error: &ureq::Error) -> HttpErrorKind {
    match error {
        ureq::Error::Timeout(_) => HttpErrorKind::Timeout,
        ureq::Error::HostNotFound | ureq::Error::ConnectionFailed | ureq::Error::ConnectProxyFailed(_) => {
            HttpErrorKind::Connect
        }
        ureq::Error::Io(error) => match error.kind() {
            io::ErrorKind::ConnectionRefused
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::AddrNotAvailable => HttpErrorKind::Connect,
            io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => HttpErrorKind::Timeout,
            _ => HttpErrorKind::Interrupted,
        },
        _ => HttpErrorKind::Unknown,
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Why::Answered { status, .. } => write!(f, "it answered {status}"),
            Why::Failed(why) | Why::Lost(why) => f.write_str(why),
        }
    }
}

impl Error for Why {}
