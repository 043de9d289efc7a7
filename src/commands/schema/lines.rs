//! Events read from a file or standard input, a record a line; of a line that is too large only its length is kept.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use crate::cli::usage;

/// Where events come from: a file, or standard input for `-`.
pub type Events = BufReader<Box<dyn Read>>;

/// Opens what the command line names, with the name it goes by in messages.
///
/// # Errors
/// When the file cannot be read.
pub fn open(file: &Path) -> anyhow::Result<(Events, String)> {
    if file.as_os_str() == "-" {
        return Ok((BufReader::new(Box::new(io::stdin())), "standard input".to_owned()));
    }
    let opened = File::open(file).and_then(|opened| match opened.metadata()?.is_dir() {
        true => Err(io::ErrorKind::IsADirectory.into()),
        false => Ok(opened),
    });
    let name = file.display().to_string();
    let opened = opened.map_err(|error| usage(format!("{name}: cannot be read: {error}")))?;
    Ok((BufReader::new(Box::new(opened)), name))
}

/// One line of events. Of a line that is too large only its length is kept.
#[derive(Default)]
pub struct Line {
    /// Its bytes, without its end.
    pub kept: Vec<u8>,
    /// How many there were, kept or not.
    pub bytes: usize,
}

impl Line {
    /// Reads the next line, without its end; false when there is none.
    pub fn read(&mut self, events: &mut impl BufRead, bytes_max: usize) -> io::Result<bool> {
        self.kept.clear();
        self.bytes = 0;
        let mut has_begun = false;
        loop {
            let available = match events.fill_buf() {
                Ok(available) => available,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if available.is_empty() {
                return Ok(has_begun);
            }
            has_begun = true;
            let end = available.iter().position(|byte| *byte == b'\n');
            let part = &available[..end.unwrap_or(available.len())];
            self.bytes += part.len();
            if self.bytes <= bytes_max {
                self.kept.extend_from_slice(part);
            }
            let consumed = part.len() + usize::from(end.is_some());
            events.consume(consumed);
            if end.is_some() {
                return Ok(true);
            }
        }
    }
}
