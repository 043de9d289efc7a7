//! The catalog of one snapshot: schema `public` with the tables, schema `rejected` with what they refused.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::{CatalogProvider, SchemaProvider, TableProvider};
use datafusion::common::Result;
use datafusion::datasource::{ViewTable, provider_as_source};
use datafusion::logical_expr::LogicalPlanBuilder;

use crate::bounds;
use crate::lake::{ACCEPTED, REJECTED, Table};
use crate::table::{LakeTable, Reader};
use crate::view::{HeldTable, Span};

/// What a query may put before a schema's name.
pub(crate) const CATALOG: &str = "eventlake";

#[derive(Debug)]
pub(crate) struct LakeCatalog {
    schemas: BTreeMap<&'static str, Arc<LakeSchema>>,
}

#[derive(Debug, Default)]
struct LakeSchema {
    tables: BTreeMap<String, Arc<dyn TableProvider>>,
}

impl LakeCatalog {
    /// These tables; of each only the rows of the span, where there is one.
    pub fn new(tables: Vec<Table>, span: Option<Span>, reader: &Reader) -> LakeCatalog {
        let mut schemas = BTreeMap::from([
            (ACCEPTED, LakeSchema::default()),
            (REJECTED, LakeSchema::default()),
        ]);
        for table in tables {
            let schema = schemas
                .get_mut(table.schema_name())
                .expect("one of the two schemas");
            let name = table.name.to_string();
            let provider = match span {
                None => Arc::new(LakeTable::new(table, reader.clone())),
                Some(span) => within(table, span, reader.clone()),
            };
            schema.tables.insert(name, provider);
        }
        LakeCatalog::of(schemas)
    }

    /// These tables and no others.
    pub fn of_held(tables: Vec<(String, Arc<HeldTable>)>) -> LakeCatalog {
        let tables = tables
            .into_iter()
            .map(|(name, table)| (name, table as Arc<dyn TableProvider>));
        let accepted = LakeSchema {
            tables: tables.collect(),
        };
        LakeCatalog::of(BTreeMap::from([
            (ACCEPTED, accepted),
            (REJECTED, LakeSchema::default()),
        ]))
    }

    fn of(schemas: BTreeMap<&'static str, LakeSchema>) -> LakeCatalog {
        let shared = |(name, schema)| (name, Arc::new(schema));
        LakeCatalog {
            schemas: schemas.into_iter().map(shared).collect(),
        }
    }
}

/// A table with nothing in it but the rows of this time.
fn within(table: Table, span: Span, reader: Reader) -> Arc<dyn TableProvider> {
    let condition = bounds::within(&table, span);
    let name = table.full_name();
    let source = provider_as_source(Arc::new(LakeTable::new(table, reader)));
    let plan = LogicalPlanBuilder::scan(name, source, None)
        .and_then(|scan| scan.filter(condition))
        .and_then(LogicalPlanBuilder::build);
    Arc::new(ViewTable::new(
        plan.expect("every table has its event time as a column"),
        None,
    ))
}

impl CatalogProvider for LakeCatalog {
    fn schema_names(&self) -> Vec<String> {
        self.schemas.keys().map(|name| (*name).to_owned()).collect()
    }

    fn schema(&self, name: &str) -> Option<Arc<dyn SchemaProvider>> {
        let schema = self.schemas.get(name)?;
        Some(Arc::clone(schema) as Arc<dyn SchemaProvider>)
    }
}

#[async_trait]
impl SchemaProvider for LakeSchema {
    fn table_names(&self) -> Vec<String> {
        self.tables.keys().cloned().collect()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        let table = self.tables.get(name);
        Ok(table.cloned())
    }

    fn table_exist(&self, name: &str) -> bool {
        self.tables.contains_key(name)
    }
}
