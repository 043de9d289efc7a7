//! Staging: data files written under names that no reader's glob matches, durable before the commit that names them.

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use eventlake_core::commit::{
    Checksum, File, FileOffsets, FileSet, GenerationOrdinal, SchemaVersion, StageId, TimeSpan, TopicId,
};
use eventlake_core::names::{FilePath, TableName, TimePartition};
use sha2::{Digest, Sha256};

use super::error::LakeError;
use super::roots::Roots;
use super::site::Site;
use super::store::{Store, StoreFile};

/// One set of files on its way into a commit. Its manifest is durable; threads may write its files side by side.
///
/// Dropping it deletes nothing: cleaning does, once its commit can no longer be valid.
#[derive(Debug)]
pub struct Stage {
    pub(super) store: Store,
    pub(super) roots: Roots,
    pub(super) table: TableName,
    pub(super) id: StageId,
    pub(super) generation: GenerationOrdinal,
    pub(super) topic_id: TopicId,
    pub(super) sequence: AtomicU32,
    /// Whether the stage has a folder in the set's root.
    pub(super) has_folder: [AtomicBool; 2],
}

/// What the writer of a file knows about it.
#[derive(Clone, Debug)]
pub struct FileContents {
    pub rows: u64,
    /// In ascending order, each partition once.
    pub offsets: Vec<FileOffsets>,
    pub times: Option<TimeSpan>,
    pub schema_version: SchemaVersion,
}

impl Stage {
    #[must_use]
    pub fn id(&self) -> StageId {
        self.id
    }

    #[must_use]
    pub fn generation(&self) -> GenerationOrdinal {
        self.generation
    }

    /// The topic id that the files' footers carry, as their names do.
    #[must_use]
    pub fn topic_id(&self) -> &TopicId {
        &self.topic_id
    }

    /// Opens the next file of this stage, to land in this time partition.
    ///
    /// # Errors
    /// When it cannot be created.
    pub fn create_file(&self, set: FileSet, partition: TimePartition) -> Result<StagedFile, LakeError> {
        let staging = self.roots.staging(set);
        if !self.has_folder[set as usize].load(Ordering::Acquire) {
            self.store
                .create_folders(Site::StageFolder, &staging.stage(self.id))?;
            self.has_folder[set as usize].store(true, Ordering::Release);
        }
        let sequence = self.sequence.fetch_add(1, Ordering::Relaxed);
        let path = FilePath::new(&self.table, partition, self.id, sequence, &self.topic_id);
        let file = self.store.create_file(Site::StagedFile, &staging.staged(&path))?;
        Ok(StagedFile {
            file,
            set,
            path,
            stage: self.id,
            generation: self.generation,
            bytes: 0,
            digest: Sha256::new(),
        })
    }

    /// Begins the stage again after its files could not be written: the half-written ones go, so that they do not fill
    /// the disk while it is tried again. Their names are not used again. To be called only before the stage was ever
    /// proposed; then no commit can name a file of it.
    ///
    /// # Errors
    /// When a file cannot be removed.
    pub fn start_over(&mut self) -> Result<(), LakeError> {
        for set in FileSet::ALL {
            let folder = self.roots.staging(set).stage(self.id);
            for entry in self.store.list(&folder)?.unwrap_or_default() {
                self.store.remove(Site::StageRestart, &folder.join(entry.name))?;
            }
            // Another may have cleaned the folder away, if the stage is over. The proposal will tell.
            self.has_folder[set as usize].store(false, Ordering::Release);
        }
        Ok(())
    }

    /// Makes the names of all finished files durable. Call it once, after the last `StagedFile::finish` and before the
    /// commit is proposed.
    ///
    /// # Errors
    /// When a folder cannot be synced; then the stage must not be committed.
    pub fn sync(&self) -> Result<(), LakeError> {
        for set in FileSet::ALL {
            if self.has_folder[set as usize].load(Ordering::Acquire) {
                self.store
                    .sync_folder(Site::StageNames, &self.roots.staging(set).stage(self.id))?;
            }
        }
        Ok(())
    }
}

/// A staged file being written: counts and hashes the bytes that pass through.
#[derive(Debug)]
pub struct StagedFile {
    file: StoreFile,
    set: FileSet,
    path: FilePath,
    stage: StageId,
    generation: GenerationOrdinal,
    bytes: u64,
    digest: Sha256,
}

impl StagedFile {
    /// The name it will have in the table.
    #[must_use]
    pub fn path(&self) -> &FilePath {
        &self.path
    }

    /// Bytes written so far.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Makes the content durable, and gives the record that a commit names the file by.
    ///
    /// # Errors
    /// When the file cannot be synced; then it must not be committed.
    pub fn finish(self, contents: FileContents) -> Result<File, LakeError> {
        self.file.sync()?;
        Ok(File {
            set: self.set,
            path: self.path,
            generation: self.generation,
            stage: self.stage,
            bytes: self.bytes,
            rows: contents.rows,
            sha256: Checksum::from_digest(self.digest.finalize().into()),
            offsets: contents.offsets,
            times: contents.times,
            schema_version: contents.schema_version,
        })
    }
}

impl Write for StagedFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.digest.update(&bytes[..written]);
        self.bytes += u64::try_from(written).expect("a length fits 64 bits");
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
