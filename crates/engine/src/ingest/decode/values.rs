//! One pass over a record: each value is read, checked and appended to its column as it comes.

use eventlake_core::schema::{
    EVENT_TIME_MICROS_MAX, EVENT_TIME_MICROS_MIN, IntegerText, NullRule, StringRule, integer_of_text,
    parse_date, parse_date_time,
};
use eventlake_core::violation::Code;

use super::checks::{are_unique, check_boolean, check_integer, check_number, check_text, quoted};
use super::columns::{Column, Values};
use super::cursor::{Cursor, NumberToken, StringToken, unescape};
use super::faults::{Fault, fault, in_field, in_item, shortened};
use super::plan::{ArrayPlan, EventTimePlan, KindPlan, ObjectPlan, ValuePlan};
use super::undeclared::UndeclaredFields;

/// The column and the plan of one value come from the same schema.
const SAME_SCHEMA: &str = "the rows were made from the decoder's own rules";

/// The pass over one record.
pub(super) struct Pass<'a> {
    pub cursor: Cursor<'a>,
    pub limits: Limits,
    /// For unescaped texts that do not go into a column as they are.
    pub scratch: &'a mut Vec<u8>,
    pub undeclared: &'a mut UndeclaredFields,
    /// Undeclared fields of the root as the inside of a JSON object, where the topic keeps them.
    pub extra: Option<&'a mut Vec<u8>>,
    /// Cells that arrays have added to columns.
    pub cells: usize,
    /// The event time so far: Kafka's, until its field is read.
    pub event_time_micros: i64,
}

/// What the rules and Kafka's timestamp allow this record.
#[derive(Clone, Copy)]
pub(super) struct Limits {
    pub event_time: EventTimePlan,
    /// The latest event time; `i64::MAX` where Kafka gave no timestamp.
    pub event_time_micros_max: i64,
    pub time_zone_offset_secs: i32,
    pub cells_max: usize,
}

impl Pass<'_> {
    /// The whole record: one object, and nothing behind it.
    pub(super) fn root(
        &mut self,
        plan: &ObjectPlan,
        columns: &mut [Column],
        row: usize,
    ) -> Result<(), Fault> {
        self.cursor.skip_space();
        if self.cursor.peek() != b'{' {
            return Err(self.root_is_no_object());
        }
        self.object(plan, columns, row)?;
        self.end()
    }

    #[inline]
    fn end(&mut self) -> Result<(), Fault> {
        self.cursor.skip_space();
        if self.cursor.at < self.cursor.bytes.len() {
            return Err(self.cursor.malformed("the end of the record"));
        }
        Ok(())
    }

    #[cold]
    fn root_is_no_object(&mut self) -> Fault {
        let from = self.cursor.at;
        if self.cursor.bytes.len() == from {
            return self.cursor.malformed("a JSON object");
        }
        let skipped = self.cursor.skip_value();
        let found = shortened(&self.cursor.bytes[from..self.cursor.at]);
        match skipped.and_then(|()| self.end()) {
            Err(fault) => fault,
            Ok(()) => fault(Code::Type, "an object", found),
        }
    }

    /// The object whose bracket stands here; appends one value to each of its columns.
    fn object(&mut self, plan: &ObjectPlan, columns: &mut [Column], row: usize) -> Result<(), Fault> {
        self.cursor.enter()?;
        let (mut members, mut seen, mut likely) = (0_u64, 0, 0);
        self.cursor.skip_space();
        if self.cursor.peek() != b'}' {
            loop {
                members += 1;
                let predicted = plan
                    .fields
                    .get(likely)
                    .filter(|field| field.key.is_next(self.cursor.rest()));
                let index = match predicted {
                    Some(field) => {
                        self.cursor.at += field.key.len();
                        Some(likely)
                    }
                    None => self.key(plan, likely)?,
                };
                if let Some(index) = index {
                    let read = self.field(plan, index, &mut columns[index], row);
                    read.map_err(|fault| in_field(fault, &plan.fields[index].name))?;
                    seen += 1;
                    likely = index + 1;
                }
                self.cursor.skip_space();
                match self.cursor.peek() {
                    b',' => {
                        self.cursor.at += 1;
                        self.cursor.skip_space();
                    }
                    b'}' => break,
                    _ => return Err(self.cursor.malformed("',' or '}'")),
                }
            }
        }
        self.cursor.leave();
        if seen < plan.fields.len() {
            fill_absent(plan, columns, row)?;
        }
        if plan.properties_min.is_some() || plan.properties_max.is_some() {
            check_count(
                members,
                plan.properties_min,
                plan.properties_max,
                Counted::PROPERTIES,
            )?;
        }
        Ok(())
    }

    /// The value of a declared field.
    #[inline]
    fn field(
        &mut self,
        plan: &ObjectPlan,
        index: usize,
        column: &mut Column,
        row: usize,
    ) -> Result<(), Fault> {
        if column.rows() > row {
            return Err(fault(
                Code::DuplicateField,
                "each declared field once",
                "the same name again",
            ));
        }
        let mut read = self.value(&plan.fields[index].value, column);
        if index == plan.event_time_index && read.is_ok() {
            read = self.event_time(column);
        }
        read.map_err(|fault| self.judged(fault, b'}'))
    }

    /// A value is judged when it has been read whole, and where it ends the comma and the bracket tell: the
    /// 0 of `0x10` is not a number, nor the 1 that a record was cut off at.
    #[cold]
    #[inline(never)]
    fn judged(&mut self, fault: Fault, closing: u8) -> Fault {
        let is_of_whole_value = !matches!(
            fault.code,
            Code::MalformedJson
                | Code::InvalidUnicode
                | Code::TooDeep
                | Code::TooLarge
                | Code::DuplicateField
                | Code::AdditionalProperties
        );
        if !is_of_whole_value || !fault.field.is_empty() {
            return fault;
        }
        self.cursor.skip_space();
        match self.cursor.peek() {
            b',' => fault,
            byte if byte == closing => fault,
            _ => self.cursor.malformed("the end of the value"),
        }
    }

    /// A name that was not predicted, and its colon. The value of an undeclared field is passed over.
    fn key(&mut self, plan: &ObjectPlan, likely: usize) -> Result<Option<usize>, Fault> {
        if self.cursor.peek() != b'"' {
            return Err(self.cursor.malformed("a name in quotes"));
        }
        let token = self.cursor.string()?;
        self.cursor.colon()?;
        let name = match token.escaped {
            false => token.raw,
            true => {
                self.scratch.clear();
                unescape(token.raw, self.scratch);
                self.scratch.as_slice()
            }
        };
        if let Some(index) = plan.find(name, likely) {
            return Ok(Some(index));
        }
        if !plan.allows_undeclared {
            let name = shortened(name);
            return Err(in_field(
                fault(
                    Code::AdditionalProperties,
                    "declared fields only",
                    quoted(name.as_bytes()),
                ),
                &name,
            ));
        }
        if self.cursor.depth() > 1 {
            self.cursor.skip_value()?;
            return Ok(None);
        }
        self.undeclared.count(name);
        self.cursor.skip_space();
        let from = self.cursor.at;
        if let Err(fault) = self.cursor.skip_value() {
            // Only escaped names are in the scratch, which skipping does not touch.
            return Err(in_field(fault, &String::from_utf8_lossy(name)));
        }
        if let Some(extra) = self.extra.as_deref_mut() {
            extra.extend_from_slice(if extra.is_empty() { b"{\"" } else { b",\"" });
            extra.extend_from_slice(token.raw);
            extra.extend_from_slice(b"\":");
            extra.extend_from_slice(&self.cursor.bytes[from..self.cursor.at]);
        }
        Ok(None)
    }

    /// One value of a declared field or item.
    #[inline]
    fn value(&mut self, plan: &ValuePlan, column: &mut Column) -> Result<(), Fault> {
        self.cursor.skip_space();
        let first = self.cursor.peek();
        match (&plan.kind, first) {
            (KindPlan::Integer(rule), b'-' | b'0'..=b'9') => {
                let token = self.cursor.number()?;
                let value = integer(&token, plan)?;
                check_integer(rule, value, token.raw)?;
                let Values::Integer(values) = &mut column.values else {
                    unreachable!("{SAME_SCHEMA}")
                };
                values.push(value);
            }
            (KindPlan::Number(rule), b'-' | b'0'..=b'9') => {
                let token = self.cursor.number()?;
                let value = number(&token)?;
                check_number(rule, value, &token)?;
                let Values::Number(values) = &mut column.values else {
                    unreachable!("{SAME_SCHEMA}")
                };
                values.push(value);
            }
            (KindPlan::FreeText, b'"') => {
                let token = self.cursor.string()?;
                push_text(column, token, None)?;
            }
            (KindPlan::Text(rule), b'"') => {
                let token = self.cursor.string()?;
                push_text(column, token, Some(rule))?;
            }
            (KindPlan::DateTime(rule), b'"') => {
                let token = self.cursor.string()?;
                let offset_secs = self.limits.time_zone_offset_secs;
                let text = self.text(token, rule.as_ref())?;
                let micros = parse_date_time(text, offset_secs);
                let micros = micros
                    .ok_or_else(|| not_the_format("a date-time such as 2026-11-21T01:02:03Z", token))?;
                let Values::Timestamp(values) = &mut column.values else {
                    unreachable!("{SAME_SCHEMA}")
                };
                values.push(micros);
            }
            (KindPlan::Date(rule), b'"') => {
                let token = self.cursor.string()?;
                let text = self.text(token, rule.as_ref())?;
                let days =
                    parse_date(text).ok_or_else(|| not_the_format("a date such as 2026-11-21", token))?;
                let Values::Date(values) = &mut column.values else {
                    unreachable!("{SAME_SCHEMA}")
                };
                values.push(days);
            }
            (KindPlan::Boolean(rule), b't' | b'f') => {
                let value = first == b't';
                self.cursor.literal(if value { "true" } else { "false" })?;
                check_boolean(rule, value)?;
                let Values::Boolean(values) = &mut column.values else {
                    unreachable!("{SAME_SCHEMA}")
                };
                values.append(value);
            }
            (KindPlan::Object(object), b'{') => {
                let Values::Struct { rows, children } = &mut column.values else {
                    unreachable!("{SAME_SCHEMA}")
                };
                self.object(object, children, *rows)?;
                *rows += 1;
            }
            (KindPlan::Array(array), b'[') => self.array(array, column)?,
            (_, b'n') => return self.null(plan, column),
            _ => return Err(self.other_type(plan)),
        }
        column.mark_present();
        Ok(())
    }

    /// The text of a date or a time, checked against what else its rule asks.
    #[inline]
    fn text<'s>(&'s mut self, token: StringToken<'s>, rule: Option<&StringRule>) -> Result<&'s [u8], Fault> {
        let text = match token.escaped {
            false => token.raw,
            true => {
                self.scratch.clear();
                unescape(token.raw, self.scratch);
                self.scratch.as_slice()
            }
        };
        if let Some(rule) = rule {
            check_text(rule, text)?;
        }
        Ok(text)
    }

    fn array(&mut self, plan: &ArrayPlan, column: &mut Column) -> Result<(), Fault> {
        let Values::List { offsets, items } = &mut column.values else {
            unreachable!("{SAME_SCHEMA}")
        };
        let from = items.rows();
        self.cursor.enter()?;
        self.cursor.skip_space();
        if self.cursor.peek() != b']' {
            loop {
                self.cells += plan.cells_per_item;
                if self.cells > self.limits.cells_max {
                    return Err(too_many_cells(self.limits.cells_max));
                }
                let index = items.rows() - from;
                let read = self.value(&plan.items, items);
                read.map_err(|fault| in_item(self.judged(fault, b']'), index))?;
                self.cursor.skip_space();
                match self.cursor.peek() {
                    b',' => self.cursor.at += 1,
                    b']' => break,
                    _ => return Err(self.cursor.malformed("',' or ']'")),
                }
            }
        }
        self.cursor.leave();
        let count = (items.rows() - from) as u64;
        check_count(count, plan.items_min, plan.items_max, Counted::ITEMS)?;
        if plan.unique && !are_unique(items, from) {
            return Err(fault(
                Code::UniqueItems,
                "each item once",
                "an item that stands there twice",
            ));
        }
        offsets.push(i32::try_from(items.rows()).expect("rows are sealed before a column holds 2^31 items"));
        Ok(())
    }

    fn null(&mut self, plan: &ValuePlan, column: &mut Column) -> Result<(), Fault> {
        self.cursor.literal("null")?;
        match plan.null {
            NullRule::Accepted => {
                column.push_null();
                Ok(())
            }
            NullRule::RefusedByType => Err(wrong_type(plan, b"null")),
            NullRule::RefusedByChoice(code) => Err(fault(code, plan.expected_by(code), "null")),
        }
    }

    /// A value of another type than its field's. It must be JSON all the same: that is said first.
    #[cold]
    #[inline(never)]
    fn other_type(&mut self, plan: &ValuePlan) -> Fault {
        let from = self.cursor.at;
        if let Err(fault) = self.cursor.skip_value() {
            return fault;
        }
        wrong_type(plan, &self.cursor.bytes[from..self.cursor.at])
    }

    /// Takes the event time from its column's last row, and checks it against Kafka's timestamp.
    fn event_time(&mut self, column: &Column) -> Result<(), Fault> {
        let micros = match (self.limits.event_time, &column.values) {
            (EventTimePlan::Timestamp, Values::Timestamp(values)) => values.last().copied(),
            (EventTimePlan::Integer { micros_each }, Values::Integer(values)) => {
                values.last().and_then(|value| value.checked_mul(micros_each))
            }
            _ => unreachable!("{SAME_SCHEMA}"),
        };
        let Some(micros) =
            micros.filter(|micros| (EVENT_TIME_MICROS_MIN..=EVENT_TIME_MICROS_MAX).contains(micros))
        else {
            return Err(fault(
                Code::OutOfRange,
                "an event time within the years 0000 to 9999",
                last_value(column),
            ));
        };
        if micros > self.limits.event_time_micros_max {
            let latest = time_text(self.limits.event_time_micros_max);
            let expected = format!("at latest {latest}, max_future after Kafka's timestamp");
            return Err(fault(Code::EventTimeInFuture, expected, time_text(micros)));
        }
        self.event_time_micros = micros;
        Ok(())
    }
}

/// Nulls for the fields that a complete object did not have.
fn fill_absent(plan: &ObjectPlan, columns: &mut [Column], row: usize) -> Result<(), Fault> {
    for (field, column) in plan.fields.iter().zip(columns) {
        if column.rows() > row {
            continue;
        }
        if field.required {
            return Err(in_field(
                fault(Code::Required, "the field to be there", "no such field"),
                &field.name,
            ));
        }
        column.push_null();
    }
    Ok(())
}

#[inline]
fn integer(token: &NumberToken<'_>, plan: &ValuePlan) -> Result<i64, Fault> {
    match token.integer {
        Some(value) => Ok(value),
        None => match integer_of_text(token.raw) {
            IntegerText::Integer(value) => Ok(value),
            IntegerText::Beyond => Err(fault(Code::OutOfRange, "a 64-bit integer", shortened(token.raw))),
            IntegerText::Fraction => Err(wrong_type(plan, token.raw)),
        },
    }
}

#[cold]
fn wrong_type(plan: &ValuePlan, found: &[u8]) -> Fault {
    fault(plan.type_code, plan.expected_by(plan.type_code), shortened(found))
}

#[inline]
fn number(token: &NumberToken<'_>) -> Result<f64, Fault> {
    /// Integers up to here are doubles.
    const EXACT_MAX: i64 = 1 << 53;
    match token.integer {
        // Minus zero is left to the parser, which keeps its sign.
        Some(value) if value != 0 && (-EXACT_MAX..=EXACT_MAX).contains(&value) => Ok(value as f64),
        _ => {
            if let Some(value) = token.decimal {
                return Ok(value);
            }
            let text = std::str::from_utf8(token.raw).expect("a number is ASCII");
            let value: f64 = text.parse().expect("JSON's numbers are Rust's");
            if value.is_finite() {
                Ok(value)
            } else {
                Err(fault(
                    Code::OutOfRange,
                    "a number that a double can hold",
                    shortened(token.raw),
                ))
            }
        }
    }
}

/// Appends a string to its column, checked where a rule asks for more than a string.
#[inline]
fn push_text(column: &mut Column, token: StringToken<'_>, rule: Option<&StringRule>) -> Result<(), Fault> {
    let Values::Text(texts) = &mut column.values else {
        unreachable!("{SAME_SCHEMA}")
    };
    if token.escaped {
        unescape(token.raw, &mut texts.bytes);
        if let Some(rule) = rule {
            check_text(rule, &texts.bytes[texts.open_from()..])?;
        }
        texts.close();
    } else {
        if let Some(rule) = rule {
            check_text(rule, token.raw)?;
        }
        texts.push(token.raw);
    }
    Ok(())
}

/// Whether items or properties are counted: their words and codes.
struct Counted {
    words: &'static str,
    least: Code,
    most: Code,
}

impl Counted {
    const ITEMS: Counted = Counted {
        words: "items",
        least: Code::MinItems,
        most: Code::MaxItems,
    };
    const PROPERTIES: Counted = Counted {
        words: "properties",
        least: Code::MinProperties,
        most: Code::MaxProperties,
    };
}

#[inline]
fn check_count(count: u64, least: Option<u64>, most: Option<u64>, counted: Counted) -> Result<(), Fault> {
    let Counted { words, .. } = counted;
    match (least, most) {
        (Some(least), _) if count < least => Err(fault(
            counted.least,
            format!("at least {least} {words}"),
            format!("{count} {words}"),
        )),
        (_, Some(most)) if count > most => Err(fault(
            counted.most,
            format!("at most {most} {words}"),
            format!("{count} {words}"),
        )),
        _ => Ok(()),
    }
}

#[cold]
fn not_the_format(expected: &str, token: StringToken<'_>) -> Fault {
    fault(Code::Format, expected, quoted(token.raw))
}

#[cold]
fn too_many_cells(cells_max: usize) -> Fault {
    fault(
        Code::TooLarge,
        format!("arrays that take at most {cells_max} cells in columns"),
        "more of them",
    )
}

#[cold]
fn last_value(column: &Column) -> String {
    match &column.values {
        Values::Integer(values) => values.last().map(i64::to_string).unwrap_or_default(),
        Values::Timestamp(values) => values.last().map(|micros| time_text(*micros)).unwrap_or_default(),
        _ => unreachable!("{SAME_SCHEMA}"),
    }
}

#[cold]
fn time_text(micros: i64) -> String {
    match chrono::DateTime::from_timestamp_micros(micros) {
        Some(time) => time.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true),
        None => format!("{micros} us since 1970"),
    }
}
