//! From a configured view to one that can be worked out: over tables, or over the windows of another view.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use eventlake_core::config::ViewConfig;
use eventlake_core::names::ViewName;
use eventlake_query::{Fault, QueryError, Session, Table, View, tables_named};

use super::clock::Grid;

/// A view's SQL, and what it looks at.
pub struct Compiled {
    pub view: View,
    pub source: Option<Source>,
}

/// The view whose windows another one looks at: to that one a row of it is at the window's beginning.
pub struct Source {
    pub name: ViewName,
    pub view: View,
    pub grid: Grid,
    /// The rows of its windows, by when each begins.
    pub known: BTreeMap<i64, Arc<[RecordBatch]>>,
}

/// Compiles a view over these tables, or over one of all the configured views.
///
/// # Errors
/// [`QueryError::Sql`] with what is wrong with its SQL, or with its window.
pub fn compile(
    session: &mut Session,
    config: &ViewConfig,
    all: &[ViewConfig],
    tables: impl Fn() -> Vec<Table>,
) -> Result<Compiled, QueryError> {
    let sql = &config.sql.text;
    let Some(other) = source_of(config, all) else {
        session.show(tables());
        let view = session.view(sql, config.window.is_some())?;
        return Ok(Compiled { view, source: None });
    };
    let grid = grids_fit(config, other)?;
    if source_of(other, all).is_some() {
        return Err(Fault::new(format!(
            "view {} looks at a view itself: only windows over tables can be looked at",
            other.name
        ))
        .into());
    }
    session.show(tables());
    let source = session.view(&other.sql.text, true)?;
    let view = session.view_of_windows(sql, &other.name, &source)?;
    Ok(Compiled {
        view,
        source: Some(Source {
            name: other.name.clone(),
            view: source,
            grid,
            known: BTreeMap::new(),
        }),
    })
}

/// The view that another one's SQL names.
fn source_of<'v>(config: &ViewConfig, all: &'v [ViewConfig]) -> Option<&'v ViewConfig> {
    let named = tables_named(&config.sql.text);
    all.iter().find(|other| named.contains(other.name.as_str()))
}

/// The windows of the view looked at, where those of the other hold them whole.
fn grids_fit(config: &ViewConfig, other: &ViewConfig) -> Result<Grid, Fault> {
    let Some(below) = &other.window else {
        return Err(Fault::new(format!(
            "view {} has no windows: only the windows of a view can be looked at by another one",
            other.name
        )));
    };
    let Some(window) = &config.window else {
        return Err(Fault::new(format!(
            "a view over the windows of {} needs a window itself: how far back it looks",
            other.name
        ))
        .hint("add window.size, such as \"1h\", and the slide of the windows below as window.slide"));
    };
    let is_whole =
        |duration: std::time::Duration| duration.as_millis().is_multiple_of(below.slide.as_millis());
    if !is_whole(window.size) || !is_whole(window.slide) {
        return Err(Fault::new(format!(
            "window.size and window.slide must be multiples of the slide of {}, which is {} s",
            other.name,
            below.slide.as_secs_f64()
        )));
    }
    Ok(Grid::new(below))
}
