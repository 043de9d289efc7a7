//! The live files as DataFusion reads them: by name, wherever each lies, of exactly the committed length. Nothing else exists.

use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, RwLock};

use async_trait::async_trait;
use bytes::Bytes;
use datafusion::object_store::path::Path;
use datafusion::object_store::{
    Attributes, CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload,
    ObjectMeta, ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use futures::StreamExt as _;
use futures::stream::{self, BoxStream};

use crate::lake::LiveFile;

const NAME: &str = "lake";

/// Where a file may lie and how long it is.
#[derive(Debug)]
struct Entry {
    places: Vec<PathBuf>,
    bytes: u64,
}

/// What went wrong with a file that the log calls live.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// It lies nowhere: replaced meanwhile, or lost.
    Gone(String),
    /// It is not what was committed.
    Altered(String),
}

/// The store. It reads and never writes, whatever it is asked for.
#[derive(Debug, Default)]
pub(crate) struct LakeStore {
    entries: RwLock<HashMap<Path, Arc<Entry>>>,
    trouble: Mutex<Option<Trouble>>,
}

impl LakeStore {
    /// From now on there are these files and no others.
    pub fn hold<'f>(&self, files: impl Iterator<Item = (Path, &'f LiveFile)>) {
        let entry = |(path, live): (Path, &LiveFile)| {
            let places = live.places.clone();
            let bytes = live.file.bytes;
            (path, Arc::new(Entry { places, bytes }))
        };
        *self.entries.write().expect("no panic under the lock") = files.map(entry).collect();
    }

    /// What went wrong with a file since this was asked last. An error of DataFusion would hold it as text at best.
    pub fn take_trouble(&self) -> Option<Trouble> {
        self.trouble.lock().expect("no panic under the lock").take()
    }

    fn entry(&self, path: &Path) -> Result<Arc<Entry>> {
        let entries = self.entries.read().expect("no panic under the lock");
        entries.get(path).cloned().ok_or_else(|| Error::NotFound {
            path: path.to_string(),
            source: "no live file has this name".into(),
        })
    }

    /// Where a file lies at the moment, from the root of the file system on, for those who read it without the store. It has its
    /// committed length.
    #[cfg(feature = "cluster")]
    pub fn on_disk(&self, path: &Path) -> Result<Path> {
        let entry = self.entry(path)?;
        let (place, _) = self.found(path, &entry)?;
        let place = std::path::absolute(place).map_err(failed)?;
        Path::from_absolute_path(place).map_err(failed)
    }

    fn open(&self, path: &Path, entry: &Entry) -> Result<File> {
        self.found(path, entry).map(|(_, file)| file)
    }

    fn found<'e>(&self, path: &Path, entry: &'e Entry) -> Result<(&'e PathBuf, File)> {
        // Twice: between a look at one place and at the next it may have been given its final name.
        for place in entry.places.iter().chain(&entry.places) {
            match File::open(place) {
                Ok(file) => {
                    let bytes = file.metadata().map_err(failed)?.len();
                    if bytes != entry.bytes {
                        let text = format!(
                            "{} has {bytes} bytes, but {} were committed",
                            place.display(),
                            entry.bytes
                        );
                        self.note(Trouble::Altered(text.clone()));
                        return Err(failed(io::Error::other(text)));
                    }
                    return Ok((place, file));
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => {
                    let text = format!("{}: {error}", place.display());
                    return Err(failed(io::Error::new(error.kind(), text)));
                }
            }
        }
        let place = entry.places.first().cloned().unwrap_or_default();
        self.note(Trouble::Gone(place.display().to_string()));
        Err(Error::NotFound {
            path: path.to_string(),
            source: "the live file is gone".into(),
        })
    }

    fn note(&self, trouble: Trouble) {
        let mut noted = self.trouble.lock().expect("no panic under the lock");
        noted.get_or_insert(trouble);
    }
}

fn read(file: &File, range: &Range<u64>) -> Result<Bytes> {
    let length = usize::try_from(range.end - range.start).expect("checked: within the file");
    let mut bytes = vec![0; length];
    file.read_exact_at(&mut bytes, range.start).map_err(failed)?;
    Ok(bytes.into())
}

fn failed(source: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::Generic {
        store: NAME,
        source: Box::new(source),
    }
}

fn only_reads<T>(operation: &str) -> Result<T> {
    Err(Error::NotSupported {
        source: format!("{operation}: the lake is only read").into(),
    })
}

impl fmt::Display for LakeStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(NAME)
    }
}

// A read is done where it is asked for: by one of the threads that are there for nothing else, mostly from memory.
#[async_trait]
impl ObjectStore for LakeStore {
    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let entry = self.entry(location)?;
        let range = match &options.range {
            Some(range) => range.as_range(entry.bytes).map_err(failed)?,
            None => 0..entry.bytes,
        };
        let bytes = if options.head {
            Bytes::new()
        } else {
            read(&self.open(location, &entry)?, &range)?
        };
        let meta = ObjectMeta {
            location: location.clone(),
            last_modified: Default::default(),
            size: entry.bytes,
            e_tag: None,
            version: None,
        };
        Ok(GetResult {
            payload: GetResultPayload::Stream(stream::iter([Ok(bytes)]).boxed()),
            meta,
            range,
            attributes: Attributes::default(),
        })
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let entry = self.entry(location)?;
        let file = self.open(location, &entry)?;
        if let Some(beyond) = ranges
            .iter()
            .find(|range| range.start > range.end || range.end > entry.bytes)
        {
            return Err(failed(io::Error::other(format!(
                "{location}: bytes {beyond:?} of {}",
                entry.bytes
            ))));
        }
        ranges.iter().map(|range| read(&file, range)).collect()
    }

    async fn put_opts(&self, _: &Path, _: PutPayload, _: PutOptions) -> Result<PutResult> {
        only_reads("put")
    }

    async fn put_multipart_opts(&self, _: &Path, _: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        only_reads("put")
    }

    fn delete_stream(&self, _: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        stream::iter([only_reads("delete")]).boxed()
    }

    fn list(&self, _: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        stream::iter([only_reads("list")]).boxed()
    }

    async fn list_with_delimiter(&self, _: Option<&Path>) -> Result<ListResult> {
        only_reads("list")
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> Result<()> {
        only_reads("copy")
    }
}
