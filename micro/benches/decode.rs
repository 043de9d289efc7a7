//! Decoding: bytes to rows, ours with every check, beside those who check nothing.
//!
//! One measurement is a batch of records; the rows it made are dropped outside of it. `scripts/bench.sh --only micro` runs
//! this several times and says what the figures mean for each other.

use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use eventlake_engine::generate::Kind;
use eventlake_engine::resident::keep_allocator_lean;
use eventlake_micro::agreement::{accepted, assert_same, check};
use eventlake_micro::decoders::{
    arrow_json, eventlake, serde_json, serde_json_owned, simd_json, simd_json_owned, sonic_rs, sonic_rs_owned,
};
use eventlake_micro::measuring::{group, measure, measure_once_each};
use eventlake_micro::records::Records;
use eventlake_micro::shapes::{Click, Order, Rating, Shape, Ticket, View};

/// Records of one batch: what a topic's thread decodes before it looks up.
const RECORDS: usize = 8_192;
const ORDERS: usize = 2_048;

fn topics(criterion: &mut Criterion) {
    // As the program has it.
    keep_allocator_lean();
    let clicks = include_str!("../../config/schemas/clicks.schema.json");
    let clicks = Records::of_shop(Kind::Clicks, clicks, RECORDS);
    topic::<Click<String>>(criterion, "clicks", &clicks);
    let views = include_str!("../../config/schemas/views.schema.json");
    let views = Records::of_shop(Kind::Views, views, RECORDS);
    topic::<View<String>>(criterion, "views", &views);
    let ratings = include_str!("../../config/schemas/ratings.schema.json");
    let ratings = Records::of_shop(Kind::Ratings, ratings, RECORDS);
    topic::<Rating<String>>(criterion, "ratings", &ratings);
    let tickets = include_str!("../../config/schemas/client_tickets.schema.json");
    let tickets = Records::of_shop(Kind::Tickets, tickets, RECORDS);
    topic::<Ticket<String>>(criterion, "client_tickets", &tickets);
    let orders = Records::of_orders(include_str!("../../scripts/bench/orders.schema.json"), ORDERS);
    topic::<Order<String>>(criterion, "orders", &orders);
    variants(criterion, &clicks);
}

fn topic<S: Shape>(criterion: &mut Criterion, name: &str, records: &Records) {
    check::<S>(name, records);
    let mut group = group(criterion, "decode", name, records.len());
    measure(&mut group, "eventlake", || eventlake(records));
    measure(&mut group, "serde_json", || serde_json::<S>(records));
    measure(&mut group, "sonic-rs", || sonic_rs::<S>(records));
    let copied = || records.bytes.clone();
    measure_once_each(&mut group, "simd-json", copied, |bytes, timer| {
        timer.time(|| simd_json::<S>(bytes, &records.places));
    });
    measure(&mut group, "arrow-json", || arrow_json(records));
    measure(&mut group, "serde_json owned", || serde_json_owned::<S>(records));
    measure(&mut group, "sonic-rs owned", || sonic_rs_owned::<S>(records));
    measure_once_each(&mut group, "simd-json owned", copied, |bytes, timer| {
        timer.time(|| simd_json_owned::<S>(bytes, &records.places));
    });
    group.finish();
}

/// Clicks as other producers write them, and what is none.
fn variants(criterion: &mut Criterion, clicks: &Records) {
    let plain = accepted("clicks", clicks);
    let spaced = clicks.rewritten(|click| click.replace("\":", "\": ").replace(",\"", ", \""));
    let reversed = clicks.rewritten(reversed);
    let undeclared =
        clicks.rewritten(|click| click.replace('}', r#","session":"a1b2c3d4","tags":["x",{"y":1}]}"#));
    for (name, records) in [
        ("clicks with spaces", spaced),
        ("clicks backwards", reversed),
        ("clicks with two undeclared fields", undeclared),
    ] {
        check::<Click<String>>(name, &records);
        assert_same(name, &plain, "eventlake, rewritten", &accepted(name, &records));
        let mut group = group(criterion, "decode", name, records.len());
        measure(&mut group, "eventlake", || eventlake(&records));
        measure(&mut group, "serde_json", || serde_json::<Click<String>>(&records));
        group.finish();
    }
    let not_json = clicks.rewritten(|click| click.replace(':', ";"));
    let cut_off = clicks.rewritten(|click| click[..click.len() - 1].to_owned());
    let wrong_type = clicks.rewritten(|click| click.replace("duration\":", "duration\":\"x\",\"u\":"));
    let long_text = clicks.rewritten(|click| format!("{{\"user_id\":\"{}\"}}", "é".repeat(click.len() / 2)));
    for (name, records) in [
        ("garbage, not JSON", not_json),
        ("garbage, cut off at the end", cut_off),
        ("garbage, the last field of a wrong type", wrong_type),
        ("garbage, a long text in a wrong place", long_text),
    ] {
        let (ours, theirs) = (eventlake(&records).1, refused_by_serde_json(&records));
        assert_eq!(
            (ours, theirs),
            (records.len(), records.len()),
            "{name}: all of it"
        );
        let mut group = group(criterion, "decode", name, records.len());
        measure(&mut group, "eventlake", || eventlake(&records));
        measure(&mut group, "serde_json", || refused_by_serde_json(&records));
        group.finish();
    }
}

fn reversed(click: &str) -> String {
    let members: Vec<&str> = click.trim_matches(['{', '}']).split(",\"").collect();
    let quoted = members
        .iter()
        .rev()
        .map(|member| format!("\"{}", member.trim_start_matches('"')));
    format!("{{{}}}", quoted.collect::<Vec<_>>().join(","))
}

fn refused_by_serde_json(records: &Records) -> usize {
    let read = |record| ::serde_json::from_slice::<<Click<String> as Shape>::Borrowed<'_>>(record);
    records.iter().filter(|record| read(record).is_err()).count()
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(800));
    targets = topics
}
criterion_main!(benches);
