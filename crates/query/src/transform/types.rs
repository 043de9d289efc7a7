//! Types that SQL makes, as the lake keeps them: what every reader of Parquet takes, and times in microseconds of UTC.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, TimeUnit};

/// What values of a type are kept as; none where the lake does not keep such.
pub(super) fn kept_as(made: &DataType) -> Option<DataType> {
    let inner = |field: &Arc<Field>| {
        let kept = kept_as(field.data_type())?;
        Some(Arc::new(Field::new(field.name(), kept, field.is_nullable())))
    };
    match made {
        DataType::Boolean | DataType::Date32 | DataType::Decimal128(..) => Some(made.clone()),
        DataType::Int8
        | DataType::Int16
        | DataType::Int32
        | DataType::Int64
        | DataType::UInt8
        | DataType::UInt16
        | DataType::UInt32
        // One beyond 63 bits is a value that cannot be cast, and so rejects its event.
        | DataType::UInt64 => Some(DataType::Int64),
        DataType::Float16 | DataType::Float32 | DataType::Float64 => Some(DataType::Float64),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Some(DataType::Utf8),
        DataType::Binary
        | DataType::LargeBinary
        | DataType::BinaryView
        | DataType::FixedSizeBinary(_) => Some(DataType::Binary),
        DataType::Date64 => Some(DataType::Date32),
        DataType::Timestamp(..) => Some(DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))),
        DataType::Dictionary(_, values) => kept_as(values),
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
            // "item" is what Arrow itself calls it.
            let item = inner(item)?;
            let item = Field::new("item", item.data_type().clone(), item.is_nullable());
            Some(DataType::List(Arc::new(item)))
        }
        DataType::Struct(fields) => {
            let fields: Option<Vec<_>> = fields.iter().map(inner).collect();
            Some(DataType::Struct(fields?.into()))
        }
        _ => None,
    }
}
