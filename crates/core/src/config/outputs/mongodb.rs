//! Names of MongoDB in the configuration: what a database and a collection may be called, and whether a URL names a database.

use crate::config::values::{self, Raw, Wrong};

/// Where the collections of views are told with their commits: no view's own.
const BOOKS: &str = "eventlake_views";
const DATABASE_BYTES_MAX: usize = 63;
/// Of a collection's name. The server's limit is on database and collection together: 255 bytes, 120 before version 4.4.
const COLLECTION_BYTES_MAX: usize = 190;

/// A database's name: of those that a server on any system takes.
pub(in crate::config) fn database(raw: &Raw<'_>) -> Result<String, Wrong> {
    let text = values::text(raw)?;
    let reason = if text.len() > DATABASE_BYTES_MAX {
        format!("it is longer than {DATABASE_BYTES_MAX} bytes")
    } else if text.contains(['/', '\\', '.', ' ', '"', '$', '*', '<', '>', ':', '|', '?']) {
        "none of /\\. \"$*<>:|? may be in it".to_owned()
    } else {
        return Ok(text);
    };
    Err(Wrong::Because(reason))
}

/// A collection's name.
pub(in crate::config) fn collection(raw: &Raw<'_>) -> Result<String, Wrong> {
    let text = values::text(raw)?;
    let reason = if text.len() > COLLECTION_BYTES_MAX {
        format!("it is longer than {COLLECTION_BYTES_MAX} bytes")
    } else if text.contains('$') {
        "no $ may be in it".to_owned()
    } else if text.starts_with("system.") {
        "what begins with \"system.\" is the server's own".to_owned()
    } else if text == BOOKS {
        "there it is noted which collection shows which view".to_owned()
    } else {
        return Ok(text);
    };
    Err(Wrong::Because(reason))
}

/// Whether a URL has a database after its hosts.
pub(in crate::config) fn names_a_database(url: &str) -> bool {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let rest = rest.split('?').next().expect("a split has a first part");
    rest.split_once('/')
        .is_some_and(|(_, database)| !database.is_empty())
}
