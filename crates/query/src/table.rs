//! A table of the lake as DataFusion scans it: the files that can hold what is asked for, with what the log says of each.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::stats::Precision;
use datafusion::common::{Result, ScalarValue, Statistics, exec_datafusion_err};
use datafusion::datasource::TableType;
use datafusion::datasource::file_format::FileFormat as _;
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::table_schema::TableSchema;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::object_store::ObjectMeta;
use datafusion::object_store::path::Path;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use eventlake_core::config::PartitionBy;

use crate::lake::{LiveFile, Table};
#[cfg(feature = "cluster")]
use crate::store::LakeStore;
use crate::{bounds, columns};

/// Where the lake's files are found by the names of [`location`].
pub(crate) const STORE: &str = "lake://files";
/// The Hive keys.
pub(crate) const DATE: &str = "date";
pub(crate) const HOUR: &str = "hour";

/// Who reads the files of a table.
#[derive(Clone, Debug)]
pub(crate) enum Reader {
    /// The session itself, by its store.
    Session,
    /// Other processes, from the disk. The store says where each file lies at the moment.
    #[cfg(feature = "cluster")]
    Others(Arc<LakeStore>),
}

impl Reader {
    /// A column as it is read: texts and bytes as views, which costs less than copying them, but not where batches are sent on. An
    /// older file may hold nulls where the schema of today forbids them, so no column is said to have none.
    fn column(&self, field: &Field) -> Field {
        let read = match (self, field.data_type()) {
            (Reader::Session, DataType::Utf8) => DataType::Utf8View,
            (Reader::Session, DataType::Binary) => DataType::BinaryView,
            (_, other) => other.clone(),
        };
        Field::new(field.name(), read, true)
    }

    fn store(&self) -> Result<ObjectStoreUrl> {
        match self {
            Reader::Session => ObjectStoreUrl::parse(STORE),
            #[cfg(feature = "cluster")]
            Reader::Others(_) => Ok(ObjectStoreUrl::local_filesystem()),
        }
    }
}

/// The name of a live file in the store.
pub(crate) fn location(live: &LiveFile) -> Path {
    Path::from(format!("{}/{}", live.file.set, live.file.path.as_str()))
}

#[derive(Debug)]
pub(crate) struct LakeTable {
    table: Table,
    schema: TableSchema,
    reader: Reader,
}

impl LakeTable {
    pub fn new(table: Table, reader: Reader) -> LakeTable {
        let fields = table.columns.fields().iter().map(|field| reader.column(field));
        let columns = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let mut keys = vec![Arc::new(Field::new(DATE, DataType::Date32, false))];
        if table.has_hours() {
            keys.push(Arc::new(Field::new(HOUR, DataType::Int64, true)));
        }
        LakeTable {
            schema: TableSchema::builder(columns)
                .with_table_partition_cols(keys)
                .build(),
            table,
            reader,
        }
    }

    fn partitioned(&self, live: &LiveFile) -> Result<PartitionedFile> {
        let (date, hour) = bounds::date_and_hour(&live.file);
        let mut keys = vec![ScalarValue::Date32(Some(date))];
        if self.table.has_hours() {
            keys.push(ScalarValue::Int64(hour));
        }
        let file = |location| {
            let meta = ObjectMeta {
                location,
                last_modified: Default::default(),
                size: live.file.bytes,
                e_tag: None,
                version: None,
            };
            PartitionedFile::new_from_meta(meta).with_partition_values(keys)
        };
        match &self.reader {
            Reader::Session => {
                let statistics = bounds::statistics(&self.table, &live.file, self.schema.table_schema());
                let mut file = file(location(live));
                // Not by `with_statistics`, which takes a key for never null: `hour` is, in the folder of a day.
                file.statistics = Some(Arc::new(statistics));
                Ok(file)
            }
            // What the log knows of it has chosen it: a plan that is sent is shorter without.
            #[cfg(feature = "cluster")]
            Reader::Others(store) => Ok(file(store.on_disk(&location(live))?)),
        }
    }

    /// Files of another version of the schema are read as this one only where that changes no value.
    fn check_columns(&self, files: &[&LiveFile]) -> Result<()> {
        let mut checked = BTreeSet::from([&self.table.columns_version]);
        for live in files {
            if checked.insert(&live.file.schema_version) {
                columns::check(live, &self.table).map_err(|fault| exec_datafusion_err!("{fault}"))?;
            }
        }
        Ok(())
    }
}

impl Table {
    fn has_hours(&self) -> bool {
        let is_by_hour = |live: &LiveFile| bounds::date_and_hour(&live.file).1.is_some();
        self.partition_by == PartitionBy::Hour || self.files.iter().any(is_by_hour)
    }
}

#[async_trait]
impl TableProvider for LakeTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(self.schema.table_schema())
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    /// Filters choose files, row groups and pages here; each row is looked at by the filter above.
    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let schema = self.schema.table_schema();
        let wanted = bounds::wanted(state, filters, schema, &self.table)?;
        let files = self.table.files.iter().zip(wanted);
        let files: Vec<&LiveFile> = files
            .filter(|(_, wanted)| *wanted)
            .map(|(file, _)| file)
            .collect();
        if files.is_empty() {
            let projected = match projection {
                Some(columns) => Arc::new(schema.project(columns)?),
                None => Arc::clone(schema),
            };
            return Ok(Arc::new(EmptyExec::new(projected)));
        }
        self.check_columns(&files)?;
        let mut statistics = Statistics::new_unknown(schema);
        let rows: u64 = files.iter().map(|live| live.file.rows).sum();
        statistics.num_rows = Precision::Exact(usize::try_from(rows).unwrap_or(usize::MAX));
        let group = files.into_iter().map(|live| self.partitioned(live));
        let group = group.collect::<Result<Vec<PartitionedFile>>>()?;
        let groups = FileGroup::new(group).split_files(state.config().target_partitions());
        let source = Arc::new(ParquetSource::new(self.schema.clone()));
        let config = FileScanConfigBuilder::new(self.reader.store()?, source)
            .with_file_groups(groups)
            .with_statistics(statistics)
            .with_projection_indices(projection.cloned())?
            .with_limit(limit)
            .build();
        let options = state.default_table_options().parquet;
        let format = ParquetFormat::new().with_options(options);
        format.create_physical_plan(state, config).await
    }
}
