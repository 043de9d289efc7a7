//! A query on the cluster: a plan handed over, watched until it ends or nobody wants it, and its rows fetched.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use ballista_core::BALLISTA_VERSION;
use ballista_core::client::BallistaClient;
use ballista_core::extension::SessionConfigExt as _;
use ballista_core::serde::BallistaPhysicalExtensionCodec;
use ballista_core::serde::protobuf::execute_query_params::Query;
use ballista_core::serde::protobuf::execute_query_result::Result as Taken;
use ballista_core::serde::protobuf::get_job_status_result::FlightProxy;
use ballista_core::serde::protobuf::job_status::Status;
use ballista_core::serde::protobuf::scheduler_grpc_client::SchedulerGrpcClient;
use ballista_core::serde::protobuf::{
    CancelJobParams, ExecuteQueryParams, GetJobStatusParams, KeyValuePair, PartitionLocation,
};
use ballista_core::utils::{GrpcClientConfig, create_grpc_client_endpoint};
use ballista_core::version;
use datafusion::common::{DataFusionError, exec_datafusion_err};
use datafusion::execution::SessionState;
use datafusion::object_store::local::LocalFileSystem;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{ExecutionPlan, SendableRecordBatchStream};
use datafusion_proto::bytes::physical_plan_to_bytes_with_extension_codec;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tonic::transport::Channel;

use super::SchedulerUrl;
use crate::error::QueryError;
use crate::fault::Fault;

/// A plan names every file it reads; this is room for some hundred thousand.
pub(super) const MESSAGE_BYTES_MAX: usize = 256 << 20;
/// How often a job is looked at: often while it is young, so that a quick one is not waited for.
const LOOK_FIRST: Duration = Duration::from_millis(5);
const LOOK_LAST: Duration = Duration::from_millis(200);
/// How long a job that nobody wants may take to be called off.
const CANCEL_WAIT: Duration = Duration::from_secs(3);
/// What is shown of an error that came from afar, in characters.
const SHOWN: usize = 600;

/// What the scheduler says of a job that it was told to call off.
const CALLED_OFF: &str = "Cancelled";

type Client = SchedulerGrpcClient<Channel>;

/// The cluster that a session's queries run on.
#[derive(Debug)]
pub(crate) struct Cluster {
    scheduler: SchedulerUrl,
    /// Whoever watches the job that was started last.
    watch: Mutex<Option<JoinHandle<()>>>,
}

/// What a job left behind, and where it is.
struct Results {
    parts: Vec<PartitionLocation>,
    proxy: Option<FlightProxy>,
}

/// Why there are none.
enum Failure {
    /// Nobody was reached who takes the plan, or it was refused.
    Scheduler(String),
    Job(String),
}

impl Cluster {
    pub fn new(scheduler: SchedulerUrl) -> Cluster {
        Cluster {
            scheduler,
            watch: Mutex::new(None),
        }
    }

    /// Runs a plan and hands out its rows. Dropped before that, the job is called off; [`Cluster::called_off`] waits for it.
    pub async fn run(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        state: &SessionState,
    ) -> Result<SendableRecordBatchStream, QueryError> {
        let message = ExecuteQueryParams {
            query: Some(Query::PhysicalPlan(encoded(&plan)?)),
            settings: settings(state),
            session_id: state.session_id().to_owned(),
            operation_id: String::new(),
        };
        let grpc = GrpcClientConfig::from(&state.config().ballista_config());
        // Held as long as somebody waits.
        let (_wanted, unwanted) = oneshot::channel::<()>();
        let (sender, results) = oneshot::channel();
        let watch = watch(self.scheduler.clone(), grpc.clone(), message, unwanted, sender);
        *self.watch.lock().expect("no panic under the lock") = Some(tokio::spawn(watch));
        let failure = match results.await {
            Ok(Ok(results)) => return Ok(self.rows(results, plan, grpc)),
            Ok(Err(failure)) => failure,
            Err(_) => return Err(QueryError::Interrupted),
        };
        Err(match failure {
            Failure::Scheduler(text) => QueryError::Failed(format!(
                "the scheduler at {}: {text}\nhint: is it Ballista {BALLISTA_VERSION}, as eventlake cluster scheduler is?",
                self.scheduler
            )),
            Failure::Job(text) => failed(&plan, &text),
        })
    }

    /// Waits until a job that nobody wants any more was called off.
    pub async fn called_off(&self) {
        let watch = self.watch.lock().expect("no panic under the lock").take();
        if let Some(watch) = watch {
            // Whoever cannot be told has other troubles.
            let _ = tokio::time::timeout(CANCEL_WAIT, watch).await;
        }
    }

    /// One part after the other, so that an order which the parts are in is kept.
    fn rows(
        &self,
        results: Results,
        plan: Arc<dyn ExecutionPlan>,
        grpc: GrpcClientConfig,
    ) -> SendableRecordBatchStream {
        let (scheduler, proxy) = (self.scheduler.clone(), results.proxy);
        let rows = stream::iter(results.parts)
            .then(move |part| fetch(part, scheduler.clone(), proxy.clone(), grpc.clone()))
            .try_flatten();
        Box::pin(RecordBatchStreamAdapter::new(plan.schema(), rows))
    }
}

/// The plan as the cluster reads it.
fn encoded(plan: &Arc<dyn ExecutionPlan>) -> Result<Vec<u8>, QueryError> {
    let codec = BallistaPhysicalExtensionCodec::default();
    let bytes = physical_plan_to_bytes_with_extension_codec(Arc::clone(plan), &codec);
    bytes.map(|bytes| bytes.to_vec()).map_err(|error| {
        let text = cut(&error.strip_backtrace());
        let fault = Fault::new(format!(
            "the cluster cannot be told a part of the statement: {text}"
        ));
        QueryError::Sql(fault.hint("leave --cluster away; information_schema can be asked alone"))
    })
}

fn settings(state: &SessionState) -> Vec<KeyValuePair> {
    let entries = state.config().options().entries().into_iter();
    entries
        .map(|entry| KeyValuePair {
            key: entry.key,
            value: entry.value,
        })
        .collect()
}

/// Sees a job through from its submission on, so that whenever it is unwanted its name is known.
async fn watch(
    scheduler: SchedulerUrl,
    grpc: GrpcClientConfig,
    message: ExecuteQueryParams,
    mut unwanted: oneshot::Receiver<()>,
    results: oneshot::Sender<Result<Results, Failure>>,
) {
    let connected = tokio::select! {
        _ = &mut unwanted => return,
        connected = connect(&scheduler, &grpc) => connected,
    };
    let submitted = match connected {
        Ok(mut client) => submit(&mut client, message).await.map(|job| (client, job)),
        Err(failure) => Err(failure),
    };
    let outcome = match submitted {
        Err(failure) => Err(failure),
        Ok((mut client, job_id)) => {
            let mut looking = client.clone();
            tokio::select! {
                _ = &mut unwanted => {
                    // Nobody is left who could be told that it failed.
                    let _ = client.cancel_job(CancelJobParams { job_id }).await;
                    return;
                }
                ended = ended(&mut looking, &job_id) => ended,
            }
        }
    };
    // Nobody waits any more: then nobody is missing it.
    let _ = results.send(outcome);
}

async fn connect(scheduler: &SchedulerUrl, grpc: &GrpcClientConfig) -> Result<Client, Failure> {
    let failed = |error: String| Failure::Scheduler(format!("it cannot be reached: {error}"));
    let url = format!("http://{}:{}", scheduler.host, scheduler.port);
    let endpoint = create_grpc_client_endpoint(url, Some(grpc)).map_err(|error| failed(error.to_string()))?;
    let channel = endpoint.connect().await.map_err(|error| failed(causes(&error)))?;
    Ok(SchedulerGrpcClient::new(channel)
        .max_encoding_message_size(MESSAGE_BYTES_MAX)
        .max_decoding_message_size(MESSAGE_BYTES_MAX))
}

/// The job's name.
async fn submit(client: &mut Client, message: ExecuteQueryParams) -> Result<String, Failure> {
    let mut request = tonic::Request::new(message);
    version::insert_version_header(request.metadata_mut());
    let refused = |text: &str| Failure::Scheduler(format!("it does not take the query: {}", cut(text)));
    let response = client.execute_query(request).await;
    let response = response.map_err(|status| refused(status.message()))?;
    let theirs = version::version_from_metadata(response.metadata());
    version::check_compatibility(Some(BALLISTA_VERSION), theirs).map_err(|error| refused(&error))?;
    match response.into_inner().result {
        Some(Taken::Success(taken)) => Ok(taken.job_id),
        Some(Taken::Failure(failure)) => Err(refused(&format!("{failure:?}"))),
        None => Err(refused("it gives no reason")),
    }
}

/// Waits for the job's end.
async fn ended(client: &mut Client, job_id: &str) -> Result<Results, Failure> {
    let mut look = LOOK_FIRST;
    loop {
        let asked = GetJobStatusParams {
            job_id: job_id.to_owned(),
        };
        let answer = client.get_job_status(asked).await;
        let answer = answer
            .map_err(|status| Failure::Scheduler(format!("it was lost: {}", cut(status.message()))))?
            .into_inner();
        match answer.status.and_then(|status| status.status) {
            None | Some(Status::Queued(_) | Status::Running(_)) => {}
            Some(Status::Failed(failed)) => return Err(Failure::Job(failed.error)),
            Some(Status::Successful(done)) => {
                return Ok(Results {
                    parts: done.partition_location,
                    proxy: answer.flight_proxy,
                });
            }
        }
        tokio::time::sleep(look).await;
        look = (look * 2).min(LOOK_LAST);
    }
}

/// The rows of one part, from the executor that made them or from whoever stands before it.
async fn fetch(
    part: PartitionLocation,
    scheduler: SchedulerUrl,
    proxy: Option<FlightProxy>,
    grpc: GrpcClientConfig,
) -> Result<SendableRecordBatchStream, DataFusionError> {
    let layout = part.layout();
    let unsaid = || exec_datafusion_err!("the scheduler does not say where the answer is");
    let executor = part.executor_meta.ok_or_else(unsaid)?;
    let id = part.partition_id.ok_or_else(unsaid)?;
    let port = u16::try_from(executor.port).map_err(|_| unsaid())?;
    let (host, at) = match &proxy {
        Some(FlightProxy::External(place)) => {
            let (host, port) = place.rsplit_once(':').ok_or_else(unsaid)?;
            (host.to_owned(), port.parse().map_err(|_| unsaid())?)
        }
        Some(FlightProxy::Local(true)) => (scheduler.host, scheduler.port),
        Some(FlightProxy::Local(false)) | None => (executor.host.clone(), port),
    };
    let lost = |error: ballista_core::error::BallistaError| {
        let text = cut(&error.to_string());
        exec_datafusion_err!(
            "the executor at {}:{port} does not hand out its part of the answer: {text}\nhint: if it was lost, run the query again",
            executor.host
        )
    };
    let retries = (grpc.io_retries_times, grpc.io_retry_wait_time_ms);
    let client = BallistaClient::try_new(
        &host,
        at,
        grpc.max_message_size,
        grpc.use_tls,
        None,
        retries.0,
        retries.1,
        grpc.initial_connection_window_size,
        grpc.initial_stream_window_size,
    );
    let mut client = client.await.map_err(lost)?;
    let id = id.into();
    let rows = client.fetch_partition_proxied(
        &executor.id,
        &id,
        part.file_id,
        layout,
        &executor.host,
        port,
        true,
    );
    rows.await.map_err(lost)
}

/// A job that failed: because a file is no longer where it lay, or because of what the executors say.
fn failed(plan: &Arc<dyn ExecutionPlan>, text: &str) -> QueryError {
    let disk = LocalFileSystem::new();
    let places = super::files(plan).into_iter();
    let mut places = places.filter_map(|file| disk.path_to_filesystem(&file).ok());
    if let Some(gone) = places.find(|place| !place.exists()) {
        return QueryError::Gone {
            path: gone.display().to_string(),
        };
    }
    let hint = if text == CALLED_OFF {
        "an executor was lost or left, or somebody called the job off: run the query again"
    } else if text.contains("NotFound") || text.contains("not found") {
        "executors read the lake's files under the same paths as this program: is the folder shared with them?"
    } else {
        "the scheduler's and the executors' logs say more; without --cluster the query runs here"
    };
    QueryError::Failed(format!("the cluster failed: {}\nhint: {hint}", cut(text)))
}

/// Its first characters, on one line.
fn cut(text: &str) -> String {
    let mut words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some((end, _)) = words.char_indices().nth(SHOWN) {
        words.truncate(end);
        words.push('…');
    }
    words
}

/// An error with what it came from.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
