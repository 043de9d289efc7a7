//! Answers as bytes that programs read: JSON lines, CSV, Parquet.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::csv;
use arrow::datatypes::{Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::json;
use arrow::json::writer::LineDelimited;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One object a row and line, nulls included.
    JsonLines,
    /// RFC 4180, with a line of names.
    Csv,
    Parquet,
}

/// Writes batches in one of the formats. Nothing is complete before [`Writer::finish`].
pub struct Writer<W: Write + Send> {
    columns: SchemaRef,
    kind: Kind<W>,
}

enum Kind<W: Write + Send> {
    JsonLines(json::Writer<W, LineDelimited>),
    Csv(csv::Writer<W>),
    Parquet(Box<ArrowWriter<W>>),
}

impl<W: Write + Send> Writer<W> {
    /// # Errors
    /// When the sink cannot be written, or the format has no place for a type.
    pub fn new(format: Format, columns: &SchemaRef, sink: W) -> io::Result<Writer<W>> {
        let columns = distinct(columns);
        let kind = match format {
            Format::JsonLines => {
                let builder = json::WriterBuilder::new().with_explicit_nulls(true);
                Kind::JsonLines(builder.build(sink))
            }
            Format::Csv => {
                let mut writer = csv::WriterBuilder::new().with_header(true).build(sink);
                // Names are written with the first rows: an answer without rows has names, too.
                let names = RecordBatch::new_empty(Arc::clone(&columns));
                writer.write(&names).map_err(of_arrow)?;
                Kind::Csv(writer)
            }
            Format::Parquet => {
                let level = ZstdLevel::try_new(3).expect("a level of zstd");
                let properties = WriterProperties::builder()
                    .set_compression(Compression::ZSTD(level))
                    .build();
                let writer = ArrowWriter::try_new(sink, Arc::clone(&columns), Some(properties));
                Kind::Parquet(Box::new(writer.map_err(of_parquet)?))
            }
        };
        Ok(Writer { columns, kind })
    }

    /// # Errors
    /// As for [`Writer::new`].
    pub fn write(&mut self, batch: &RecordBatch) -> io::Result<()> {
        let batch = batch.clone().with_schema(Arc::clone(&self.columns));
        let batch = batch.map_err(of_arrow)?;
        match &mut self.kind {
            Kind::JsonLines(writer) => writer.write(&batch).map_err(of_arrow),
            Kind::Csv(writer) => writer.write(&batch).map_err(of_arrow),
            Kind::Parquet(writer) => writer.write(&batch).map_err(of_parquet),
        }
    }

    /// Completes what was written and gives the sink back.
    ///
    /// # Errors
    /// As for [`Writer::new`].
    pub fn finish(self) -> io::Result<W> {
        match self.kind {
            Kind::JsonLines(mut writer) => {
                writer.finish().map_err(of_arrow)?;
                Ok(writer.into_inner())
            }
            Kind::Csv(writer) => Ok(writer.into_inner()),
            Kind::Parquet(writer) => writer.into_inner().map_err(of_parquet),
        }
    }
}

/// Columns whose names differ: of equal ones the later get a number, `user_id` and `user_id_1`.
fn distinct(columns: &SchemaRef) -> SchemaRef {
    let all: BTreeSet<&String> = columns.fields().iter().map(|field| field.name()).collect();
    if all.len() == columns.fields().len() {
        return Arc::clone(columns);
    }
    let mut taken: BTreeSet<String> = BTreeSet::new();
    let fields = columns.fields().iter().map(|field| {
        let mut name = field.name().clone();
        let mut number = 0;
        while taken.contains(&name) || number > 0 && all.contains(&name) {
            number += 1;
            name = format!("{}_{number}", field.name());
        }
        taken.insert(name.clone());
        field.as_ref().clone().with_name(name)
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

fn of_arrow(error: ArrowError) -> io::Error {
    match error {
        ArrowError::IoError(_, error) => error,
        // The writer of CSV hands the sink's error on as text at best; a closed pipe must stay one.
        ArrowError::ExternalError(inner) => match inner.downcast::<io::Error>() {
            Ok(error) => *error,
            Err(inner) => io::Error::other(inner),
        },
        other => io::Error::other(other),
    }
}

fn of_parquet(error: ParquetError) -> io::Error {
    match error {
        ParquetError::External(inner) => match inner.downcast::<io::Error>() {
            Ok(error) => *error,
            Err(inner) => io::Error::other(inner),
        },
        other => io::Error::other(other),
    }
}
