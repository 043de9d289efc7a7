//! The catalog of one snapshot: schema `public` with the tables, schema `rejected` with what they refused.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::{CatalogProvider, SchemaProvider, TableProvider};
use datafusion::common::Result;

use crate::lake::{ACCEPTED, REJECTED, Table};
use crate::table::LakeTable;

/// What a query may put before a schema's name.
pub(crate) const CATALOG: &str = "eventlake";

#[derive(Debug)]
pub(crate) struct LakeCatalog {
    schemas: BTreeMap<&'static str, Arc<LakeSchema>>,
}

#[derive(Debug, Default)]
struct LakeSchema {
    tables: BTreeMap<String, Arc<LakeTable>>,
}

impl LakeCatalog {
    pub fn new(tables: Vec<Table>) -> LakeCatalog {
        let mut schemas = BTreeMap::from([
            (ACCEPTED, LakeSchema::default()),
            (REJECTED, LakeSchema::default()),
        ]);
        for table in tables {
            let schema = schemas
                .get_mut(table.schema_name())
                .expect("one of the two schemas");
            let name = table.name.to_string();
            schema.tables.insert(name, Arc::new(LakeTable::new(table)));
        }
        let shared = |(name, schema)| (name, Arc::new(schema));
        LakeCatalog {
            schemas: schemas.into_iter().map(shared).collect(),
        }
    }
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
        Ok(table.map(|table| Arc::clone(table) as Arc<dyn TableProvider>))
    }

    fn table_exist(&self, name: &str) -> bool {
        self.tables.contains_key(name)
    }
}
