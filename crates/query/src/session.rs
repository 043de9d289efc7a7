//! A session: DataFusion set up for the lake, with a bound on memory, over one snapshot at a time.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use arrow::array::RecordBatch;
use datafusion::catalog::TableProvider as _;
use datafusion::common::tree_node::TreeNode as _;
use datafusion::common::{DataFusionError, TableReference};
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::{SessionState, SessionStateBuilder};
use datafusion::logical_expr::{AggregateUDF, LogicalPlan};
use datafusion::physical_plan::{SendableRecordBatchStream, execute_stream};
use datafusion::prelude::{SQLOptions, SessionConfig, SessionContext};
use datafusion::sql::parser::Statement;
use tokio::runtime::{Builder, Runtime};

use crate::answer::Answer;
use crate::catalog::{CATALOG, LakeCatalog};
#[cfg(feature = "cluster")]
use crate::cluster::{self, Cluster, SchedulerUrl};
use crate::distinct::CountTexts;
use crate::error::QueryError;
use crate::fault::{Fault, quoted};
use crate::lake::{ACCEPTED, Table};
use crate::statement;
use crate::store::LakeStore;
use crate::table::{Reader, STORE, location};
use crate::view::{HeldTable, Span};

/// Planning walks deep trees.
const STACK_BYTES: usize = 8 << 20;
/// Read from a file's end in the hope that it is the whole footer.
const FOOTER_BYTES: usize = 64 << 10;
/// Of the memory limit, what operators may reserve. The rest is for batches on their way, which nobody counts.
const RESERVED: f64 = 0.75;
/// Of the memory limit, what may be held of rows that are looked at again and again: half of what nobody counts.
const HELD: f64 = 0.125;

/// Into how many parts a thread's share of a join is divided: a part's hash table and keys then stay in the processor's caches,
/// and one part with far more matches than others holds up less. Above so many parts in all there is nothing left to gain.
const JOIN_PARTS_A_THREAD: usize = 4;
const JOIN_PARTS_MAX: usize = 16;

/// How long a query that was stopped may take to let go.
const STOP_WAIT: Duration = Duration::from_secs(5);

/// What a session may take.
#[derive(Clone, Debug)]
pub struct Limits {
    pub memory_bytes: u64,
    /// Where operators put what does not fit into memory.
    pub spill_folder: PathBuf,
    /// Threads, and how many parts a query is divided into.
    pub threads: usize,
}

pub struct Session {
    /// None only while it is dropped.
    runtime: Option<Runtime>,
    inner: Inner,
    known: Known,
    held_bytes_max: usize,
}

/// What a running query needs of its session.
#[derive(Clone)]
pub(crate) struct Inner {
    pub context: SessionContext,
    pub store: Arc<LakeStore>,
    /// Where queries run that read files, if not here.
    #[cfg(feature = "cluster")]
    pub cluster: Option<Arc<Cluster>>,
}

/// The names of the snapshot.
#[derive(Clone, Debug, Default)]
struct Known {
    tables: Vec<String>,
    columns: BTreeSet<String>,
}

impl Session {
    /// A session over an empty lake.
    ///
    /// # Errors
    /// When the operating system gives no threads, or there is no place to spill to.
    pub fn new(limits: &Limits) -> Result<Session, QueryError> {
        let state = SessionStateBuilder::new().with_config(config(limits));
        let session = Session::of(limits, runtime(limits).enable_time(), state)?;
        let context = &session.inner.context;
        context.register_udaf(AggregateUDF::from(CountTexts::default()));
        Ok(session)
    }

    /// A session over an empty lake whose statements run on a cluster, those apart that read no file.
    ///
    /// # Errors
    /// As [`Session::new`]. The cluster is not looked for before there is something to do.
    #[cfg(feature = "cluster")]
    pub fn on_cluster(limits: &Limits, scheduler: SchedulerUrl) -> Result<Session, QueryError> {
        let state = cluster::planner(config(limits));
        let mut session = Session::of(limits, runtime(limits).enable_all(), state)?;
        session.inner.cluster = Some(Arc::new(Cluster::new(scheduler)));
        Ok(session)
    }

    fn of(limits: &Limits, runtime: &mut Builder, state: SessionStateBuilder) -> Result<Session, QueryError> {
        let failed = |error: &dyn std::fmt::Display| QueryError::Failed(error.to_string());
        let memory = usize::try_from(limits.memory_bytes).unwrap_or(usize::MAX);
        let spill = DiskManagerMode::Directories(vec![limits.spill_folder.clone()]);
        let environment = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(FairSpillPool::new((memory as f64 * RESERVED) as usize)))
            .with_disk_manager_builder(DiskManagerBuilder::default().with_mode(spill))
            .build_arc()
            .map_err(|error| failed(&error))?;
        let store = Arc::new(LakeStore::default());
        let url = ObjectStoreUrl::parse(STORE).expect("a URL");
        environment.register_object_store(url.as_ref(), Arc::clone(&store) as _);
        let state = state.with_runtime_env(environment).with_default_features();
        let mut session = Session {
            runtime: Some(runtime.build().map_err(|error| failed(&error))?),
            inner: Inner {
                context: SessionContext::new_with_state(state.build()),
                store,
                #[cfg(feature = "cluster")]
                cluster: None,
            },
            known: Known::default(),
            held_bytes_max: (memory as f64 * HELD) as usize,
        };
        session.show(Vec::new());
        Ok(session)
    }

    /// Queries see these tables from now on, as they are described here.
    pub fn show(&mut self, tables: Vec<Table>) {
        self.present(tables, None);
    }

    /// As [`Session::show`], but of each table only the rows of this time.
    pub(crate) fn show_within(&mut self, tables: Vec<Table>, span: Span) {
        self.present(tables, Some(span));
    }

    fn present(&mut self, tables: Vec<Table>, span: Option<Span>) {
        self.known = Known::of(&tables);
        let files = tables.iter().flat_map(|table| &table.files);
        self.inner.store.hold(files.map(|live| (location(live), live)));
        let catalog = Arc::new(LakeCatalog::new(tables, span, &self.inner.reader()));
        self.inner.context.register_catalog(CATALOG, catalog);
    }

    /// Queries see these tables from now on, and of their rows those in sight.
    pub(crate) fn show_held(&mut self, tables: Vec<(String, Arc<HeldTable>)>) {
        let columns = tables.iter().map(|(_, table)| table.schema());
        let columns = columns.flat_map(|columns| columns.fields().iter().cloned().collect::<Vec<_>>());
        self.known = Known {
            tables: tables.iter().map(|(name, _)| name.clone()).collect(),
            columns: columns.map(|field| quoted(field.name())).collect(),
        };
        self.inner.store.hold(std::iter::empty());
        let catalog = Arc::new(LakeCatalog::of_held(tables));
        self.inner.context.register_catalog(CATALOG, catalog);
    }

    /// Bytes of rows that may be held while they are looked at again and again.
    pub(crate) fn held_bytes_max(&self) -> usize {
        self.held_bytes_max
    }

    #[cfg(test)]
    pub(crate) fn hold_at_most(&mut self, bytes: usize) {
        self.held_bytes_max = bytes;
    }

    pub(crate) fn inner(&self) -> &Inner {
        &self.inner
    }

    /// The tables shown, as a query names them.
    pub(crate) fn tables(&self) -> &[String] {
        &self.known.tables
    }

    /// Waits for what the session's threads do.
    pub(crate) fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime().block_on(work)
    }

    /// Starts a query. Its rows come by [`Answer::next`].
    ///
    /// # Errors
    /// When the SQL is wrong or not one that reads, when it cannot be planned, or `stop` was set.
    pub fn run(&self, sql: &str, stop: &AtomicBool) -> Result<Answer<'_>, QueryError> {
        let statement = statement::parse(sql)?;
        let inner = self.inner.clone();
        let (text, known) = (sql.to_owned(), self.known.tables.clone());
        let stream = async move {
            let plan = inner.plan(statement, &text, &known).await?;
            let state = inner.for_joins(&plan);
            inner.execute(plan, &state).await
        };
        Answer::start(self.runtime(), self.inner.clone(), stream, stop)
    }

    fn runtime(&self) -> &Runtime {
        self.runtime.as_ref().expect("taken by the drop alone")
    }

    /// Words that a query may hold, for completion: tables, columns and functions, as they must be written.
    #[must_use]
    pub fn words(&self) -> Vec<String> {
        let state = self.inner.context.state();
        let functions = [
            state.scalar_functions().keys().cloned().collect::<Vec<_>>(),
            state.aggregate_functions().keys().cloned().collect(),
            state.window_functions().keys().cloned().collect(),
        ];
        let mut words: BTreeSet<String> = functions.into_iter().flatten().collect();
        words.extend(self.known.tables.iter().cloned());
        words.extend(self.known.columns.iter().cloned());
        words.into_iter().collect()
    }
}

impl Drop for Session {
    /// What still runs is given a moment to end, so that it leaves no spilt files behind.
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(STOP_WAIT);
        }
    }
}

fn runtime(limits: &Limits) -> Builder {
    let mut runtime = Builder::new_multi_thread();
    runtime
        .worker_threads(limits.threads)
        .thread_name("query")
        .thread_stack_size(STACK_BYTES);
    runtime
}

fn config(limits: &Limits) -> SessionConfig {
    let mut config = SessionConfig::new()
        .with_default_catalog_and_schema(CATALOG, ACCEPTED)
        .with_create_default_catalog_and_schema(false)
        .with_information_schema(true)
        .with_target_partitions(limits.threads);
    let options = config.options_mut();
    options.sql_parser.collect_spans = true;
    options.execution.parquet.metadata_size_hint = Some(FOOTER_BYTES);
    // Files have no Bloom filters to look for.
    options.execution.parquet.bloom_filter_on_read = false;
    // A sort keeps this much for merging what it spilt; a small limit must still hold it.
    options.execution.sort_spill_reservation_bytes =
        (limits.memory_bytes / 32).clamp(1 << 20, 10 << 20) as usize;
    config
}

impl Known {
    fn of(tables: &[Table]) -> Known {
        let mut known = Known::default();
        for table in tables {
            known.tables.push(table.full_name());
            let names = table.columns.fields().iter().map(|field| quoted(field.name()));
            known.columns.extend(names);
        }
        known
            .columns
            .extend([crate::table::DATE, crate::table::HOUR].map(str::to_owned));
        known
    }
}

impl Inner {
    fn reader(&self) -> Reader {
        #[cfg(feature = "cluster")]
        if self.cluster.is_some() {
            return Reader::Others(Arc::clone(&self.store));
        }
        Reader::Session
    }

    /// A statement to what it means, with every fault of the SQL found here.
    pub async fn plan(
        &self,
        statement: Statement,
        sql: &str,
        known: &[String],
    ) -> Result<LogicalPlan, QueryError> {
        let plan = self.logical(statement, sql, known).await?;
        self.optimize(plan, sql)
    }

    /// A statement to what it says.
    pub async fn logical(
        &self,
        statement: Statement,
        sql: &str,
        known: &[String],
    ) -> Result<LogicalPlan, QueryError> {
        let state = self.context.state();
        let references = state.resolve_table_references(&statement).unwrap_or_default();
        let planned = state.statement_to_plan(statement).await;
        let plan = match planned {
            Ok(plan) => plan,
            Err(error) => {
                let missing = references
                    .iter()
                    .find(|reference| !self.has(reference) && is_about(&error, reference));
                return Err(QueryError::Sql(match missing {
                    Some(table) => Fault::no_table(sql, &shown(table), known, &error),
                    None => Fault::of_planner(sql, &error),
                }));
            }
        };
        let only_reads = SQLOptions::new()
            .with_allow_ddl(false)
            .with_allow_dml(false)
            .with_allow_statements(false);
        if only_reads.verify_plan(&plan).is_err() {
            return Err(QueryError::Sql(statement::refused(sql)));
        }
        Ok(plan)
    }

    /// What it says to how it is done. Types are settled here, so most of what is left to find is found here.
    pub fn optimize(&self, plan: LogicalPlan, sql: &str) -> Result<LogicalPlan, QueryError> {
        let plan = self.context.state().optimize(&plan);
        plan.map_err(|error| QueryError::Sql(Fault::of_planner(sql, &error)))
    }

    /// All rows of a plan that was optimised.
    pub async fn collect(&self, plan: LogicalPlan) -> Result<Vec<RecordBatch>, QueryError> {
        let stream = self.rows(plan).await?;
        let batches = datafusion::physical_plan::common::collect(stream).await;
        batches.map_err(|error| self.failure(&error))
    }

    /// The rows of a plan that was optimised, as they come.
    pub async fn rows(&self, plan: LogicalPlan) -> Result<SendableRecordBatchStream, QueryError> {
        self.execute(plan, &self.context.state()).await
    }

    /// The session as a plan is best carried out in it: one that joins is divided into more parts. Not for live views, whose windows
    /// are small.
    fn for_joins(&self, plan: &LogicalPlan) -> SessionState {
        let mut state = self.context.state();
        let joins = |node: &LogicalPlan| Ok(matches!(node, LogicalPlan::Join(join) if !join.on.is_empty()));
        if plan.exists(joins).unwrap_or(false) {
            let threads = state.config().target_partitions();
            let parts = threads.max(JOIN_PARTS_MAX.min(threads * JOIN_PARTS_A_THREAD));
            state.config_mut().options_mut().execution.target_partitions = parts;
        }
        state
    }

    async fn execute(
        &self,
        plan: LogicalPlan,
        state: &SessionState,
    ) -> Result<SendableRecordBatchStream, QueryError> {
        // It was optimised already, and EXPLAIN wants to show how.
        let physical = state.query_planner().create_physical_plan(&plan, state).await;
        let physical = physical.map_err(|error| self.failure(&error))?;
        #[cfg(feature = "cluster")]
        if let Some(cluster) = &self.cluster
            && cluster::place(&physical)? == cluster::Place::Cluster
        {
            return cluster.run(physical, state).await;
        }
        execute_stream(physical, self.context.task_ctx()).map_err(|error| self.failure(&error))
    }

    pub fn failure(&self, error: &DataFusionError) -> QueryError {
        QueryError::running(error, self.store.take_trouble())
    }

    /// Whether there is a table of this name.
    fn has(&self, reference: &TableReference) -> bool {
        let catalog = reference.catalog().unwrap_or(CATALOG);
        let schema = reference.schema().unwrap_or(ACCEPTED);
        let schema = self
            .context
            .catalog(catalog)
            .and_then(|catalog| catalog.schema(schema));
        schema.is_some_and(|schema| schema.table_exist(reference.table()))
            || reference.schema() == Some("information_schema")
    }
}

/// Whether it is this table that was not found, and not something else that is wrong, too.
fn is_about(error: &DataFusionError, reference: &TableReference) -> bool {
    error.to_string().contains("not found") && error.to_string().contains(reference.table())
}

/// A table as the query named it.
fn shown(reference: &TableReference) -> String {
    match reference.schema() {
        Some(schema) if schema != ACCEPTED => format!("{schema}.{}", reference.table()),
        _ => reference.table().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_query_that_joins_is_divided_into_more_parts_than_threads() {
        let parts_of = |threads, sql: &str| {
            let limits = Limits {
                memory_bytes: 64 << 20,
                spill_folder: std::env::temp_dir(),
                threads,
            };
            let session = Session::new(&limits).expect("a session");
            let statement = statement::parse(sql).expect(sql);
            let inner = session.inner();
            let plan = session.block_on(inner.plan(statement, sql, &[])).expect(sql);
            inner.for_joins(&plan).config().target_partitions()
        };
        let join = "SELECT b.y FROM (VALUES (1), (2)) a(x) JOIN (VALUES (1, 3), (2, 4)) b(x, y) ON a.x = b.x";
        assert_eq!(parts_of(2, join), 8);
        assert_eq!(parts_of(2, &format!("EXPLAIN {join}")), 8);
        assert_eq!(parts_of(6, join), 16);
        assert_eq!(parts_of(24, join), 24);
        assert_eq!(
            parts_of(2, "SELECT x, count(*) FROM (VALUES (1), (2)) a(x) GROUP BY x"),
            2
        );
    }
}
