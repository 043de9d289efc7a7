//! A file that gets its name once it is complete, and is nowhere when it never is.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::cli::usage;

pub struct Unfinished {
    file: Option<File>,
    written: PathBuf,
    wanted: PathBuf,
}

impl Unfinished {
    /// # Errors
    /// When there can be no such file.
    pub fn create(wanted: &Path) -> anyhow::Result<Unfinished> {
        let mut name = std::ffi::OsString::from(".");
        name.push(
            wanted
                .file_name()
                .ok_or_else(|| usage(format!("--output {}: not the name of a file", wanted.display())))?,
        );
        name.push(format!(".{}.part", std::process::id()));
        let written = wanted.with_file_name(name);
        let file = File::create(&written).with_context(|| format!("--output {}", wanted.display()))?;
        Ok(Unfinished {
            file: Some(file),
            written,
            wanted: wanted.to_owned(),
        })
    }

    /// # Errors
    /// When it cannot be written.
    pub fn write(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        let file = self.file.as_mut().expect("complete only when it is consumed");
        file.write_all(bytes)
            .with_context(|| self.written.display().to_string())
    }

    /// Gives it its name.
    ///
    /// # Errors
    /// When it cannot have it.
    pub fn complete(&mut self) -> anyhow::Result<()> {
        self.file = None;
        fs::rename(&self.written, &self.wanted).with_context(|| self.wanted.display().to_string())?;
        self.written = PathBuf::new();
        Ok(())
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if !self.written.as_os_str().is_empty() {
            // The answer has failed, and its error is the one to be told.
            let _ = fs::remove_file(&self.written);
        }
    }
}
