//! Rows of windows that were worked out for one view and are asked for by another one: each known by all that it is a function of.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use arrow::array::RecordBatch;
use eventlake_query::{QueryError, Session, Span, Table, View};
use sha2::{Digest as _, Sha256};

/// The newest windows, as far as they fit.
pub struct WindowCache {
    bytes_max: usize,
    bytes: usize,
    rows: HashMap<Key, Arc<[RecordBatch]>>,
    /// The oldest first.
    order: VecDeque<Key>,
}

/// The view, the window, and the files that can hold rows of it.
type Key = [u8; 32];

impl WindowCache {
    pub fn new(bytes_max: u64) -> WindowCache {
        WindowCache {
            bytes_max: usize::try_from(bytes_max).unwrap_or(usize::MAX),
            bytes: 0,
            rows: HashMap::new(),
            order: VecDeque::new(),
        }
    }

    /// The view's rows of each of these windows; see [`Session::windows_of`].
    ///
    /// # Errors
    /// As there.
    pub fn of(
        &mut self,
        session: &mut Session,
        view: &View,
        spans: &[Span],
        tables: &[Table],
    ) -> Result<Vec<Arc<[RecordBatch]>>, QueryError> {
        let keys: Vec<Key> = spans.iter().map(|span| key(view, *span, tables)).collect();
        let mut found: Vec<Option<Arc<[RecordBatch]>>> =
            keys.iter().map(|key| self.rows.get(key).cloned()).collect();
        let missing: Vec<usize> = (0..spans.len()).filter(|at| found[*at].is_none()).collect();
        let times: Vec<Span> = missing.iter().map(|at| spans[*at]).collect();
        for (at, rows) in missing.into_iter().zip(session.windows_of(view, &times, tables)?) {
            let rows: Arc<[RecordBatch]> = rows.into();
            self.keep(keys[at], &rows);
            found[at] = Some(rows);
        }
        Ok(found.into_iter().flatten().collect())
    }

    fn keep(&mut self, key: Key, rows: &Arc<[RecordBatch]>) {
        if self.rows.insert(key, Arc::clone(rows)).is_none() {
            self.order.push_back(key);
            self.bytes += bytes_of(rows);
        }
        while self.bytes > self.bytes_max
            && let Some(oldest) = self.order.pop_front()
        {
            let rows = self.rows.remove(&oldest);
            self.bytes -= rows.map_or(0, |rows| bytes_of(&rows));
        }
    }
}

/// A window without rows takes some room, too.
fn bytes_of(rows: &[RecordBatch]) -> usize {
    let bytes = rows.iter().map(RecordBatch::get_array_memory_size);
    size_of::<Key>() * 4 + bytes.sum::<usize>()
}

fn key(view: &View, span: Span, tables: &[Table]) -> Key {
    let mut key = Sha256::new();
    let mut add = |bytes: &[u8]| {
        key.update((bytes.len() as u64).to_be_bytes());
        key.update(bytes);
    };
    add(view.state_form().as_bytes());
    add(&span.from.to_be_bytes());
    add(&span.until.to_be_bytes());
    for table in tables {
        add(table.name.as_str().as_bytes());
        for live in table.files_of(span) {
            add(live.file.sha256.to_string().as_bytes());
        }
    }
    key.finalize().into()
}
