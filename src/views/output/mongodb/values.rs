//! Arrow's columns as BSON: which type each gets, and each row's value.
//!
//! Whatever a column holds has a place, so that no single value stops a view. A value of a key gets a form of which no two are
//! the same that differ in the column: it makes up the `_id`.

use std::sync::Arc;

use anyhow::bail;
use arrow::array::{Array, ArrayRef, AsArray as _, OffsetSizeTrait};
use arrow::compute::cast;
use arrow::datatypes::{
    ArrowNativeType as _, DataType, Date32Type, Float64Type, Int32Type, Int64Type, TimeUnit, UInt64Type,
};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use chrono::{DateTime, SecondsFormat};
use mongodb::bson::raw::{CString, RawArrayBuf, RawBson, RawDocumentBuf, cstr};
use mongodb::bson::spec::BinarySubtype;
use mongodb::bson::{self, Binary};

const MILLIS_A_DAY: i64 = 24 * 60 * 60 * 1000;

/// Where a value stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// In a field of its own, in the type that reads best.
    Field,
    /// In the `_id`, different from every other.
    Key,
}

/// Each row's value of a column.
pub type Cells = Box<dyn Fn(usize) -> RawBson>;

/// # Errors
/// When the column is of a type that has no like.
pub fn cells_of(column: &ArrayRef, form: Form) -> anyhow::Result<Cells> {
    let column = plain(column)?;
    let nulls = column.logical_nulls();
    let value = values_of(&column, form)?;
    Ok(Box::new(move |row| {
        if nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
            RawBson::Null
        } else {
            value(row)
        }
    }))
}

/// Whether every value of a type has a like.
pub fn is_known(data_type: &DataType) -> bool {
    !holds(data_type, &|data_type| matches!(data_type, DataType::Union(..)))
}

/// Whether keys that differ for us may be the same for MongoDB: floats compare there as numbers do.
pub fn has_floats(data_type: &DataType) -> bool {
    holds(data_type, &DataType::is_floating)
}

fn holds(data_type: &DataType, is_one: &impl Fn(&DataType) -> bool) -> bool {
    is_one(data_type) || children(data_type).into_iter().any(|child| holds(child, is_one))
}

/// The types that a nested one, or one that saves room, is made of.
fn children(data_type: &DataType) -> Vec<&DataType> {
    match data_type {
        DataType::Dictionary(_, values) => vec![values],
        DataType::RunEndEncoded(_, field)
        | DataType::List(field)
        | DataType::LargeList(field)
        | DataType::ListView(field)
        | DataType::LargeListView(field)
        | DataType::FixedSizeList(field, _)
        | DataType::Map(field, _) => vec![field.data_type()],
        DataType::Struct(fields) => fields.iter().map(|field| field.data_type()).collect(),
        _ => Vec::new(),
    }
}

/// The names of the fields of structs within a type. A map's are not among them: its entries become `k` and `v`.
pub fn names_within(data_type: &DataType) -> Vec<&str> {
    match data_type {
        DataType::Struct(fields) => fields
            .iter()
            .flat_map(|field| std::iter::once(field.name().as_str()).chain(names_within(field.data_type())))
            .collect(),
        DataType::Map(entries, _) => children(entries.data_type())
            .into_iter()
            .flat_map(names_within)
            .collect(),
        other => children(other).into_iter().flat_map(names_within).collect(),
    }
}

/// A column without encodings that save room, in one of few types for each of BSON's.
fn plain(column: &ArrayRef) -> anyhow::Result<ArrayRef> {
    let wanted = match column.data_type() {
        DataType::Dictionary(_, values) => values.as_ref().clone(),
        DataType::RunEndEncoded(_, values) => values.data_type().clone(),
        other => other.clone(),
    };
    let column = cast(column, &wanted)?;
    let wanted = match wanted {
        DataType::Int8 | DataType::Int16 | DataType::UInt8 | DataType::UInt16 => DataType::Int32,
        DataType::UInt32 => DataType::Int64,
        DataType::Float16 | DataType::Float32 => DataType::Float64,
        DataType::Utf8 | DataType::LargeUtf8 => DataType::Utf8View,
        DataType::Binary | DataType::LargeBinary | DataType::FixedSizeBinary(_) => DataType::BinaryView,
        DataType::Date64 => DataType::Date32,
        DataType::ListView(field) => DataType::List(field),
        DataType::LargeListView(field) => DataType::LargeList(field),
        other => other,
    };
    Ok(cast(&column, &wanted)?)
}

/// The values of rows that are not null.
fn values_of(column: &ArrayRef, form: Form) -> anyhow::Result<Cells> {
    Ok(match column.data_type() {
        DataType::Null => Box::new(|_| RawBson::Null),
        DataType::Boolean => {
            let values = column.as_boolean().clone();
            Box::new(move |row| RawBson::Boolean(values.value(row)))
        }
        DataType::Int32 => {
            let values = column.as_primitive::<Int32Type>().clone();
            Box::new(move |row| RawBson::Int32(values.value(row)))
        }
        DataType::Int64 => {
            let values = column.as_primitive::<Int64Type>().clone();
            Box::new(move |row| RawBson::Int64(values.value(row)))
        }
        DataType::UInt64 => {
            let values = column.as_primitive::<UInt64Type>().clone();
            Box::new(move |row| {
                let value = values.value(row);
                i64::try_from(value).map_or_else(|_| decimal(value.to_string()), RawBson::Int64)
            })
        }
        DataType::Float64 => {
            let values = column.as_primitive::<Float64Type>().clone();
            Box::new(move |row| RawBson::Double(float(values.value(row), form)))
        }
        DataType::Utf8View => {
            let values = column.as_string_view().clone();
            Box::new(move |row| RawBson::String(values.value(row).to_owned()))
        }
        DataType::BinaryView => {
            let values = column.as_binary_view().clone();
            Box::new(move |row| {
                RawBson::Binary(Binary {
                    subtype: BinarySubtype::Generic,
                    bytes: values.value(row).to_vec(),
                })
            })
        }
        DataType::Date32 => {
            let days = column.as_primitive::<Date32Type>().clone();
            Box::new(move |row| date(i64::from(days.value(row)) * MILLIS_A_DAY))
        }
        DataType::Timestamp(unit, _) => {
            let (unit, numbers) = (*unit, numbers(column)?);
            Box::new(move |row| moment(numbers(row), unit, form))
        }
        DataType::Duration(unit) => {
            let (unit, numbers) = (*unit, numbers(column)?);
            Box::new(move |row| duration(numbers(row), unit, form))
        }
        DataType::List(_) => list::<i32>(column, form)?,
        DataType::LargeList(_) => list::<i64>(column, form)?,
        DataType::FixedSizeList(field, _) => {
            let wanted = DataType::LargeList(Arc::clone(field));
            list::<i64>(&cast(column, &wanted)?, form)?
        }
        DataType::Struct(_) => structure(column, form)?,
        DataType::Map(..) => map(column, form)?,
        DataType::Union(..) => bail!("its type has no like in MongoDB"),
        _ => texts(column)?,
    })
}

/// Decimals, times of day, and whatever else is read best as text.
fn texts(column: &ArrayRef) -> anyhow::Result<Cells> {
    let is_decimal = column.data_type().is_decimal();
    let column = Arc::clone(column);
    // Whether the type can be shown is known before the first row.
    ArrayFormatter::try_new(column.as_ref(), &FormatOptions::default())?;
    Ok(Box::new(move |row| {
        let formatter = ArrayFormatter::try_new(column.as_ref(), &FormatOptions::default());
        let text = formatter.expect("it was made before").value(row).to_string();
        if is_decimal {
            decimal(text)
        } else {
            RawBson::String(text)
        }
    }))
}

/// A number as decimal128 where its 34 digits hold it, otherwise as the text that it is: never rounded.
fn decimal(digits: String) -> RawBson {
    match digits.parse() {
        Ok(decimal) => RawBson::Decimal128(decimal),
        Err(_) => RawBson::String(digits),
    }
}

/// MongoDB takes 0.0 and -0.0 for one key, and every NaN for another.
fn float(value: f64, form: Form) -> f64 {
    match form {
        Form::Key if value == 0.0 => 0.0,
        Form::Key if value.is_nan() => f64::NAN,
        Form::Key | Form::Field => value,
    }
}

/// The numbers of a column that counts something.
fn numbers(column: &ArrayRef) -> anyhow::Result<impl Fn(usize) -> i64 + use<>> {
    let numbers = cast(column, &DataType::Int64)?;
    let numbers = numbers.as_primitive::<Int64Type>().clone();
    Ok(move |row| numbers.value(row))
}

/// How many of a unit are a second.
fn a_second(unit: TimeUnit) -> i64 {
    match unit {
        TimeUnit::Second => 1,
        TimeUnit::Millisecond => 1000,
        TimeUnit::Microsecond => 1_000_000,
        TimeUnit::Nanosecond => 1_000_000_000,
    }
}

/// So many of one unit in another, rounded down; and whether they are exactly so many.
fn converted(count: i64, from: TimeUnit, to: TimeUnit) -> (i64, bool) {
    let wide = i128::from(count) * i128::from(a_second(to));
    let divisor = i128::from(a_second(from));
    let floor = wide.div_euclid(divisor);
    let is_exact = wide.rem_euclid(divisor) == 0;
    match i64::try_from(floor) {
        Ok(floor) => (floor, is_exact),
        Err(_) => (if floor < 0 { i64::MIN } else { i64::MAX }, false),
    }
}

fn date(millis: i64) -> RawBson {
    RawBson::DateTime(bson::DateTime::from_millis(millis))
}

/// A date, which counts milliseconds. As a key, one that is no whole number of them is its text.
pub fn moment(count: i64, unit: TimeUnit, form: Form) -> RawBson {
    match (converted(count, unit, TimeUnit::Millisecond), form) {
        ((millis, _), Form::Field) | ((millis, true), Form::Key) => date(millis),
        ((_, false), Form::Key) => RawBson::String(text_of_moment(count, unit)),
    }
}

fn text_of_moment(count: i64, unit: TimeUnit) -> String {
    let seconds = count.div_euclid(a_second(unit));
    let nanos = count.rem_euclid(a_second(unit)) * (a_second(TimeUnit::Nanosecond) / a_second(unit));
    let nanos = u32::try_from(nanos).expect("less than a second");
    match DateTime::from_timestamp(seconds, nanos) {
        Some(moment) => moment.to_rfc3339_opts(SecondsFormat::Nanos, true),
        None => format!("{seconds}.{nanos:09} s"),
    }
}

/// A number of microseconds. As a key, what is no whole number of them is its text.
fn duration(count: i64, unit: TimeUnit, form: Form) -> RawBson {
    match (converted(count, unit, TimeUnit::Microsecond), form) {
        ((micros, _), Form::Field) | ((micros, true), Form::Key) => RawBson::Int64(micros),
        ((_, false), Form::Key) => RawBson::String(format!("{count}/{} s", a_second(unit))),
    }
}

fn list<O: OffsetSizeTrait>(column: &ArrayRef, form: Form) -> anyhow::Result<Cells> {
    let lists = column.as_list::<O>().clone();
    let items = cells_of(lists.values(), form)?;
    Ok(Box::new(move |row| {
        let offsets = lists.value_offsets();
        let items = (offsets[row].as_usize()..offsets[row + 1].as_usize()).map(&items);
        RawBson::Array(items.collect::<RawArrayBuf>())
    }))
}

fn structure(column: &ArrayRef, form: Form) -> anyhow::Result<Cells> {
    let structure = column.as_struct();
    let mut fields = Vec::new();
    for (name, values) in structure.column_names().into_iter().zip(structure.columns()) {
        fields.push((CString::try_from(name)?, cells_of(values, form)?));
    }
    Ok(Box::new(move |row| {
        let fields = fields.iter().map(|(name, value)| (name, value(row)));
        RawBson::Document(fields.collect::<RawDocumentBuf>())
    }))
}

/// A map's keys may be anything, and names of fields may not: its entries are a list, of the form that `$arrayToObject` takes.
fn map(column: &ArrayRef, form: Form) -> anyhow::Result<Cells> {
    let maps = column.as_map().clone();
    let (keys, values) = (cells_of(maps.keys(), form)?, cells_of(maps.values(), form)?);
    Ok(Box::new(move |row| {
        let offsets = maps.value_offsets();
        let entries = offsets[row].as_usize()..offsets[row + 1].as_usize();
        let entries = entries.map(|at| {
            let mut entry = RawDocumentBuf::new();
            entry.append(cstr!("k"), keys(at));
            entry.append(cstr!("v"), values(at));
            entry
        });
        RawBson::Array(entries.collect::<RawArrayBuf>())
    }))
}

#[cfg(test)]
mod tests {
    use arrow::array::{
        BinaryArray, Decimal128Array, Decimal256Array, DictionaryArray, FixedSizeListArray, Float64Array,
        Int8Array, IntervalYearMonthArray, ListArray, MapBuilder, NullArray, StringArray, StringBuilder,
        StructArray, TimestampMicrosecondArray, TimestampNanosecondArray, TimestampSecondArray, UInt32Array,
        UInt64Array,
    };
    use arrow::datatypes::{Field, Fields, i256};
    use proptest::prelude::*;

    use super::*;

    fn values(column: ArrayRef, form: Form) -> Vec<RawBson> {
        let cells = cells_of(&column, form).expect("a known type");
        (0..column.len()).map(cells).collect()
    }

    fn field(column: impl Array + 'static) -> Vec<RawBson> {
        values(Arc::new(column), Form::Field)
    }

    fn text(text: &str) -> RawBson {
        RawBson::String(text.to_owned())
    }

    #[test]
    fn each_type_has_its_like() {
        assert_eq!(field(NullArray::new(1)), [RawBson::Null]);
        assert_eq!(
            field(Int8Array::from(vec![Some(-1), None])),
            [RawBson::Int32(-1), RawBson::Null]
        );
        assert_eq!(
            field(UInt32Array::from(vec![u32::MAX])),
            [RawBson::Int64(u32::MAX.into())]
        );
        let dictionary: DictionaryArray<Int32Type> = vec![Some("d"), None].into_iter().collect();
        assert_eq!(field(dictionary), [text("d"), RawBson::Null]);
        let bytes = field(BinaryArray::from(vec![&b"\x00\xff"[..]]));
        let subtype = BinarySubtype::Generic;
        assert_eq!(
            bytes,
            [RawBson::Binary(Binary {
                subtype,
                bytes: vec![0, 255]
            })]
        );
        assert_eq!(
            field(IntervalYearMonthArray::from(vec![14])),
            [text("1 years 2 mons")]
        );
        let decimals = Decimal256Array::from(vec![i256::from_i128(i128::MAX), i256::from_i128(-150)]);
        let decimals = decimals.with_precision_and_scale(50, 2).expect("decimals");
        let expected = ["1701411834604692317316873037158841057.27", "-1.50"];
        assert_eq!(
            field(decimals),
            [
                text(expected[0]),
                RawBson::Decimal128(expected[1].parse().expect("34 digits"))
            ]
        );
    }

    #[test]
    fn lists_structs_and_maps_hold_what_they_held() {
        let lists = ListArray::from_iter_primitive::<Int64Type, _, _>(vec![
            Some(vec![Some(1), None]),
            None,
            Some(vec![]),
        ]);
        let list: RawArrayBuf = [RawBson::Int64(1), RawBson::Null].into_iter().collect();
        assert_eq!(field(lists.slice(0, 1)), [RawBson::Array(list)]);
        assert_eq!(
            field(lists.slice(1, 2)),
            [RawBson::Null, RawBson::Array(RawArrayBuf::new())]
        );
        let fixed =
            FixedSizeListArray::from_iter_primitive::<Int64Type, _, _>(vec![Some(vec![Some(1), Some(2)])], 2);
        let list: RawArrayBuf = [RawBson::Int64(1), RawBson::Int64(2)].into_iter().collect();
        assert_eq!(field(fixed), [RawBson::Array(list)]);
        let inner = StringArray::from(vec![Some("a\0b"), None]);
        let fields = Fields::from(vec![Field::new("s", DataType::Utf8, true)]);
        let mut document = RawDocumentBuf::new();
        document.append(cstr!("s"), "a\0b");
        let structure = StructArray::new(fields, vec![Arc::new(inner)], None);
        assert_eq!(field(structure.slice(0, 1)), [RawBson::Document(document)]);
        let mut maps = MapBuilder::new(None, StringBuilder::new(), StringBuilder::new());
        maps.keys().append_value("$a.b\0");
        maps.values().append_value("v");
        maps.append(true).expect("a map");
        let mut entry = RawDocumentBuf::new();
        entry.append(cstr!("k"), "$a.b\0");
        entry.append(cstr!("v"), "v");
        let entries: RawArrayBuf = [entry].into_iter().collect();
        assert_eq!(field(maps.finish()), [RawBson::Array(entries)]);
    }

    #[test]
    fn keys_that_mongodb_takes_for_one_are_one() {
        let floats = || Arc::new(Float64Array::from(vec![-0.0, 0.0, f64::NAN, -f64::NAN]));
        let bits = |values: Vec<RawBson>| -> Vec<u64> {
            values
                .iter()
                .map(|value| match value {
                    RawBson::Double(value) => value.to_bits(),
                    other => panic!("not {other:?}"),
                })
                .collect()
        };
        let keys = bits(values(floats(), Form::Key));
        assert_eq!((keys[0], keys[2]), (keys[1], keys[3]));
        let fields = bits(values(floats(), Form::Field));
        assert_ne!(fields[0], fields[1]);
    }

    #[test]
    fn times_beyond_what_a_date_holds_are_its_ends() {
        let seconds = field(TimestampSecondArray::from(vec![i64::MAX, i64::MIN]));
        assert_eq!(seconds, [date(i64::MAX), date(i64::MIN)]);
        let key = values(
            Arc::new(TimestampNanosecondArray::from(vec![1, 2_000_000])),
            Form::Key,
        );
        assert_eq!(key, [text("1970-01-01T00:00:00.000000001Z"), date(2)]);
        assert_eq!(
            duration(1, TimeUnit::Nanosecond, Form::Key),
            text("1/1000000000 s")
        );
        assert_eq!(
            duration(-1, TimeUnit::Millisecond, Form::Key),
            RawBson::Int64(-1000)
        );
    }

    fn millis_of(value: &RawBson) -> i64 {
        match value {
            RawBson::DateTime(date) => date.timestamp_millis(),
            other => panic!("not {other:?}"),
        }
    }

    proptest! {
        #[test]
        fn a_date_is_the_millisecond_that_a_time_is_in(micros: i64) {
            let millis = millis_of(&field(TimestampMicrosecondArray::from(vec![micros]))[0]);
            prop_assert!((0..1000).contains(&(i128::from(micros) - i128::from(millis) * 1000)));
        }

        #[test]
        fn keys_of_times_that_differ_differ(first: i64, apart in 1..3000_i64) {
            let second = first.saturating_add(apart);
            prop_assume!(second != first);
            let times = TimestampMicrosecondArray::from(vec![first, second]);
            let keys = values(Arc::new(times.clone()), Form::Key);
            prop_assert_ne!(&keys[0], &keys[1]);
            let nanos = values(Arc::new(TimestampNanosecondArray::from(vec![first, second])), Form::Key);
            prop_assert_ne!(&nanos[0], &nanos[1]);
        }

        #[test]
        fn no_digit_of_a_number_is_lost(number: u64, digits in -10_i128.pow(38) + 1..10_i128.pow(38), scale in 0..38_i8) {
            let shown = match &field(UInt64Array::from(vec![number]))[0] {
                RawBson::Int64(shown) => shown.to_string(),
                RawBson::Decimal128(shown) => shown.to_string(),
                other => panic!("not {other:?}"),
            };
            prop_assert_eq!(shown, number.to_string());
            let decimals = Decimal128Array::from(vec![digits]).with_precision_and_scale(38, scale).expect("a decimal");
            let column: ArrayRef = Arc::new(decimals);
            let plain = ArrayFormatter::try_new(column.as_ref(), &FormatOptions::default()).expect("a decimal").value(0).to_string();
            match &values(column, Form::Field)[0] {
                // 34 digits at most, so 4 of the 38 are zeros that need not be there.
                RawBson::Decimal128(shown) => prop_assert_eq!(whole_number(&shown.to_string()), whole_number(&plain)),
                RawBson::String(shown) => {
                    prop_assert_eq!(shown, &plain);
                    prop_assert!(digits.to_string().trim_start_matches('-').trim_end_matches('0').len() > 34);
                }
                other => panic!("not {other:?}"),
            }
        }

        #[test]
        fn a_text_is_the_text(texts in prop::collection::vec(prop::option::of(any::<String>()), 0..5)) {
            let shown = field(StringArray::from(texts.clone()));
            let expected = texts.iter().map(|one| one.as_deref().map_or(RawBson::Null, text));
            prop_assert_eq!(shown, expected.collect::<Vec<_>>());
        }
    }

    /// The digits of a decimal number, with or without an exponent, and where its point is.
    fn whole_number(text: &str) -> (String, i64) {
        let (number, exponent) = text.split_once('E').unwrap_or((text, "0"));
        let (whole, part) = number.split_once('.').unwrap_or((number, ""));
        let digits = format!("{whole}{part}");
        let (sign, digits) = digits
            .strip_prefix('-')
            .map_or(("", digits.as_str()), |digits| ("-", digits));
        let digits = digits.trim_start_matches('0');
        let zeros = digits.len() - digits.trim_end_matches('0').len();
        let exponent: i64 = exponent.parse().expect("a number");
        let places = i64::try_from(zeros).expect("few") - i64::try_from(part.len()).expect("few");
        match digits.trim_end_matches('0') {
            "" => (String::new(), 0),
            digits => (format!("{sign}{digits}"), exponent + places),
        }
    }
}
