//! Schemas made at random, of every keyword that is supported, and such that some value passes.

use rand::Rng;
use rand::RngCore;
use rand::seq::IndexedRandom;
use serde_json::{Map, Value, json};

/// Names that a producer may write in more than one way, besides plain ones.
pub const NAMES: &[&str] = &[
    "a",
    "b",
    "c",
    "user_id",
    "é",
    "q\"t",
    "x/y",
    "a b",
    "~t",
    "Ünï",
    "e\\f",
    "long_name_of_a_field",
];

/// Patterns, each with texts that match it.
pub const PATTERNS: &[(&str, &[&str])] = &[
    ("^[a-z]{2,5}$", &["ab", "xyz", "abcde"]),
    ("\\d+", &["a1", "42", "x9y"]),
    ("^\\w+ \\w+$", &["a b", "ab c"]),
    ("^[^\\d]*$", &["", "abc", "é😀"]),
    ("^(foo|bar)-[0-9a-f]{4}$", &["foo-12ab", "bar-ffff"]),
    ("é", &["é", "café"]),
    ("^.{3}$", &["abc", "é😀x"]),
    ("^\\p{Lu}", &["Abc", "É"]),
    ("^\\/[\\w\\-\\/]*$", &["/", "/a-b/c"]),
];

/// Formats, each with texts that have it.
pub const FORMATS: &[(&str, &[&str])] = &[
    (
        "date-time",
        &[
            "2026-11-21T01:02:03Z",
            "1999-12-31T23:59:59.123456789+05:30",
            "2000-02-29t00:00:00z",
            "2016-12-31T23:59:60Z",
            "2026-11-21T01:02:03",
            "0001-01-01T00:00:00.5-23:59",
        ],
    ),
    ("date", &["2026-11-21", "2000-02-29", "0000-01-01", "9999-12-31"]),
    ("time", &["01:02:03Z", "23:59:60Z", "12:00:00.5+01:00"]),
    ("duration", &["P1D", "PT1H30M", "P2W", "P1Y2M3DT4H5M6S"]),
    (
        "uuid",
        &[
            "2eb8aa08-aa98-11ea-b4aa-73b441d16380",
            "2EB8AA08-AA98-11EA-B4AA-73B441D16380",
        ],
    ),
    (
        "email",
        &["a@b.fr", "joe.bloggs@example.com", "\"a b\"@c.d", "a@[127.0.0.1]"],
    ),
    ("hostname", &["example.com", "a-b.c", "localhost"]),
    ("ipv4", &["127.0.0.1", "255.255.255.255"]),
    ("ipv6", &["::1", "1:2:3:4:5:6:7:8", "::ffff:1.2.3.4"]),
    ("uri", &["https://a.b/c?d=e#f", "urn:isbn:1", "http://[::1]:80/"]),
    ("uri-reference", &["/a/b?c", "", "https://a.b", "#x"]),
    ("json-pointer", &["", "/a/b", "/a~0b/~1"]),
];

pub fn root(random: &mut dyn RngCore) -> Value {
    let mut schema = object(random, 0);
    schema.insert("type".to_owned(), json!("object"));
    Value::Object(schema)
}

fn field(random: &mut dyn RngCore, depth: usize) -> Value {
    let kinds = if depth < 3 { 8 } else { 6 };
    let (name, mut schema) = match random.random_range(0..kinds) {
        0 => ("integer", integer(random)),
        1 => ("number", number(random)),
        2 | 3 => ("string", string(random)),
        4 => ("boolean", Map::new()),
        5 => return choices(random),
        6 => ("object", object(random, depth + 1)),
        _ => ("array", array(random, depth + 1)),
    };
    let type_name = match random.random_range(0..8) {
        0 => json!([name, "null"]),
        1 => json!(["null", name]),
        2 => json!([name]),
        _ => json!(name),
    };
    schema.insert("type".to_owned(), type_name);
    if random.random_bool(0.1) {
        schema.insert("description".to_owned(), json!("says nothing about a value"));
    }
    Value::Object(schema)
}

fn object(random: &mut dyn RngCore, depth: usize) -> Map<String, Value> {
    let mut names: Vec<&str> = NAMES.to_vec();
    let mut properties = Map::new();
    // Enough at the root, sometimes, that names are no longer searched one by one.
    let many = depth == 0 && random.random_bool(0.05);
    for _ in 0..random.random_range(1..6) {
        let name = names.swap_remove(random.random_range(0..names.len()));
        properties.insert(name.to_owned(), field(random, depth));
    }
    for index in 0..if many { 30 } else { 0 } {
        properties.insert(format!("f{index}"), json!({"type": "integer"}));
    }
    let required: Vec<&String> = properties.keys().filter(|_| random.random_bool(0.4)).collect();
    let mut schema = Map::new();
    if !required.is_empty() || random.random_bool(0.1) {
        schema.insert("required".to_owned(), json!(required));
    }
    if random.random_bool(0.3) {
        schema.insert("additionalProperties".to_owned(), json!(random.random_bool(0.5)));
    }
    if random.random_bool(0.1) {
        schema.insert("minProperties".to_owned(), json!(random.random_range(0..3)));
    }
    if random.random_bool(0.1) {
        schema.insert(
            "maxProperties".to_owned(),
            json!(random.random_range(properties.len()..properties.len() + 3)),
        );
    }
    schema.insert("properties".to_owned(), Value::Object(properties));
    schema
}

fn array(random: &mut dyn RngCore, depth: usize) -> Map<String, Value> {
    let items = field(random, depth);
    let mut schema = Map::new();
    let can_be_unique = ["integer", "number", "boolean"]
        .iter()
        .any(|name| items["type"] == *name)
        || (items["type"] == "string" && items.get("format").is_none());
    if can_be_unique && random.random_bool(0.4) {
        schema.insert("uniqueItems".to_owned(), json!(true));
    }
    if random.random_bool(0.3) {
        schema.insert("minItems".to_owned(), json!(random.random_range(0..3)));
    }
    if random.random_bool(0.3) {
        schema.insert("maxItems".to_owned(), json!(random.random_range(3..6)));
    }
    schema.insert("items".to_owned(), items);
    schema
}

fn integer(random: &mut dyn RngCore) -> Map<String, Value> {
    let mut schema = Map::new();
    let low: i64 = random.random_range(-50..50);
    let (minimum, maximum) = match random.random_bool(0.2) {
        true => (json!(low as f64 - 0.5), json!(low as f64 + 40.5)),
        false => (json!(low), json!(low + 40)),
    };
    one_of(
        random,
        &mut schema,
        &[("minimum", &minimum), ("exclusiveMinimum", &minimum)],
    );
    one_of(
        random,
        &mut schema,
        &[("maximum", &maximum), ("exclusiveMaximum", &maximum)],
    );
    if random.random_bool(0.2) {
        let divisor = [json!(2), json!(3), json!(2.5), json!(7.0), json!(0.5)]
            .choose(random)
            .cloned();
        schema.extend(divisor.map(|divisor| ("multipleOf".to_owned(), divisor)));
    }
    schema
}

fn number(random: &mut dyn RngCore) -> Map<String, Value> {
    let mut schema = Map::new();
    let low = f64::from(random.random_range(-500..500)) / 8.0;
    one_of(
        random,
        &mut schema,
        &[("minimum", &json!(low)), ("exclusiveMinimum", &json!(low))],
    );
    one_of(
        random,
        &mut schema,
        &[
            ("maximum", &json!(low + 40.0)),
            ("exclusiveMaximum", &json!(low + 40.0)),
        ],
    );
    if random.random_bool(0.2) {
        // Decimal fractions the oracle divides in binary, and wrongly: `schema::decimal` tests those.
        let divisor = [json!(0.5), json!(0.25), json!(2)].choose(random).cloned();
        schema.extend(divisor.map(|divisor| ("multipleOf".to_owned(), divisor)));
    }
    schema
}

/// Adds one of two keywords, or none.
fn one_of(random: &mut dyn RngCore, schema: &mut Map<String, Value>, pair: &[(&str, &Value); 2]) {
    if let Some((keyword, value)) = pair.get(random.random_range(0..4)) {
        schema.insert((*keyword).to_owned(), (*value).clone());
    }
}

fn string(random: &mut dyn RngCore) -> Map<String, Value> {
    let mut schema = Map::new();
    match random.random_range(0..6) {
        0 => {
            let (pattern, _) = PATTERNS.choose(random).expect("there are some");
            schema.insert("pattern".to_owned(), json!(pattern));
        }
        1 | 2 => {
            let (format, _) = FORMATS.choose(random).expect("there are some");
            schema.insert("format".to_owned(), json!(format));
        }
        3 | 4 => {
            if random.random_bool(0.7) {
                schema.insert("minLength".to_owned(), json!(random.random_range(0..4)));
            }
            if random.random_bool(0.7) {
                schema.insert("maxLength".to_owned(), json!(random.random_range(4..12)));
            }
        }
        _ => {}
    }
    schema
}

/// A field of listed values, with or without its type.
fn choices(random: &mut dyn RngCore) -> Value {
    let (name, mut values) = match random.random_range(0..4) {
        0 => ("string", vec![json!("a"), json!("é"), json!("b\n"), json!("")]),
        1 => ("integer", vec![json!(1), json!(-2), json!(30)]),
        2 => ("number", vec![json!(0.5), json!(2), json!(-1.25)]),
        _ => ("boolean", vec![json!(true)]),
    };
    let nullable = random.random_bool(0.3);
    if nullable && random.random_bool(0.7) {
        values.push(Value::Null);
    }
    let mut schema = Map::new();
    if random.random_bool(0.3) {
        let value = values[0].clone();
        schema.insert("const".to_owned(), value);
    } else {
        schema.insert("enum".to_owned(), Value::Array(values));
    }
    if random.random_bool(0.6) {
        schema.insert(
            "type".to_owned(),
            if nullable {
                json!([name, "null"])
            } else {
                json!(name)
            },
        );
    }
    Value::Object(schema)
}
