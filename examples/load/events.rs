//! The events themselves: JSON from a counter, the same in every run. The micro-benchmarks decode the same orders.

use std::io::{self, Write as _};

/// As config/schemas/clicks.schema.json has it.
pub fn click(payload: &mut Vec<u8>, noise: u64, time: impl std::fmt::Display) -> io::Result<()> {
    write!(
        payload,
        "{{\"event_type\":\"click\",\"user_id\":{},\"item_id\":{item},\"timestamp\":\"{time}\",\
         \"page_url\":\"https://shop.example/item/{item}?visit={:08x}\",\"click_duration\":{}.{:03}}}",
        1 + noise % 1000,
        noise >> 32,
        (noise >> 40) % 9,
        (noise >> 44) % 1000,
        item = 1 + (noise >> 20) % 500,
    )
}

/// As scripts/bench/orders.schema.json has it: nested objects and an array of them, about 1 KB.
pub fn order(payload: &mut Vec<u8>, n: u64, noise: u64, time: impl std::fmt::Display) -> io::Result<()> {
    let customer = noise % 100_000;
    write!(
        payload,
        "{{\"order_id\":\"{n:012}-{:08x}\",\"created_at\":\"{time}\",\"status\":\"{}\",\"currency\":\"EUR\",\
         \"customer\":{{\"id\":{customer},\"name\":\"Customer number {customer}\",\"email\":\"customer{customer}@shop.example\",\
         \"loyal\":{},\"address\":{{\"street\":\"{} Market Street\",\"city\":\"{}\",\"postcode\":\"{:05}\",\"country\":\"FR\"}}}},\
         \"payment\":{{\"method\":\"{}\",\"amount\":{}.{:02},\"reference\":\"pay_{noise:016x}\"}},\"lines\":[",
        noise >> 32,
        ["placed", "paid", "shipped", "delivered"][(noise >> 9) as usize % 4],
        noise & 64 == 0,
        1 + (noise >> 11) % 200,
        ["Paris", "Lyon", "Lille", "Nantes", "Toulouse"][(noise >> 13) as usize % 5],
        (noise >> 17) % 96_000,
        ["card", "transfer", "voucher"][(noise >> 19) as usize % 3],
        (noise >> 23) % 900,
        (noise >> 33) % 100,
    )?;
    for line in 0..4 {
        let item = mixed(noise ^ line) % 5000;
        let comma = if line == 0 { "" } else { "," };
        write!(
            payload,
            "{comma}{{\"item_id\":{item},\"title\":\"Article {item} of the autumn catalogue\",\"quantity\":{},\
             \"unit_price\":{}.{:02}}}",
            1 + (noise >> (line * 3)) % 5,
            item % 180,
            item % 100,
        )?;
    }
    write!(
        payload,
        "],\"note\":\"Please leave the parcel with the neighbour at door {} if nobody answers.\",\
         \"client\":{{\"device\":\"{}\",\"version\":\"{}.{}\",\"session\":\"{:016x}\"}}}}",
        (noise >> 27) % 40,
        ["mobile", "desktop", "tablet"][(noise >> 29) as usize % 3],
        (noise >> 31) % 9,
        (noise >> 35) % 20,
        mixed(noise),
    )
}

/// SplitMix64: well-spread bits from a counter, the same in every run.
pub fn mixed(n: u64) -> u64 {
    let mut z = n.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
