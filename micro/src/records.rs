//! Records as a topic hands them out: bytes end to end, with the rules that they are checked by.

use std::ops::Range;
use std::sync::atomic::AtomicBool;

use arrow::datatypes::{Schema, SchemaRef};
use eventlake_core::schema::{DecodeRules, compile};
use eventlake_engine::generate::{Kind, Options, write_lines};
use eventlake_engine::ingest::decode::arrow_schema;

#[allow(dead_code, reason = "the clicks here are the generator's")]
#[path = "../../examples/load/events.rs"]
mod load;

/// 2026-11-21T01:00:00Z, in microseconds since 1970.
const START_MICROS: i64 = 1_795_222_800_000_000;
const HOUR_MICROS: i64 = 3_600_000_000;

/// Records of one topic, one after the other in one buffer.
pub struct Records {
    pub rules: DecodeRules,
    pub bytes: Vec<u8>,
    pub places: Vec<Range<usize>>,
}

impl Records {
    /// Events of one of the shop's four topics, as `eventlake generate` makes them, of one hour.
    #[must_use]
    pub fn of_shop(kind: Kind, schema: &str, count: usize) -> Records {
        let mut options = Options::new(1);
        options.topics = vec![(kind, kind.topic().to_owned())];
        options.count = Some(count as u64);
        options.spread = Some((START_MICROS, HOUR_MICROS));
        let mut lines = Vec::new();
        write_lines(&options, &mut lines, || START_MICROS, &AtomicBool::new(false))
            .expect("a vector takes everything");
        let lines = lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        Records::of(rules(schema, kind.time_field()), lines.map(<[u8]>::to_vec))
    }

    /// The benchmark's nested events, of about 1 KB, of one hour.
    #[must_use]
    pub fn of_orders(schema: &str, count: usize) -> Records {
        let order = |n: u64| {
            let mut order = Vec::new();
            let (minute, second) = (n / 1_000_000 / 60 % 60, n / 1_000_000 % 60);
            let time = format!("2026-11-21T01:{minute:02}:{second:02}.{:06}Z", n % 1_000_000);
            load::order(&mut order, n, load::mixed(n), time).expect("a vector takes everything");
            order
        };
        Records::of(rules(schema, "created_at"), (0..count as u64).map(order))
    }

    /// The same records, each written in another way.
    #[must_use]
    pub fn rewritten(&self, rewrite: impl Fn(&str) -> String) -> Records {
        let rewritten = self
            .iter()
            .map(|record| rewrite(std::str::from_utf8(record).expect("the records are JSON")).into_bytes());
        Records::of(self.rules.clone(), rewritten)
    }

    fn of(rules: DecodeRules, records: impl Iterator<Item = Vec<u8>>) -> Records {
        let (mut bytes, mut places) = (Vec::new(), Vec::new());
        for record in records {
            places.push(bytes.len()..bytes.len() + record.len());
            bytes.extend_from_slice(&record);
        }
        Records { rules, bytes, places }
    }

    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.places.iter().map(|place| &self.bytes[place.clone()])
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.places.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// The columns of what is in the records: eventlake's without the three that say where a row came from.
    #[must_use]
    pub fn schema(&self) -> SchemaRef {
        let all = arrow_schema(&self.rules);
        let declared = self.rules.schema.fields().len();
        Schema::new(all.fields()[..declared].to_vec()).into()
    }
}

fn rules(schema: &str, event_time: &str) -> DecodeRules {
    let mut rules = DecodeRules::new(compile(schema).expect("the schema is a good one"));
    rules.event_time = rules
        .schema
        .event_time_of(event_time, None)
        .expect("the schema has this event time");
    rules
}
