//! A running query: batches as they come, until there are no more or somebody wants no more.

use std::future::Future;
#[cfg(feature = "cluster")]
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::physical_plan::SendableRecordBatchStream;
use futures::StreamExt as _;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

#[cfg(feature = "cluster")]
use crate::cluster::Cluster;
use crate::error::QueryError;
use crate::session::Inner;

/// Batches that wait for who reads them.
const WAITING: usize = 2;
/// How often the wish to stop is looked at.
const LOOK: Duration = Duration::from_millis(25);

enum Part {
    Columns(SchemaRef),
    Rows(RecordBatch),
    End,
}

/// The answer to a query. Dropped, it stops the query.
pub struct Answer<'s> {
    runtime: &'s Runtime,
    parts: mpsc::Receiver<Result<Part, QueryError>>,
    task: AbortHandle,
    columns: SchemaRef,
    is_done: bool,
    #[cfg(feature = "cluster")]
    cluster: Option<Arc<Cluster>>,
}

impl<'s> Answer<'s> {
    /// Starts what makes a stream and then the stream, and waits for its columns.
    pub(crate) fn start(
        runtime: &'s Runtime,
        inner: Inner,
        stream: impl Future<Output = Result<SendableRecordBatchStream, QueryError>> + Send + 'static,
        stop: &AtomicBool,
    ) -> Result<Answer<'s>, QueryError> {
        #[cfg(feature = "cluster")]
        let cluster = inner.cluster.clone();
        let (sender, parts) = mpsc::channel(WAITING);
        let task = runtime.spawn(async move {
            let sent = match stream.await {
                Ok(stream) => send(&inner, stream, &sender).await,
                Err(error) => sender.send(Err(error)).await.ok(),
            };
            // Nobody wants it: the answer was dropped.
            let _ = sent;
        });
        let mut answer = Answer {
            runtime,
            parts,
            task: task.abort_handle(),
            columns: SchemaRef::new(arrow::datatypes::Schema::empty()),
            is_done: false,
            #[cfg(feature = "cluster")]
            cluster,
        };
        match answer.part(stop)? {
            Part::Columns(columns) => answer.columns = columns,
            Part::Rows(_) | Part::End => unreachable!("columns come first"),
        }
        Ok(answer)
    }

    #[must_use]
    pub fn columns(&self) -> &SchemaRef {
        &self.columns
    }

    /// The next rows; None when those before were all.
    ///
    /// # Errors
    /// When the query failed on the way, or `stop` was set. There is nothing more then.
    pub fn next(&mut self, stop: &AtomicBool) -> Result<Option<RecordBatch>, QueryError> {
        while !self.is_done {
            match self.part(stop) {
                Ok(Part::Rows(batch)) if batch.num_rows() == 0 => {}
                Ok(Part::Rows(batch)) => return Ok(Some(batch)),
                Ok(Part::Columns(_) | Part::End) => self.is_done = true,
                Err(error) => {
                    self.is_done = true;
                    return Err(error);
                }
            }
        }
        Ok(None)
    }

    fn part(&mut self, stop: &AtomicBool) -> Result<Part, QueryError> {
        let Answer { runtime, parts, .. } = self;
        runtime.block_on(async {
            loop {
                if stop.load(Ordering::Relaxed) {
                    return Err(QueryError::Interrupted);
                }
                match tokio::time::timeout(LOOK, parts.recv()).await {
                    Ok(Some(part)) => return part,
                    // It sends an end; without one it has panicked.
                    Ok(None) => {
                        return Err(QueryError::Failed(
                            "the query came to no end: a defect of the program".to_owned(),
                        ));
                    }
                    Err(_) => {}
                }
            }
        })
    }
}

impl Drop for Answer<'_> {
    fn drop(&mut self) {
        self.task.abort();
        #[cfg(feature = "cluster")]
        if let Some(cluster) = &self.cluster {
            self.runtime.block_on(cluster.called_off());
        }
    }
}

/// None when nobody listens any more.
async fn send(
    inner: &Inner,
    mut stream: SendableRecordBatchStream,
    sender: &mpsc::Sender<Result<Part, QueryError>>,
) -> Option<()> {
    sender.send(Ok(Part::Columns(stream.schema()))).await.ok()?;
    while let Some(batch) = stream.next().await {
        let part = batch.map(Part::Rows).map_err(|error| inner.failure(&error));
        let is_last = part.is_err();
        sender.send(part).await.ok()?;
        if is_last {
            return Some(());
        }
    }
    sender.send(Ok(Part::End)).await.ok()
}
