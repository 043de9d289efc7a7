//! A view as a file that grows: JSON lines or CSV, each row once whatever crashes in between.

use std::collections::HashSet;
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::{self, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use arrow::array::RecordBatch;
use eventlake_query::{Format, Writer};

use super::{Covers, Emission, Mark, Output, create_folder_of};
use crate::sql::outward;
use crate::views::state::sync_folder_of;

/// Its mark is the length of the file: what stands behind it was written by an emission that never came to its end.
pub struct Lines {
    path: PathBuf,
    format: Format,
    /// Of a view that is whole each time, the rows it had the last time: the others are new.
    last: HashSet<u64>,
}

impl Lines {
    pub fn new(path: PathBuf, format: Format) -> Lines {
        Lines {
            path,
            format,
            last: HashSet::new(),
        }
    }

    /// The bytes of the rows, after those of the names where the file has none yet.
    fn bytes(&mut self, emission: &Emission<'_>, has_names: bool) -> anyhow::Result<Vec<u8>> {
        let mut writer = Writer::new(self.format, emission.columns).map_err(outward)?;
        // Names come with the first write, whatever it writes.
        let none = RecordBatch::new_empty(Arc::clone(emission.columns));
        let names = writer.write(&none).map_err(outward)?;
        let mut bytes = if has_names { Vec::new() } else { names };
        let mut now = HashSet::new();
        for batch in emission.rows {
            if emission.covers != Covers::Everything {
                bytes.extend(writer.write(batch).map_err(outward)?);
                continue;
            }
            for row in 0..batch.num_rows() {
                let row = writer.write(&batch.slice(row, 1)).map_err(outward)?;
                let mut hasher = DefaultHasher::new();
                row.hash(&mut hasher);
                let hash = hasher.finish();
                now.insert(hash);
                if !self.last.contains(&hash) {
                    bytes.extend(row);
                }
            }
        }
        bytes.extend(writer.finish().map_err(outward)?);
        self.last = now;
        Ok(bytes)
    }
}

impl Output for Lines {
    fn emit(&mut self, emission: &Emission<'_>, mark: Mark) -> anyhow::Result<Mark> {
        create_folder_of(&self.path)?;
        let context = || self.path.display().to_string();
        let (mut file, length) = open(&self.path, mark).with_context(context)?;
        let before = self.last.clone();
        let bytes = self.bytes(emission, length > 0)?;
        let written = file
            .seek(SeekFrom::Start(length))
            .and_then(|_| file.write_all(&bytes))
            .and_then(|()| file.sync_all())
            .and_then(|()| sync_folder_of(&self.path));
        if let Err(error) = written {
            self.last = before;
            return Err(error).with_context(|| self.path.display().to_string());
        }
        let length = length + bytes.len() as u64;
        Ok(Some(length.into()))
    }
}

/// The file, and where to go on in it.
fn open(path: &Path, mark: Mark) -> io::Result<(File, u64)> {
    let length = match fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => return Err(io::ErrorKind::IsADirectory.into()),
        Ok(metadata) => metadata.len(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
        Err(error) => return Err(error),
    };
    let mark = match mark {
        Some(mark) => mark.as_u64().unwrap_or(0),
        None if length == 0 => 0,
        // Nothing is known of what stands in it: it is kept, and begun anew.
        None => {
            let aside = aside(path)?;
            tracing::warn!(
                "{} was there before its view began; it is now {}",
                path.display(),
                aside.display()
            );
            0
        }
    };
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)?;
    let length = file.metadata()?.len();
    if length < mark {
        // Somebody rotated it away: what comes now is appended to what is there.
        tracing::info!("{} has become shorter; it goes on at its end", path.display());
        return Ok((file, length));
    }
    file.set_len(mark)?;
    Ok((file, mark))
}

/// Gives a file another name that is free.
fn aside(path: &Path) -> io::Result<PathBuf> {
    let name = path.file_name().expect("it names a file").to_string_lossy();
    let mut number = 1;
    loop {
        let other = path.with_file_name(format!("{name}.before-{number}"));
        if !other.try_exists()? {
            fs::rename(path, &other)?;
            return Ok(other);
        }
        number += 1;
    }
}
