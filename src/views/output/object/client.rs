//! Puts objects into a store, each only in the place of one that may be replaced: an older state never takes a newer one's place,
//! and what is another's stays.

use std::error::Error;
use std::sync::Arc;

use anyhow::{Context as _, anyhow, bail};
use bytes::Bytes;
use eventlake_core::config::{ObjectAddress, ObjectFormat, ObjectStoreKind};
use object_store::path::Path;
use object_store::{
    Attribute, Attributes, GetOptions, ObjectStore, ObjectStoreExt as _, PutMode, PutOptions, UpdateVersion,
};
use tokio::runtime::Runtime;

use super::connector::{Connector, Refusal, Told, Why};
use super::faults;
use super::store::{self, Environment};

/// How often an object that others change, or a connection that breaks, is tried within an emission.
const TRIES_MAX: usize = 4;

/// A store, and how it is spoken to.
pub(super) struct Client {
    kind: ObjectStoreKind,
    environment: Environment,
    store: Arc<dyn ObjectStore>,
    told: Told,
    runtime: Runtime,
    /// Whether it writes on a condition. Some stores cannot.
    is_conditional: bool,
}

/// What is known of an object before it is written.
#[derive(Clone, Debug, Default)]
pub(super) enum Known {
    #[default]
    Nothing,
    Absent,
    There(UpdateVersion),
}

/// What came of putting an object.
#[derive(Debug)]
pub(super) enum Put {
    Done(Known),
    /// The object may stay: it is newer.
    IsNewer,
}

/// What may be done with an object that is there.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Replace,
    IsNewer,
    /// It is another's; why, and what to do.
    Keep(String),
}

/// What a store has under a name.
enum Seen {
    Absent,
    /// We may not look.
    Hidden,
    There(Attributes, UpdateVersion),
}

impl Client {
    pub fn open(address: &ObjectAddress, environment: Environment) -> anyhow::Result<Client> {
        let told = Told::default();
        Client::with(address, environment, told.clone(), Connector::new(told))
    }

    pub fn with(
        address: &ObjectAddress,
        environment: Environment,
        told: Told,
        connector: Connector,
    ) -> anyhow::Result<Client> {
        let kind = address.store;
        let store = store::open(address, &environment, connector)
            .map_err(|error| anyhow!(faults::in_words(kind, None, error.as_ref(), &environment)))?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build();
        Ok(Client {
            kind,
            environment,
            store,
            told,
            runtime: runtime.context("no runtime for an output")?,
            is_conditional: true,
        })
    }

    /// Puts an object in the place of none, or of one that may be replaced.
    pub fn put(
        &mut self,
        key: &str,
        object: &Object,
        mut known: Known,
        may_replace: &dyn Fn(&Attributes) -> Verdict,
    ) -> anyhow::Result<Put> {
        for _ in 0..TRIES_MAX {
            if !self.is_conditional {
                // The store itself does not look, so we do.
                known = Known::Nothing;
            }
            let mode = match known {
                Known::Absent => PutMode::Create,
                Known::There(version) => PutMode::Update(version),
                Known::Nothing => match self.look(key)? {
                    Seen::Absent => PutMode::Create,
                    Seen::Hidden => PutMode::Overwrite,
                    Seen::There(attributes, version) => match may_replace(&attributes) {
                        Verdict::Replace => PutMode::Update(version),
                        Verdict::IsNewer => return Ok(Put::IsNewer),
                        Verdict::Keep(why) => bail!(why),
                    },
                },
            };
            let mode = if self.is_conditional {
                mode
            } else {
                PutMode::Overwrite
            };
            known = Known::Nothing;
            match self.put_once(key, object, mode)? {
                Ok(version) => return Ok(Put::Done(Known::There(version))),
                // Somebody was there before us. It may have been us: a reply gets lost.
                Err(object_store::Error::Precondition { .. } | object_store::Error::AlreadyExists { .. }) => {
                }
                Err(object_store::Error::NotImplemented { .. }) if self.is_conditional => {
                    self.is_conditional = false;
                }
                // The store may have closed a connection that nothing came over.
                Err(error) => match self.told.newest() {
                    Some(Refusal {
                        why: Why::Lost(_), ..
                    }) => {}
                    _ => return Err(self.in_words(&error)),
                },
            }
        }
        match self.told.newest() {
            Some(Refusal {
                why: Why::Lost(why), ..
            }) => bail!("{}: the connection is lost: {why}", self.kind.name()),
            _ => bail!("{}: another writer changes it all the time", self.kind.name()),
        }
    }

    /// The first number from this one on that no object of ours has, and whether there are some below it.
    pub fn clear(
        &self,
        keys: impl Fn(u64) -> String,
        first: u64,
        may_replace: &dyn Fn(&Attributes) -> Verdict,
    ) -> anyhow::Result<()> {
        let mut end = first;
        while let Seen::There(attributes, _) = self.look(&keys(end))? {
            if let Verdict::Keep(why) = may_replace(&attributes) {
                bail!(why);
            }
            end += 1;
        }
        // From the last on: after a crash the others are found again.
        for number in (first..end).rev() {
            self.told.forget();
            let path = path(&keys(number))?;
            match self.runtime.block_on(self.store.delete(&path)) {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => return Err(self.in_words(&error).context("taking away what a crash has left")),
            }
        }
        Ok(())
    }

    fn look(&self, key: &str) -> anyhow::Result<Seen> {
        self.told.forget();
        let options = GetOptions {
            head: true,
            ..GetOptions::default()
        };
        let path = path(key)?;
        let error = match self.runtime.block_on(self.store.get_opts(&path, options)) {
            Ok(found) => {
                let version = UpdateVersion {
                    e_tag: found.meta.e_tag,
                    version: found.meta.version,
                };
                return Ok(Seen::There(found.attributes, version));
            }
            Err(object_store::Error::NotFound { .. }) => return Ok(Seen::Absent),
            Err(error) => error,
        };
        match self.told.newest() {
            // Its answer has no body: the write that follows is told why, or is taken.
            Some(Refusal {
                is_metadata: false,
                why: Why::Answered { status, .. },
                ..
            }) if !status.is_server_error() => Ok(Seen::Hidden),
            _ => Err(self.in_words(&error)),
        }
    }

    fn put_once(
        &self,
        key: &str,
        object: &Object,
        mode: PutMode,
    ) -> anyhow::Result<object_store::Result<UpdateVersion>> {
        self.told.forget();
        let mut options = PutOptions::from(mode);
        options.attributes = object.attributes.clone();
        let path = path(key)?;
        let put = self.store.put_opts(&path, object.bytes.clone().into(), options);
        Ok(self.runtime.block_on(put).map(UpdateVersion::from))
    }

    fn in_words(&self, error: &(dyn Error + 'static)) -> anyhow::Error {
        anyhow!(faults::in_words(
            self.kind,
            self.told.newest().as_ref(),
            error,
            &self.environment
        ))
    }
}

/// Literally: nothing in it stands for something else.
fn path(key: &str) -> anyhow::Result<Path> {
    Path::parse(key).map_err(|_| anyhow!("a store takes no object of this name"))
}

/// An object as it is put.
pub(super) struct Object {
    bytes: Bytes,
    attributes: Attributes,
}

impl Object {
    pub fn new(
        bytes: Vec<u8>,
        format: ObjectFormat,
        books: impl IntoIterator<Item = (&'static str, String)>,
    ) -> Object {
        let kind = match format {
            ObjectFormat::JsonLines => "application/x-ndjson",
            ObjectFormat::Csv => "text/csv; charset=utf-8",
            ObjectFormat::Parquet => "application/vnd.apache.parquet",
        };
        let mut attributes = Attributes::new();
        attributes.insert(Attribute::ContentType, kind.into());
        for (name, value) in books {
            attributes.insert(Attribute::Metadata(name.into()), value.into());
        }
        Object {
            bytes: bytes.into(),
            attributes,
        }
    }
}

/// What an object's books say under a name.
pub(super) fn noted<'a>(attributes: &'a Attributes, name: &'static str) -> Option<&'a str> {
    attributes
        .get(&Attribute::Metadata(name.into()))
        .map(AsRef::as_ref)
}
