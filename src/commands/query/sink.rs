//! Where an answer goes: standard output or a file, as text for people or bytes for programs.

use std::io::{self, IsTerminal as _};
use std::path::PathBuf;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use eventlake_query::Writer;

use super::Format;
use crate::cli::rows::Text;
use crate::cli::{output, usage, visible};
use crate::commands::unfinished::Unfinished;
use crate::sql::outward;

#[derive(Clone, Debug)]
pub enum Destination {
    Stdout,
    File(PathBuf),
}

/// Takes an answer batch by batch. A file gets its name when it is complete, and is nowhere when it never is.
pub struct Sink {
    format: Format,
    form: Option<Form>,
    target: Target,
    has_written: bool,
}

/// The answer in one of the formats, once its columns are known.
enum Form {
    Text(Box<Text>),
    Bytes(Box<Writer>),
}

enum Target {
    Stdout { is_terminal: bool },
    File(Unfinished),
}

impl Sink {
    /// # Errors
    /// When the file cannot be created, or Parquet would go to a terminal.
    pub fn new(destination: &Destination, format: Format) -> anyhow::Result<Sink> {
        let target = match destination {
            Destination::File(path) => Target::File(Unfinished::create(path)?),
            Destination::Stdout => Target::Stdout {
                is_terminal: io::stdout().is_terminal(),
            },
        };
        if format == Format::Parquet && matches!(target, Target::Stdout { is_terminal: true }) {
            return Err(usage(
                "Parquet is not for a terminal\nhint: name a file with --output FILE",
            ));
        }
        Ok(Sink {
            format,
            form: None,
            target,
            has_written: false,
        })
    }

    /// Whether something of the answer can have been seen.
    pub fn has_written(&self) -> bool {
        self.has_written && matches!(self.target, Target::Stdout { .. })
    }

    /// # Errors
    /// When the format has no place for a type.
    pub fn begin(&mut self, columns: &SchemaRef) -> anyhow::Result<()> {
        let format = match self.format {
            Format::Table => {
                self.form = Some(Form::Text(Box::new(Text::new(columns))));
                return Ok(());
            }
            Format::Json => eventlake_query::Format::JsonLines,
            Format::Csv => eventlake_query::Format::Csv,
            Format::Parquet => eventlake_query::Format::Parquet,
        };
        let writer = Writer::new(format, columns).map_err(outward)?;
        self.form = Some(Form::Bytes(Box::new(writer)));
        Ok(())
    }

    /// # Errors
    /// When the target cannot be written; a reader that left is one of those that end the command quietly.
    pub fn write(&mut self, batch: &RecordBatch) -> anyhow::Result<()> {
        let bytes = match self.form.as_mut().expect("begun before rows come") {
            Form::Text(text) => text.write(batch)?.into_bytes(),
            Form::Bytes(writer) => writer.write(batch).map_err(outward)?,
        };
        self.put(bytes)
    }

    /// # Errors
    /// As for [`Sink::write`].
    pub fn finish(mut self) -> anyhow::Result<()> {
        let bytes = match self.form.take() {
            None => Vec::new(),
            Some(Form::Text(text)) => text.finish().into_bytes(),
            Some(Form::Bytes(writer)) => writer.finish().map_err(outward)?,
        };
        self.put(bytes)?;
        match self.target {
            Target::Stdout { .. } => Ok(()),
            Target::File(mut file) => file.complete(),
        }
    }

    fn put(&mut self, bytes: Vec<u8>) -> anyhow::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.has_written = true;
        let is_terminal = match &mut self.target {
            Target::File(file) => return file.write(&bytes),
            Target::Stdout { is_terminal } => *is_terminal,
        };
        match self.format {
            // The same JSON, with what a terminal should not see escaped.
            Format::Json => output::print_bytes(visible::json(&String::from_utf8_lossy(&bytes)).as_bytes()),
            Format::Csv if is_terminal => {
                output::print_bytes(visible::text(&String::from_utf8_lossy(&bytes)).as_bytes())
            }
            // The table's cells were made visible one by one.
            Format::Table | Format::Csv | Format::Parquet => output::print_bytes(&bytes),
        }
    }
}
