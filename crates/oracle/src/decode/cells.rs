//! The cells of a landed row, one by one, against the record that it came from.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Date32Type, Float64Type, Int64Type, TimestampMicrosecondType};
use chrono::{DateTime, NaiveDate};
use eventlake_engine::ingest::decode::EXTRA_COLUMN;
use serde_json::Value;

use super::tree::{self, Tree};

pub fn assert_row(batch: &RecordBatch, row: usize, schema: &Value, tree: &Tree<'_>) {
    for name in schema["properties"]
        .as_object()
        .expect("the root has properties")
        .keys()
    {
        let column = batch
            .column_by_name(name)
            .unwrap_or_else(|| panic!("no column {name:?}"));
        assert_cell(column, row, tree.member(name), &format!("{name} of {tree:?}"));
    }
    assert_extra(batch, row, schema, tree);
}

/// What no property declares stands in `_extra` as it was written, every member of it.
fn assert_extra(batch: &RecordBatch, row: usize, schema: &Value, tree: &Tree<'_>) {
    let Some(column) = batch.column_by_name(EXTRA_COLUMN) else {
        return;
    };
    let members = tree.members().iter();
    let undeclared: Vec<_> = members
        .filter(|(name, _)| schema["properties"].get(name).is_none())
        .collect();
    if undeclared.is_empty() {
        return assert!(column.is_null(row), "_extra of {tree:?} is not null");
    }
    let text = column.as_string::<i32>().value(row);
    let extra = tree::read(text).unwrap_or_else(|error| panic!("_extra {text}: {error}"));
    assert_eq!(
        extra.members().iter().collect::<Vec<_>>(),
        undeclared,
        "_extra {text} of {tree:?}"
    );
}

fn assert_cell(array: &dyn Array, row: usize, tree: Option<&Tree<'_>>, context: &str) {
    let tree = match tree {
        None | Some(Tree::Null) => return assert!(array.is_null(row), "{context} is not null"),
        Some(tree) => tree,
    };
    assert!(array.is_valid(row), "{context} is null");
    match (array.data_type(), tree) {
        (DataType::Boolean, Tree::Boolean(value)) => {
            assert_eq!(array.as_boolean().value(row), *value, "{context}")
        }
        (DataType::Int64, Tree::Number(text)) => {
            let landed = array.as_primitive::<Int64Type>().value(row);
            match text.parse::<i64>() {
                Ok(value) => assert_eq!(landed, value, "{context}"),
                Err(_) => assert_eq!(landed as f64, text.parse::<f64>().expect("a number"), "{context}"),
            }
        }
        (DataType::Float64, Tree::Number(text)) => {
            let landed = array.as_primitive::<Float64Type>().value(row);
            assert_eq!(
                landed.to_bits(),
                text.parse::<f64>().expect("a number").to_bits(),
                "{context}"
            );
        }
        (DataType::Utf8, Tree::String(text)) => {
            assert_eq!(array.as_string::<i32>().value(row), text, "{context}")
        }
        (DataType::Timestamp(..), Tree::String(text)) => {
            let upper = text.to_uppercase();
            let time = DateTime::parse_from_rfc3339(&upper)
                .or_else(|_| DateTime::parse_from_rfc3339(&format!("{upper}Z")));
            let micros = time
                .unwrap_or_else(|error| panic!("{context}: {error}"))
                .timestamp_micros();
            assert_eq!(
                array.as_primitive::<TimestampMicrosecondType>().value(row),
                micros,
                "{context}"
            );
        }
        (DataType::Date32, Tree::String(text)) => {
            let date: NaiveDate = text.parse().expect("a date");
            let days = date.signed_duration_since(NaiveDate::default()).num_days();
            assert_eq!(
                i64::from(array.as_primitive::<Date32Type>().value(row)),
                days,
                "{context}"
            );
        }
        (DataType::Struct(fields), object @ Tree::Object(_)) => {
            for (field, column) in fields.iter().zip(array.as_struct().columns()) {
                assert_cell(column, row, object.member(field.name()), context);
            }
        }
        (DataType::List(_), Tree::Array(items)) => {
            let landed = array.as_list::<i32>().value(row);
            assert_eq!(landed.len(), items.len(), "{context}");
            for (index, item) in items.iter().enumerate() {
                assert_cell(&landed, index, Some(item), context);
            }
        }
        (landed, _) => panic!("{context} landed as {landed}"),
    }
}
