//! A view as a table of PostgreSQL: each emission is one transaction, after which the table is the view as of its commit.

mod address;
mod certificate;
mod connection;
mod encryption;
mod table;
#[cfg(test)]
mod tests;
mod values;
mod wire;

use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use eventlake_core::config::Secret;

use super::{Covers, Emission, Mark, Output};
use address::Address;
use connection::{Connection, Limits, PostgresError};
use table::{Found, Shape, TableName, list, literal, quoted, select_columns, select_keys};

/// `UNIQUE NULLS NOT DISTINCT` came with this version.
const VERSION_MIN: u32 = 15;
/// Where the tables of views are told with their commits, beside them.
const BOOKS: &str = "eventlake_views";
/// The rows of an emission, within its transaction.
const EMITTED: &str = "pg_temp.eventlake_emission";
/// A window's beginning, the column that tells windows apart.
const WINDOW: &str = "window_start";

const LIMITS: Limits = Limits {
    connect: Duration::from_secs(10),
    statement: Duration::from_secs(60),
    silence: Duration::from_secs(70),
};

/// Upserts a view's rows into a table, and deletes those that are gone. Beside the table, `eventlake_views` keeps the commit
/// that it is as of, so that an older state never replaces a newer one.
pub struct Postgres {
    url: Secret,
    table: String,
    limits: Limits,
    session: Option<Session>,
}

/// A connection, and what was found out over it.
struct Session {
    connection: Connection,
    target: Option<Target>,
}

/// A table that fits rows of a shape.
#[derive(Clone)]
struct Target {
    shape: Shape,
    /// With its schema.
    table: TableName,
    books: TableName,
}

/// Why no output can be shown by this URL.
pub fn refusal(url: &Secret) -> Option<String> {
    let address = match Address::parse(url.reveal()) {
        Ok(address) => address,
        Err(error) => return Some(error.to_string()),
    };
    let error = address.encryption.check(address.client.as_ref()).err()?;
    Some(error.to_string())
}

impl Postgres {
    #[must_use]
    pub fn new(url: Secret, table: String) -> Postgres {
        Postgres {
            url,
            table,
            limits: LIMITS,
            session: None,
        }
    }

    fn emit_once(&mut self, emission: &Emission<'_>) -> anyhow::Result<()> {
        let configured =
            TableName::parse(&self.table).map_err(|fault| anyhow!("it cannot name a table: {fault}"))?;
        let shape = Shape::of(emission.columns, emission.key).map_err(|faults| anyhow!(faults))?;
        // Put back only after a success: after an error the connection is in the midst of something.
        let mut session = match self.session.take() {
            Some(session) => session,
            None => Session::open(&self.url, &self.limits)?,
        };
        session.show(emission, &configured, shape, &self.limits)?;
        self.session = Some(session);
        Ok(())
    }
}

impl Output for Postgres {
    fn emit(&mut self, emission: &Emission<'_>, _mark: Mark) -> anyhow::Result<Mark> {
        let was_connected = self.session.is_some();
        let mut outcome = self.emit_once(emission);
        // A server that was restarted since the last emission is no fault of this one. To show the same rows twice is no harm.
        if was_connected && outcome.as_ref().is_err_and(is_lost) {
            outcome = self.emit_once(emission);
        }
        outcome.with_context(|| format!("view {}: PostgreSQL table {}", emission.view, self.table))?;
        Ok(None)
    }
}

fn is_lost(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(PostgresError::Lost(_)))
}

impl Session {
    fn open(url: &Secret, limits: &Limits) -> anyhow::Result<Session> {
        let address = Address::parse(url.reveal())?;
        let connection = Connection::open(&address, limits)?;
        let major = connection.version.split(|c: char| !c.is_ascii_digit()).next();
        let major = major.and_then(|major| major.parse::<u32>().ok());
        if major.is_none_or(|major| major < VERSION_MIN) {
            let found = &connection.version;
            bail!("the server must be PostgreSQL {VERSION_MIN} or newer, found {found:?}");
        }
        Ok(Session {
            connection,
            target: None,
        })
    }

    /// One emission, in one transaction.
    fn show(
        &mut self,
        emission: &Emission<'_>,
        configured: &TableName,
        shape: Shape,
        limits: &Limits,
    ) -> anyhow::Result<()> {
        let as_of = i64::try_from(emission.as_of).context("the commit's number is too large for a bigint")?;
        self.connection.run(&begin(limits))?;
        let target = match self.target.take() {
            Some(target) if target.shape == shape => target,
            _ => self.prepare(configured, shape)?,
        };
        if self.is_newer(&target, emission, as_of)? {
            self.merge(&target, emission)?;
            self.connection.run(&format!(
                "UPDATE {} SET as_of = {as_of}, lake = {}, emitted_at = now() WHERE table_name = {}",
                target.books,
                literal(emission.lake),
                literal(&target.table.name)
            ))?;
        }
        self.connection.run("COMMIT")?;
        self.target = Some(target);
        Ok(())
    }

    /// Finds the table or makes it, and the books beside it.
    fn prepare(&mut self, configured: &TableName, shape: Shape) -> anyhow::Result<Target> {
        // Two of us at the same time would make the same table, and one of them fail.
        let lock = literal(BOOKS);
        self.connection
            .run(&format!("SELECT pg_advisory_xact_lock(hashtext({lock}))"))?;
        let found = match self.find(configured)? {
            Some(found) => found,
            None => {
                self.connection.run(&shape.create(configured))?;
                self.find(configured)?
                    .context("it was made and is not found. hint: is its schema on the search path?")?
            }
        };
        if found.kind != "r" {
            bail!("it is there, but is no plain table. hint: name another one");
        }
        let columns = self.connection.run(&select_columns(&found.oid))?;
        let keys = self.connection.run(&select_keys(&found.oid))?;
        let faults = Found::of(columns, keys).faults(&shape);
        if !faults.is_empty() {
            bail!(
                "it is there, but does not fit the view: {}. hint: change it, name another one, or drop it to have it made anew",
                faults.join("; ")
            );
        }
        let books = TableName {
            schema: found.table.schema.clone(),
            name: BOOKS.to_owned(),
        };
        // Not `IF NOT EXISTS`, which asks for the right to make tables even where there is one.
        if self.find(&books)?.is_none() {
            self.connection.run(&format!(
                "CREATE TABLE {books} (table_name text PRIMARY KEY, view_name text NOT NULL, as_of bigint NOT NULL, \
                 lake text NOT NULL, emitted_at timestamptz NOT NULL)"
            ))?;
        }
        Ok(Target {
            shape,
            table: found.table,
            books,
        })
    }

    fn find(&mut self, name: &TableName) -> anyhow::Result<Option<FoundTable>> {
        let rows = self.connection.run(&format!(
            "SELECT c.oid, n.nspname, c.relname, c.relkind FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
             WHERE c.oid = to_regclass({})",
            literal(&name.to_string())
        ))?;
        let Some(row) = rows.into_iter().next() else {
            return Ok(None);
        };
        let mut cells = row.into_iter().map(Option::unwrap_or_default);
        let mut next = || cells.next().unwrap_or_default();
        let oid = next();
        let (schema, name) = (Some(next()), next());
        Ok(Some(FoundTable {
            oid,
            table: TableName { schema, name },
            kind: next(),
        }))
    }

    /// Whether an emission is at least as new as what the table shows. Until the transaction ends nobody else changes that.
    fn is_newer(&mut self, target: &Target, emission: &Emission<'_>, as_of: i64) -> anyhow::Result<bool> {
        let books = &target.books;
        let (table, view) = (literal(&target.table.name), literal(emission.view.as_str()));
        self.connection.run(&format!(
            "INSERT INTO {books} VALUES ({table}, {view}, 0, '', now()) ON CONFLICT DO NOTHING"
        ))?;
        let rows = self.connection.run(&format!(
            "SELECT view_name, as_of, lake FROM {books} WHERE table_name = {table} FOR UPDATE"
        ))?;
        let row = rows.first().map(Vec::as_slice);
        let Some([Some(owner), Some(stored), Some(lake)]) = row else {
            bail!("its row of {books} was deleted meanwhile");
        };
        if owner != emission.view.as_str() {
            bail!(
                "it shows the view {owner}, says {books}. hint: each view needs a table of its own; delete that row if the view \
                 has another name now"
            );
        }
        let stored: i64 = stored.parse().context("its as_of is no number")?;
        // The numbers of another lake say nothing about this one's.
        Ok(lake != emission.lake || stored <= as_of)
    }

    /// Makes the table show these rows.
    fn merge(&mut self, target: &Target, emission: &Emission<'_>) -> anyhow::Result<()> {
        let windows = emission.covers == Covers::Windows;
        if windows && !target.shape.columns.iter().any(|column| column.name == WINDOW) {
            bail!("the view has windows, and no column {WINDOW}. hint: select it");
        }
        let names = target.shape.names();
        self.connection.run(&format!(
            "CREATE TEMPORARY TABLE {} ON COMMIT DROP AS SELECT {names} FROM {} WITH NO DATA",
            EMITTED.trim_start_matches("pg_temp."),
            target.table
        ))?;
        let pieces = emission.rows.iter().map(values::lines);
        self.connection
            .copy_in(&format!("COPY {EMITTED} ({names}) FROM STDIN"), pieces)?;
        self.connection.run(&upsert(target))?;
        if let Some(delete) = delete_gone(target, emission) {
            self.connection.run(&delete)?;
        }
        Ok(())
    }
}

struct FoundTable {
    oid: String,
    table: TableName,
    kind: String,
}

/// Begins a transaction that reads what we write as we mean it. Settings of the transaction and not of the connection: a pooler
/// may give each transaction another one.
fn begin(limits: &Limits) -> String {
    let millis = limits.statement.as_millis();
    format!(
        "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SET LOCAL statement_timeout = {millis}; \
         SET LOCAL standard_conforming_strings = on; SET LOCAL datestyle = 'ISO, YMD'; SET LOCAL intervalstyle = postgres; \
         SELECT set_config('synchronous_commit', 'on', true) WHERE current_setting('synchronous_commit') = 'off'"
    )
}

/// Each row emitted takes the place of the one with its key, unless it is the same.
fn upsert(target: &Target) -> String {
    let Target { shape, table, .. } = target;
    let names = shape.names();
    let key = shape.key_names();
    // Keys that differ for us may be the same for PostgreSQL (a NUL replaced, -0.0): one row of them is shown.
    let (distinct, conflict) = if key.is_empty() {
        (String::new(), "(true)".to_owned())
    } else {
        (format!("DISTINCT ON ({key}) "), key)
    };
    let values = shape.values();
    let action = if values.is_empty() {
        "NOTHING".to_owned()
    } else {
        let set = list(&values, |column| {
            format!("{0} = EXCLUDED.{0}", quoted(&column.name))
        });
        let shown = list(&values, |column| format!("shown.{}", quoted(&column.name)));
        let emitted = list(&values, |column| format!("EXCLUDED.{}", quoted(&column.name)));
        format!("UPDATE SET {set} WHERE ROW({shown}) IS DISTINCT FROM ROW({emitted})")
    };
    format!(
        "INSERT INTO {table} AS shown ({names}) SELECT {distinct}{names} FROM {EMITTED} ON CONFLICT ({conflict}) DO {action}"
    )
}

/// What was shown and is gone. Rows of both sides are grouped by the key, in which a null is equal to a null as in the unique
/// index; a join could not hash that.
fn delete_gone(target: &Target, emission: &Emission<'_>) -> Option<String> {
    let Target { shape, table, .. } = target;
    let window = quoted(WINDOW);
    let among = match emission.covers {
        Covers::NewRows => return None,
        Covers::Windows if emission.windows.is_empty() => return None,
        Covers::Everything => String::new(),
        Covers::Windows => {
            let start = |micros: &i64| format!("timestamptz 'epoch' + {micros} * interval '1 microsecond'");
            let starts: Vec<String> = emission.windows.iter().map(start).collect();
            format!(" WHERE {window} IN ({})", starts.join(", "))
        }
    };
    let key = shape.key_names();
    if key.is_empty() {
        return Some(format!(
            "DELETE FROM ONLY {table} WHERE NOT EXISTS (SELECT FROM {EMITTED})"
        ));
    }
    Some(format!(
        "DELETE FROM ONLY {table} WHERE ctid IN (SELECT max(eventlake_place) FROM (\
         SELECT {key}, ctid AS eventlake_place FROM ONLY {table}{among} UNION ALL SELECT {key}, NULL FROM {EMITTED}) AS sides \
         GROUP BY {key} HAVING count(*) = count(eventlake_place))"
    ))
}
