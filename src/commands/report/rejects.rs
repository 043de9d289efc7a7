//! Why records were refused: how many for each reason, and one of them.

use arrow::array::Array as _;

use super::ask::{Asker, Rows};
use super::figures::{Example, Moment, Reason, Rejected};
use super::source::Source;
use crate::cli::visible;
use crate::sql::Halt;

/// Reasons that are listed at most: the sender of a record has a say in the field's name.
const REASONS_MAX: usize = 20;
/// Characters of a text that came with the record.
const TEXT_MAX: usize = 200;
/// Characters of an example's payload.
const PAYLOAD_MAX: usize = 500;

/// A reason, and where its newest record is.
struct Found {
    reason: Reason,
    partition: i64,
    offset: i64,
}

pub fn read(asker: &Asker<'_>, source: &Source<'_>) -> Result<Rejected, Halt> {
    let columns = [
        "code",
        "field",
        "_kafka_partition",
        "_kafka_offset",
        "_kafka_timestamp",
    ];
    let rows = source.rejected(columns.map(|column| (column.to_owned(), column)));
    // What is taken is what is ordered by, so both come from one record.
    let newest = "_kafka_timestamp DESC NULLS LAST, _kafka_partition DESC, _kafka_offset DESC";
    let sql = format!(
        "SELECT code, field, count(*) AS n, first_value(_kafka_partition ORDER BY {newest}) AS p, \
         first_value(_kafka_offset ORDER BY {newest}) AS o FROM {rows} GROUP BY code, field"
    );
    let (mut rejected, mut found) = (Rejected::default(), Vec::<Found>::new());
    asker.each("rejected records", &sql, |part| {
        let (codes, fields) = (part.texts(0)?, part.texts(1)?);
        let (counts, partitions, offsets) = (part.integers(2)?, part.integers(3)?, part.integers(4)?);
        for row in 0..part.len() {
            let rows = u64::try_from(counts.value(row)).unwrap_or(0);
            rejected.rows += rows;
            rejected.other_reasons += 1;
            rejected.other_rows += rows;
            let (code, field) = (codes.value(row), fields.value(row));
            let comes_before = |found: &Found| {
                let reason = &found.reason;
                (
                    std::cmp::Reverse(reason.rows),
                    reason.code.as_str(),
                    reason.field.as_str(),
                ) <= (std::cmp::Reverse(rows), code, field)
            };
            let at = found.partition_point(comes_before);
            if at < REASONS_MAX {
                found.truncate(REASONS_MAX - 1);
                let reason = Reason {
                    code: code.to_owned(),
                    field: visible::cut(field, TEXT_MAX),
                    rows,
                    example: None,
                };
                found.insert(
                    at,
                    Found {
                        reason,
                        partition: partitions.value(row),
                        offset: offsets.value(row),
                    },
                );
            }
        }
        Ok(())
    })?;
    for mut found in found {
        rejected.other_reasons -= 1;
        rejected.other_rows -= found.reason.rows;
        found.reason.example = example(asker, source, found.partition, found.offset)?;
        rejected.reasons.push(found.reason);
    }
    Ok(rejected)
}

/// The record at a position; of several generations, which each begin their offsets anew, the newest one's.
fn example(
    asker: &Asker<'_>,
    source: &Source<'_>,
    partition: i64,
    offset: i64,
) -> Result<Option<Example>, Halt> {
    let columns = [
        "_kafka_partition",
        "_kafka_offset",
        "expected",
        "found",
        "payload",
    ];
    let mut columns = columns.map(|column| (column.to_owned(), column)).to_vec();
    columns.push(("CAST(_kafka_timestamp AS BIGINT)".to_owned(), "k"));
    let sql = format!(
        "SELECT expected, found, payload, k FROM {} WHERE _kafka_partition = {partition} AND _kafka_offset = {offset} \
         ORDER BY k DESC NULLS LAST LIMIT 1",
        source.rejected(columns)
    );
    let answer = asker.all("an example of a rejected record", &sql)?;
    Ok(match answer.len() {
        0 => None,
        _ => Some(of(&answer, partition, offset)?),
    })
}

fn of(answer: &Rows, partition: i64, offset: i64) -> Result<Example, Halt> {
    let text =
        |column: usize| Ok::<_, Halt>(visible::cut(&answer.text(column)?.unwrap_or_default(), TEXT_MAX));
    let payload = answer.bytes(2)?;
    let payload = if payload.is_null(0) { &[] } else { payload.value(0) };
    // What is no text is written as text. What a terminal would mistake stays: whoever shows it makes it visible.
    let mut shown = String::new();
    for chunk in payload[..payload.len().min(4 * PAYLOAD_MAX + 4)].utf8_chunks() {
        shown.push_str(chunk.valid());
        chunk
            .invalid()
            .iter()
            .for_each(|byte| shown.push_str(&format!("\\x{byte:02x}")));
    }
    Ok(Example {
        partition,
        offset,
        kafka_timestamp: answer.integer(3)?.map(Moment),
        expected: text(0)?,
        found: text(1)?,
        payload: visible::cut(&shown, PAYLOAD_MAX),
    })
}
