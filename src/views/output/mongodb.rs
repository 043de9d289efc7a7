//! A view as a collection of MongoDB: each emission replaces documents, then deletes what is older, then notes its commit.
//!
//! Without transactions, which a standalone server does not have. Each document says which emission it is of, and none is
//! replaced by an older one, so two writers at once, a restart or a crash in the middle never take the collection back.

mod address;
mod documents;
mod errors;
#[cfg(test)]
mod tests;
mod values;

use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, bail};
use arrow::datatypes::{SchemaRef, TimeUnit};
use eventlake_core::config::Secret;
use mongodb::bson::raw::{RawArrayBuf, RawBson, RawDocumentBuf, cstr};
use mongodb::bson::{Bson, DateTime, Document, rawdoc, serialize_to_document};
use mongodb::{Client, Database};
use sha2::{Digest as _, Sha256};
use tokio::runtime::Runtime;

use super::{Covers, Emission, Mark, Output};
use documents::{Bulk, Shape, Updates};
use errors::{MongoError, of_command, of_driver};

/// Where the collections of views are told with their commits, beside them.
const BOOKS: &str = "eventlake_views";
/// A window's beginning, the column that tells windows apart.
const WINDOW: &str = "window_start";
/// An `_id`, or a value that an index wants once, is there already.
const DUPLICATE: i32 = 11000;
/// A session that was idle for longer is not relied upon.
const IDLE_MAX: Duration = Duration::from_secs(60);

const LIMITS: Limits = Limits {
    reach: Duration::from_secs(10),
    command: Duration::from_secs(30),
    silence: Duration::from_secs(35),
    emission: Duration::from_secs(60),
    row: Duration::from_millis(2),
    bulk: Bulk {
        statements_max: 1000,
        bytes_max: 16 << 20,
    },
};

/// How long a server may take, and how much it is told at once.
#[derive(Clone, Copy, Debug)]
struct Limits {
    /// To be found, and to let us in.
    reach: Duration,
    /// For one command, which it ends by itself then.
    command: Duration,
    /// Until it answers a command; longer than a command.
    silence: Duration,
    /// For an emission, and so much more for each of its rows.
    emission: Duration,
    row: Duration,
    bulk: Bulk,
}

/// Replaces a view's documents in a collection, and deletes those that are gone. Beside the collection, `eventlake_views` keeps
/// the commit that it is as of.
pub struct Mongo {
    url: Secret,
    database: Option<String>,
    collection: String,
    limits: Limits,
    session: Option<Session>,
}

/// A client, and what was found out by it.
struct Session {
    database: Database,
    concern: Document,
    /// That the collection is the view's was made sure of.
    is_prepared: bool,
    used: Instant,
    /// Behind the client, whose tasks it runs.
    runtime: Runtime,
}

/// Which emission a document is of.
struct Stamp {
    as_of: i64,
    /// Of which commit logs: short, since every document has it.
    lake: String,
}

impl Mongo {
    #[must_use]
    pub fn new(url: Secret, database: Option<String>, collection: String) -> Mongo {
        Mongo {
            url,
            database,
            collection,
            limits: LIMITS,
            session: None,
        }
    }

    fn emit_once(&mut self, emission: &Emission<'_>) -> anyhow::Result<()> {
        let shape = Shape::of(emission.columns, emission.key)?;
        let stamp = Stamp::of(emission)?;
        // Put back only after a success: after an error the connection is in the midst of something.
        let mut session = match self.session.take() {
            Some(session) => session,
            None => Session::open(&self.url, self.database.as_deref(), &self.limits)?,
        };
        let rows: usize = emission.rows.iter().map(|batch| batch.num_rows()).sum();
        let rows = u32::try_from(rows).unwrap_or(u32::MAX);
        let limit = self.limits.emission + self.limits.row * rows;
        let target = Target {
            database: &session.database,
            concern: &session.concern,
            collection: &self.collection,
            limits: &self.limits,
        };
        let showing = async {
            let shown = target.show(emission, &shape, &stamp, session.is_prepared);
            let late = || {
                anyhow!(
                    "an emission took longer than {} s and was given up",
                    limit.as_secs()
                )
            };
            tokio::time::timeout(limit, shown).await.map_err(|_| late())?
        };
        session.runtime.block_on(showing)?;
        session.is_prepared = true;
        session.used = Instant::now();
        self.session = Some(session);
        Ok(())
    }
}

impl Output for Mongo {
    fn emit(&mut self, emission: &Emission<'_>, _mark: Mark) -> anyhow::Result<Mark> {
        self.session = self
            .session
            .take()
            .filter(|session| session.used.elapsed() < IDLE_MAX);
        let was_connected = self.session.is_some();
        let mut outcome = self.emit_once(emission);
        // A server that was restarted since the last emission is no fault of this one. To show the same rows twice is no harm.
        if was_connected && outcome.as_ref().is_err_and(is_lost) {
            outcome = self.emit_once(emission);
        }
        outcome.with_context(|| format!("view {}: MongoDB collection {}", emission.view, self.collection))?;
        Ok(None)
    }
}

fn is_lost(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(MongoError::Lost(_)))
}

/// Why an output with this URL cannot show these columns.
pub fn refusal(url: &Secret, columns: &SchemaRef) -> Option<String> {
    if let Err(bad) = address::check(url.reveal()) {
        return Some(bad.to_string());
    }
    let faults = documents::faults(columns);
    (!faults.is_empty()).then(|| format!("an output to \"mongodb\": {}", faults.join("; ")))
}

impl Stamp {
    fn of(emission: &Emission<'_>) -> anyhow::Result<Stamp> {
        let digest = Sha256::digest(emission.lake.as_bytes());
        Ok(Stamp {
            as_of: i64::try_from(emission.as_of)
                .context("the commit's number is too large for a 64-bit integer")?,
            lake: digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect(),
        })
    }
}

impl Session {
    fn open(url: &Secret, database: Option<&str>, limits: &Limits) -> anyhow::Result<Session> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let (client, default, concern) = runtime.block_on(async {
            let options = address::options(url.reveal(), limits.reach).await?;
            let (default, concern) = (options.default_database.clone(), address::concern(&options));
            let client = Client::with_options(options).map_err(|error| of_driver(&error))?;
            anyhow::Ok((client, default, concern))
        })?;
        let name = database.map(str::to_owned).or(default);
        let name =
            name.context("no database is named. hint: name it in the url or by the output's key database")?;
        Ok(Session {
            database: client.database(&name),
            concern: serialize_to_document(&concern)?,
            is_prepared: false,
            used: Instant::now(),
            runtime,
        })
    }
}

/// The collection that is written, and over what.
struct Target<'s> {
    database: &'s Database,
    concern: &'s Document,
    collection: &'s str,
    limits: &'s Limits,
}

impl Target<'_> {
    async fn show(
        &self,
        emission: &Emission<'_>,
        shape: &Shape,
        stamp: &Stamp,
        is_prepared: bool,
    ) -> anyhow::Result<()> {
        let windows = emission.covers == Covers::Windows;
        if windows && emission.columns.column_with_name(WINDOW).is_none() {
            bail!("the view has windows, and no column {WINDOW}. hint: select it");
        }
        let shown = self.claimed(emission).await?;
        // Rows that are never changed have no newer state; those of an older emission may be missing there.
        if emission.covers != Covers::NewRows && shown.is_newer_than(stamp) {
            return Ok(());
        }
        if windows && !is_prepared {
            self.index_windows().await?;
        }
        self.write(emission, shape, stamp).await
    }

    /// Makes the collection show these rows, which may have become older than what it shows by now.
    async fn write(&self, emission: &Emission<'_>, shape: &Shape, stamp: &Stamp) -> anyhow::Result<()> {
        let mut updates = Updates::of(emission.rows, emission.covers, shape, stamp, self.limits.bulk);
        loop {
            let statements = updates.next_command()?;
            if statements.is_empty() {
                break;
            }
            self.update(self.collection, statements).await?;
        }
        self.delete_older(emission, stamp).await?;
        let rows = (emission.covers == Covers::Everything).then_some(updates.count);
        if !self.noted(emission, stamp, rows).await? && emission.covers == Covers::Everything {
            // A newer emission was shown meanwhile: what it had deleted already may have been added again.
            let newer = self.claimed(emission).await?;
            self.delete_older(emission, &newer).await?;
        }
        Ok(())
    }

    /// What the collection shows. One that shows nothing yet is claimed for the view.
    async fn claimed(&self, emission: &Emission<'_>) -> anyhow::Result<Stamp> {
        let books = match self.books().await? {
            Some(books) => books,
            None => {
                self.make_sure_that_all_is_ours().await?;
                let row = rawdoc! {
                    "_id": self.collection,
                    "view": emission.view.as_str(),
                    "as_of": 0_i64,
                    "lake": "",
                    "rows": RawBson::Null,
                    "emitted_at": DateTime::now(),
                };
                let mut rows = RawArrayBuf::new();
                rows.push(row);
                let reply = self.run(rawdoc! { "insert": BOOKS, "documents": rows }).await?;
                // Another writer may have been quicker.
                self.duplicates_apart(&reply)?;
                self.books()
                    .await?
                    .context("its document of eventlake_views was deleted meanwhile")?
            }
        };
        let owner = books.get_str("view").unwrap_or("?");
        if owner != emission.view.as_str() {
            bail!(
                "it shows the view {owner}, says {BOOKS}. hint: each view needs a collection of its own; delete that document if the \
                 view has another name now"
            );
        }
        Ok(Stamp {
            as_of: number(&books, "as_of").with_context(|| format!("its as_of in {BOOKS} is no number"))?,
            lake: books.get_str("lake").unwrap_or_default().to_owned(),
        })
    }

    async fn books(&self) -> anyhow::Result<Option<Document>> {
        self.first(
            rawdoc! { "find": BOOKS, "filter": { "_id": self.collection }, "limit": 1, "singleBatch": true },
        )
        .await
    }

    /// What nobody noted as a view's may be anything.
    async fn make_sure_that_all_is_ours(&self) -> anyhow::Result<()> {
        let foreign = rawdoc! { "_lake": { "$exists": false } };
        let find = rawdoc! { "find": self.collection, "filter": foreign, "limit": 1, "singleBatch": true, "projection": { "_id": 1 } };
        if self.first(find).await?.is_some() {
            bail!("it is there, and holds documents that no view wrote. hint: name another one, or drop it");
        }
        Ok(())
    }

    /// By its beginning, a window is found without a look at all documents.
    async fn index_windows(&self) -> anyhow::Result<()> {
        let mut indexes = RawArrayBuf::new();
        indexes.push(rawdoc! { "key": { "window_start": 1 }, "name": "window_start_1" });
        self.run(rawdoc! { "createIndexes": self.collection, "indexes": indexes })
            .await?;
        Ok(())
    }

    /// Deletes what is gone: of all documents, or those of the windows that came whole, the ones that no newer emission wrote.
    async fn delete_older(&self, emission: &Emission<'_>, stamp: &Stamp) -> anyhow::Result<()> {
        // A document without `_lake` is nobody's view.
        let mut gone = rawdoc! { "_lake": { "$exists": true }, "$or": stamp.older("_lake", "_as_of") };
        match emission.covers {
            Covers::NewRows => return Ok(()),
            Covers::Windows if emission.windows.is_empty() => return Ok(()),
            Covers::Everything => {}
            Covers::Windows => {
                let start =
                    |micros: &i64| values::moment(*micros, TimeUnit::Microsecond, values::Form::Field);
                let starts: RawArrayBuf = emission.windows.iter().map(start).collect();
                gone.append(cstr!("window_start"), rawdoc! { "$in": starts });
            }
        }
        let mut deletes = RawArrayBuf::new();
        deletes.push(rawdoc! { "q": gone, "limit": 0 });
        let reply = self
            .run(rawdoc! { "delete": self.collection, "deletes": deletes })
            .await?;
        self.duplicates_apart(&reply)?;
        Ok(())
    }

    /// Notes in the books that the collection is as of this emission; false where they are ahead.
    async fn noted(&self, emission: &Emission<'_>, stamp: &Stamp, rows: Option<u64>) -> anyhow::Result<bool> {
        let rows = rows.and_then(|rows| i64::try_from(rows).ok());
        let statement = rawdoc! {
            "q": {
                "_id": self.collection,
                "view": emission.view.as_str(),
                "$or": stamp.not_newer("lake", "as_of"),
            },
            "u": { "$set": {
                "as_of": stamp.as_of,
                "lake": stamp.lake.as_str(),
                "rows": rows.map_or(RawBson::Null, RawBson::Int64),
                "emitted_at": DateTime::now(),
            } },
        };
        Ok(self.update(BOOKS, vec![statement]).await? > 0)
    }

    /// Carries out statements, of which some may find a newer document; hands out how many found what they were for.
    async fn update(&self, collection: &str, statements: Vec<RawDocumentBuf>) -> anyhow::Result<usize> {
        let (mut found, mut done) = (0, 0);
        while done < statements.len() {
            let updates: RawArrayBuf = statements[done..].iter().collect();
            let command = rawdoc! { "update": collection, "updates": updates, "ordered": false };
            let reply = self.run(command).await?;
            let refused = self.duplicates_apart(&reply)?;
            let fitting = usize::try_from(number(&reply, "n").unwrap_or(0)).unwrap_or(0);
            found += fitting;
            // MongoDB goes on after an error; there are servers that do not.
            match refused.last() {
                Some(last) if done + fitting + refused.len() < statements.len() => done += last + 1,
                _ => break,
            }
        }
        Ok(found)
    }

    /// The places of the statements that found a newer document.
    ///
    /// # Errors
    /// What else is wrong with one of them.
    fn duplicates_apart(&self, reply: &Document) -> anyhow::Result<Vec<usize>> {
        if let Ok(concern) = reply.get_document("writeConcernError") {
            let (code, message) = code_and_message(concern);
            return Err(of_command(code, message).into());
        }
        let Ok(errors) = reply.get_array("writeErrors") else {
            return Ok(Vec::new());
        };
        let mut places = Vec::new();
        for error in errors.iter().filter_map(Bson::as_document) {
            let (code, message) = code_and_message(error);
            if code != DUPLICATE {
                return Err(of_command(code, message).into());
            }
            // Which index it was is not said by every server.
            if error
                .get_document("keyPattern")
                .is_ok_and(|pattern| !pattern.contains_key("_id"))
            {
                bail!(
                    "a unique index of the collection that is not its _id refuses a row. hint: drop that index"
                );
            }
            places.push(usize::try_from(number(error, "index").unwrap_or(0)).unwrap_or(0));
        }
        places.sort_unstable();
        Ok(places)
    }

    /// The first document that a `find` gives.
    async fn first(&self, find: RawDocumentBuf) -> anyhow::Result<Option<Document>> {
        let reply = self.run(find).await?;
        let batch = reply
            .get_document("cursor")
            .and_then(|cursor| cursor.get_array("firstBatch"));
        let batch = batch.context("the server's answer has no documents")?;
        Ok(batch.first().and_then(Bson::as_document).cloned())
    }

    /// Runs one command, within its time.
    async fn run(&self, mut command: RawDocumentBuf) -> anyhow::Result<Document> {
        let is_read = command.get("find").is_ok_and(|find| find.is_some());
        if !is_read {
            command.append(cstr!("writeConcern"), RawDocumentBuf::try_from(self.concern)?);
        }
        let millis = i64::try_from(self.limits.command.as_millis()).unwrap_or(i64::MAX);
        command.append(cstr!("maxTimeMS"), millis);
        let answer = self.database.run_raw_command(command);
        match tokio::time::timeout(self.limits.silence, answer).await {
            Ok(Ok(reply)) => Ok(reply),
            Ok(Err(error)) => Err(of_driver(&error).into()),
            Err(_) => bail!(
                "the server did not answer in time ({} s)",
                self.limits.silence.as_secs()
            ),
        }
    }
}

impl Stamp {
    /// The numbers of another lake say nothing about this one's.
    fn is_newer_than(&self, other: &Stamp) -> bool {
        self.lake == other.lake && self.as_of > other.as_of
    }
}

/// A number of a server's answer, in whichever type it is.
fn number(document: &Document, name: &str) -> Option<i64> {
    match document.get(name)? {
        Bson::Int32(number) => Some(i64::from(*number)),
        Bson::Int64(number) => Some(*number),
        // As a shell writes every number.
        #[expect(
            clippy::cast_possible_truncation,
            reason = "counts are whole, and a float holds them exactly"
        )]
        Bson::Double(number) => Some(*number as i64),
        _ => None,
    }
}

fn code_and_message(error: &Document) -> (i32, &str) {
    let code = number(error, "code")
        .and_then(|code| i32::try_from(code).ok())
        .unwrap_or(0);
    (code, error.get_str("errmsg").unwrap_or("no reason is given"))
}
