//! The HTTP endpoints of a running ingester: health, metrics and status, on a thread of their own.
//!
//! Nothing that a client does may cost the ingester more than a bounded share of memory and time: connections are
//! counted, each has a deadline and serves one request, and no request body is ever read.

mod endpoints;
mod metrics;
#[cfg(test)]
mod tests;
mod view_metrics;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub use endpoints::LiveStatus;

use axum::Router;
use eventlake_core::config::ListenAddress;
use eventlake_engine::telemetry::Telemetry;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, oneshot};

/// Connections served at a time; more wait in the operating system's own queue.
const CONNECTIONS_MAX: usize = 32;
/// How long a client may take to send the head of its request.
const HEAD_WAIT: Duration = Duration::from_secs(3);
/// How long a connection may take from its first byte to its last.
const CONNECTION_WAIT: Duration = Duration::from_secs(10);
/// The largest head of a request, in bytes.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// After a failed accept (too many open files) before the next one.
const ACCEPT_PAUSE: Duration = Duration::from_millis(500);
/// Between two samples of the counters that rates are told from.
const SAMPLE_EVERY: Duration = Duration::from_secs(1);

/// The running server. Dropping it stops the server and waits for its thread.
#[derive(Debug)]
pub struct ServerHandle {
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

/// Starts to serve, on a thread of its own. `[http] listen = "off"` serves nothing.
///
/// An address that cannot be listened on (in use, say) is one line in the log and no reason to stop: the ingester's
/// work does not depend on being watched.
///
/// # Errors
/// When the operating system gives no thread or no event queue.
pub fn serve(listen: ListenAddress, telemetry: Arc<Telemetry>) -> io::Result<ServerHandle> {
    let ListenAddress::At(address) = listen else {
        return Ok(ServerHandle { running: None });
    };
    let listener = match bind(address) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::warn!(
                %address, %error,
                "cannot serve health, metrics and status, going on without (another ingester on this machine? \
                 `[http] listen` or EVENTLAKE_HTTP_LISTEN names another address, \"off\" means none)"
            );
            return Ok(ServerHandle { running: None });
        }
    };
    let address = listener.local_addr()?;
    tracing::info!("health, metrics and status at http://{address}/");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let (stop, stopped) = oneshot::channel();
    let thread = std::thread::Builder::new()
        .name("http".to_owned())
        .spawn(move || {
            runtime.block_on(async move {
            // Either the handle says stop, or it was dropped: both end the server.
            tokio::select! {
                _ = stopped => {}
                never = accept_forever(listener, endpoints::router(Arc::clone(&telemetry))) => match never {},
                never = sample_forever(&telemetry) => match never {},
            }
        });
        })?;
    Ok(ServerHandle {
        running: Some(Running {
            address,
            stop,
            thread,
        }),
    })
}

impl ServerHandle {
    /// The address that is listened on; none where nothing is served.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        self.running.as_ref().map(|running| running.address)
    }

    /// Stops to serve; requests under way are cut off.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for ServerHandle {
    fn drop(&mut self) {
        if let Some(Running { stop, thread, .. }) = self.running.take() {
            // Fails only when the thread has ended already.
            let _ = stop.send(());
            if thread.join().is_err() {
                tracing::error!("the thread that served health, metrics and status had panicked");
            }
        }
    }
}

fn bind(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let listener = std::net::TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

async fn accept_forever(listener: std::net::TcpListener, router: Router) -> std::convert::Infallible {
    let listener = TcpListener::from_std(listener).expect("a non-blocking listener inside a runtime");
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let place = Arc::clone(&places)
            .acquire_owned()
            .await
            .expect("the semaphore is never closed");
        match listener.accept().await {
            Ok((stream, _)) => {
                let router = router.clone();
                tokio::spawn(async move {
                    serve_connection(stream, router).await;
                    drop(place);
                });
            }
            // Of a connection that was gone at once, or of the whole process: neither is this thread's to mend.
            Err(error) => {
                tracing::debug!(%error, "a connection was not accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn serve_connection(stream: TcpStream, router: Router) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WAIT)
        .max_buf_size(HEAD_BYTES_MAX)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    match tokio::time::timeout(CONNECTION_WAIT, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "a client of the http endpoint was cut off"),
        Err(_) => tracing::debug!("a client of the http endpoint took too long and was cut off"),
    }
}

async fn sample_forever(telemetry: &Telemetry) -> std::convert::Infallible {
    loop {
        telemetry.sample(now_unix_millis());
        tokio::time::sleep(SAMPLE_EVERY).await;
    }
}

fn now_unix_millis() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
