//! What a single value means: durations, sizes, addresses, times, names, each from text or its TOML type.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use chrono::DateTime;
use toml::de::DeValue;

use super::{
    EventTimeUnit, ListenAddress, OnDataLoss, PartitionBy, Severity, Start, ViewStart, WebhookFormat,
};

/// A value as it was found, before anybody knows what it means. Displayed, it is what follows "found".
#[derive(Clone, Debug)]
pub(super) enum Raw<'a> {
    Text(&'a str),
    Integer(String),
    Float(&'a str),
    Boolean(bool),
    Time(String),
    Array,
    Table,
    /// An environment variable's text, which may stand for any type.
    Variable(&'a str),
}

impl<'a> Raw<'a> {
    pub fn of(value: &'a DeValue<'_>) -> Self {
        match value {
            DeValue::String(text) => Self::Text(text),
            DeValue::Integer(integer) => Self::Integer(integer.to_string()),
            DeValue::Float(float) => Self::Float(float.as_str()),
            DeValue::Boolean(flag) => Self::Boolean(*flag),
            DeValue::Datetime(time) => Self::Time(time.to_string()),
            DeValue::Array(_) => Self::Array,
            DeValue::Table(_) => Self::Table,
        }
    }

    fn text(&self) -> Result<&'a str, Wrong> {
        match self {
            Self::Text(text) | Self::Variable(text) => Ok(text),
            Self::Integer(_) | Self::Float(_) => {
                Err(Wrong::because("write it as text, in quotes, with its unit"))
            }
            _ => Err(Wrong::Unfit),
        }
    }

    /// The plain text of a simple value, as librdkafka takes it.
    pub fn plain(&self) -> Option<String> {
        match self {
            Self::Text(text) | Self::Variable(text) | Self::Float(text) => Some((*text).to_owned()),
            Self::Integer(text) => Some(text.clone()),
            Self::Boolean(flag) => Some(flag.to_string()),
            Self::Time(_) | Self::Array | Self::Table => None,
        }
    }

    /// What type of value it is, for values that must not be shown.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) | Self::Variable(_) => "a text",
            Self::Integer(_) | Self::Float(_) => "a number",
            Self::Boolean(_) => "true or false",
            Self::Time(_) => "a time",
            Self::Array => "an array",
            Self::Table => "a table",
        }
    }
}

impl fmt::Display for Raw<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) | Self::Variable(text) => write!(f, "{text:?}"),
            Self::Integer(text) => write!(f, "the number {text}"),
            Self::Float(text) => write!(f, "the number {text}"),
            Self::Boolean(flag) => write!(f, "{flag}"),
            Self::Time(text) => write!(f, "the time {text}"),
            Self::Array | Self::Table => f.write_str(self.kind()),
        }
    }
}

/// Why a value is not what was expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wrong {
    /// What was expected and what was found say it all.
    Unfit,
    Because(String),
}

impl Wrong {
    fn because(reason: impl Into<String>) -> Self {
        Self::Because(reason.into())
    }
}

pub(super) fn text(raw: &Raw<'_>) -> Result<String, Wrong> {
    let text = match raw {
        Raw::Text(text) | Raw::Variable(text) => *text,
        _ => return Err(Wrong::Unfit),
    };
    if text.trim().is_empty() {
        return Err(Wrong::Unfit);
    }
    if text.contains(char::is_control) {
        return Err(Wrong::because("a control character cannot stand there"));
    }
    Ok(text.to_owned())
}

/// SQL may stand on several lines.
pub(super) fn sql(raw: &Raw<'_>) -> Result<String, Wrong> {
    let is_text = |character: char| !character.is_control() || matches!(character, '\n' | '\r' | '\t');
    match raw {
        Raw::Text(text) | Raw::Variable(text) if text.trim().is_empty() => Err(Wrong::Unfit),
        Raw::Text(text) | Raw::Variable(text) if text.chars().all(is_text) => Ok((*text).to_owned()),
        Raw::Text(_) | Raw::Variable(_) => Err(Wrong::because("a control character cannot stand there")),
        _ => Err(Wrong::Unfit),
    }
}

pub(super) fn flag(raw: &Raw<'_>) -> Result<bool, Wrong> {
    match raw {
        Raw::Boolean(flag) => Ok(*flag),
        Raw::Variable(text) => text.trim().parse().map_err(|_| Wrong::Unfit),
        _ => Err(Wrong::Unfit),
    }
}

pub(super) fn whole_number(raw: &Raw<'_>, min: u64, max: u64) -> Result<u64, Wrong> {
    let number: u64 = match raw {
        Raw::Integer(text) => text.parse().map_err(|_| Wrong::Unfit)?,
        Raw::Variable(text) => text.trim().parse().map_err(|_| Wrong::Unfit)?,
        Raw::Text(text) if text.trim().parse::<u64>().is_ok() => {
            return Err(Wrong::because("write it without the quotes"));
        }
        _ => return Err(Wrong::Unfit),
    };
    if (min..=max).contains(&number) {
        Ok(number)
    } else {
        Err(Wrong::Unfit)
    }
}

/// The longest duration there can be: a hundred years, well inside what microseconds in 64 bits can say.
const DURATION_MAX: Duration = Duration::from_secs(36_500 * 86_400);

/// Numbers with units, one after the other: `500ms`, `10s`, `1h30m`, `7d`.
pub(super) fn duration(raw: &Raw<'_>) -> Result<Duration, Wrong> {
    let text = raw.text()?.trim();
    let units = || Wrong::because("a duration is a whole number and its unit: ms, s, m, h or d");
    let mut rest = text;
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let (number, tail) = split_number(rest).ok_or_else(units)?;
        let unit_end = tail
            .find(|c: char| !c.is_ascii_alphabetic())
            .unwrap_or(tail.len());
        let unit_millis: u64 = match &tail[..unit_end] {
            "ms" => 1,
            "s" => 1_000,
            "m" | "min" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return Err(units()),
        };
        let part = number.checked_mul(unit_millis).map(Duration::from_millis);
        total = part
            .and_then(|part| total.checked_add(part))
            .ok_or_else(too_long)?;
        rest = tail[unit_end..].trim_start();
    }
    if text.is_empty() {
        return Err(units());
    }
    if total > DURATION_MAX {
        Err(too_long())
    } else {
        Ok(total)
    }
}

fn too_long() -> Wrong {
    Wrong::because("it is longer than 36500d")
}

pub(super) fn duration_within(raw: &Raw<'_>, min: Duration, max: Duration) -> Result<Duration, Wrong> {
    let duration = duration(raw)?;
    if (min..=max).contains(&duration) {
        Ok(duration)
    } else {
        Err(Wrong::Unfit)
    }
}

/// The duration in the largest unit that writes it exactly: `90s`.
pub(super) fn show_duration(duration: Duration) -> String {
    const UNITS: [(u128, &str); 4] = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s")];
    let millis = duration.as_millis();
    let exact = UNITS
        .into_iter()
        .find(|(unit, _)| millis >= *unit && millis.is_multiple_of(*unit));
    exact.map_or_else(
        || format!("{millis}ms"),
        |(unit, name)| format!("{}{name}", millis / unit),
    )
}

/// A number and its unit, in bytes: `16MiB` (powers of 1024), `128MB` (powers of 1000), `4096B`.
pub(super) fn size(raw: &Raw<'_>) -> Result<u64, Wrong> {
    let units =
        || Wrong::because("a size is a whole number and its unit: B, KiB, MiB, GiB, TiB, kB, MB, GB or TB");
    let (number, unit) = split_number(raw.text()?.trim()).ok_or_else(units)?;
    let unit_bytes: u64 = match unit.to_ascii_lowercase().as_str() {
        "b" => 1,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        "tib" => 1 << 40,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        _ => return Err(units()),
    };
    let bytes = number
        .checked_mul(unit_bytes)
        .filter(|bytes| i64::try_from(*bytes).is_ok());
    bytes.ok_or_else(|| Wrong::because("no machine has so many bytes"))
}

pub(super) fn size_within(raw: &Raw<'_>, min: u64, max: u64) -> Result<u64, Wrong> {
    let bytes = size(raw)?;
    if (min..=max).contains(&bytes) {
        Ok(bytes)
    } else {
        Err(Wrong::Unfit)
    }
}

/// Splits `10 s` into 10 and `s`.
fn split_number(text: &str) -> Option<(u64, &str)> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number = text[..digits].parse().ok()?;
    Some((number, text[digits..].trim_start()))
}

/// The size in the largest unit that writes it exactly: `64MiB`.
pub(super) fn show_size(bytes: u64) -> String {
    const UNITS: [(u64, &str); 4] = [
        (1 << 40, "TiB"),
        (1 << 30, "GiB"),
        (1 << 20, "MiB"),
        (1 << 10, "KiB"),
    ];
    let exact = UNITS
        .into_iter()
        .find(|(unit, _)| bytes >= *unit && bytes.is_multiple_of(*unit));
    exact.map_or_else(
        || format!("{bytes}B"),
        |(unit, name)| format!("{}{name}", bytes / unit),
    )
}

pub(super) fn brokers(raw: &Raw<'_>) -> Result<String, Wrong> {
    let list = text(raw)?;
    let brokers: Vec<&str> = list.split(',').map(str::trim).collect();
    for broker in &brokers {
        broker_fault(broker).map_or(Ok(()), |reason| Err(Wrong::Because(reason)))?;
    }
    Ok(brokers.join(","))
}

/// What may stand before a broker's address, in any case.
const PROTOCOLS: [&str; 4] = ["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"];

/// librdkafka's form: `[protocol://]host[:port]`, an IPv6 host in brackets.
fn broker_fault(broker: &str) -> Option<String> {
    let (protocol, address) = broker
        .split_once("://")
        .map_or((None, broker), |(protocol, address)| (Some(protocol), address));
    if let Some(protocol) = protocol
        && !PROTOCOLS.iter().any(|known| known.eq_ignore_ascii_case(protocol))
    {
        return Some(format!(
            "Kafka does not speak the {protocol:?} of {broker:?}; leave it out"
        ));
    }
    let (host, port) = match address.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, "")) => (host, None),
        Some((host, rest)) => (host, Some(rest.strip_prefix(':').unwrap_or(rest))),
        None => address
            .rsplit_once(':')
            .map_or((address, None), |(host, port)| (host, Some(port))),
    };
    if host.is_empty() || host.contains([' ', '/', '@']) || (host.contains(':') && !address.starts_with('['))
    {
        return Some(format!("{broker:?} has no host that could be looked up"));
    }
    match port.map(str::parse::<u16>) {
        None | Some(Ok(1..)) => None,
        Some(Ok(0) | Err(_)) => Some(format!("the port of {broker:?} is not a number from 1 to 65535")),
    }
}

/// A folder on a local file system.
pub(super) fn folder(raw: &Raw<'_>) -> Result<PathBuf, Wrong> {
    let path = text(raw)?;
    match path.split_once("://") {
        Some((scheme, _)) => Err(Wrong::Because(format!(
            "lakes on object stores ({scheme}://) are not in this version"
        ))),
        None => Ok(PathBuf::from(path)),
    }
}

pub(super) fn path(raw: &Raw<'_>) -> Result<PathBuf, Wrong> {
    text(raw).map(PathBuf::from)
}

pub(super) fn listen(raw: &Raw<'_>) -> Result<ListenAddress, Wrong> {
    let text = text(raw)?;
    if text == "off" {
        return Ok(ListenAddress::Off);
    }
    let numeric = text
        .strip_prefix("localhost:")
        .map(|port| format!("127.0.0.1:{port}"));
    let address: Result<SocketAddr, _> = numeric.as_deref().unwrap_or(&text).parse();
    address.map(ListenAddress::At).map_err(|_| Wrong::Unfit)
}

pub(super) fn on_data_loss(raw: &Raw<'_>) -> Result<OnDataLoss, Wrong> {
    choose(raw, &[("fail", OnDataLoss::Fail), ("record", OnDataLoss::Record)])
}

pub(super) fn partition_by(raw: &Raw<'_>) -> Result<PartitionBy, Wrong> {
    choose(raw, &[("hour", PartitionBy::Hour), ("day", PartitionBy::Day)])
}

pub(super) fn view_start(raw: &Raw<'_>) -> Result<ViewStart, Wrong> {
    choose(raw, &[("lake", ViewStart::Lake), ("now", ViewStart::Now)])
}

pub(super) fn severity(raw: &Raw<'_>) -> Result<Severity, Wrong> {
    choose(
        raw,
        &[
            ("info", Severity::Info),
            ("warning", Severity::Warning),
            ("critical", Severity::Critical),
        ],
    )
}

pub(super) fn webhook_format(raw: &Raw<'_>) -> Result<WebhookFormat, Wrong> {
    choose(
        raw,
        &[("json", WebhookFormat::Json), ("slack", WebhookFormat::Slack)],
    )
}

pub(super) fn event_time_unit(raw: &Raw<'_>) -> Result<EventTimeUnit, Wrong> {
    choose(
        raw,
        &[
            ("s", EventTimeUnit::Seconds),
            ("ms", EventTimeUnit::Millis),
            ("us", EventTimeUnit::Micros),
        ],
    )
}

fn choose<T: Copy>(raw: &Raw<'_>, choices: &[(&str, T)]) -> Result<T, Wrong> {
    let text = text(raw)?;
    let chosen = choices.iter().find(|(name, _)| *name == text);
    chosen.map(|(_, choice)| *choice).ok_or(Wrong::Unfit)
}

pub(super) fn start(raw: &Raw<'_>) -> Result<Start, Wrong> {
    let text = match raw {
        Raw::Text("earliest") | Raw::Variable("earliest") => return Ok(Start::Earliest),
        Raw::Text("latest") | Raw::Variable("latest") => return Ok(Start::Latest),
        Raw::Text(text) | Raw::Variable(text) => *text,
        Raw::Time(text) => text.as_str(),
        _ => return Err(Wrong::Unfit),
    };
    match DateTime::parse_from_rfc3339(text) {
        Ok(time) if time.timestamp_millis() < 0 => Err(Wrong::because("Kafka's timestamps begin in 1970")),
        Ok(time) => Ok(Start::At {
            unix_millis: time.timestamp_millis(),
        }),
        Err(_) if DateTime::parse_from_rfc3339(&format!("{text}Z")).is_ok() => Err(Wrong::because(
            "say which time zone it is in: end it with Z or an offset such as +02:00",
        )),
        Err(_) => Err(Wrong::Unfit),
    }
}

/// Seconds east of UTC.
pub(super) fn time_zone(raw: &Raw<'_>) -> Result<i32, Wrong> {
    let text = text(raw)?;
    if text == "UTC" || text == "Z" {
        return Ok(0);
    }
    let (sign, rest) = match text.split_at_checked(1) {
        Some(("+", rest)) => (1, rest),
        Some(("-", rest)) => (-1, rest),
        _ if text.contains(char::is_alphabetic) => {
            return Err(Wrong::because(
                "time zones by name are not in this version; write the offset from UTC",
            ));
        }
        _ => return Err(Wrong::Unfit),
    };
    let two_digits = |part: &str, max: i32| -> Option<i32> {
        let number = part.parse().ok().filter(|number| *number <= max);
        if part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit()) {
            number
        } else {
            None
        }
    };
    let (hours, minutes) = rest.split_once(':').ok_or(Wrong::Unfit)?;
    match (two_digits(hours, 18), two_digits(minutes, 59)) {
        (Some(hours), Some(minutes)) => Ok(sign * (hours * 3600 + minutes * 60)),
        _ => Err(Wrong::Unfit),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_numbers_with_units() {
        let secs = |text| duration(&Raw::Text(text)).map(|duration| duration.as_millis());
        assert_eq!(secs("10s"), Ok(10_000));
        assert_eq!(secs("500ms"), Ok(500));
        assert_eq!(secs("1h30m"), Ok(5_400_000));
        assert_eq!(secs(" 7 d "), Ok(604_800_000));
        assert_eq!(secs("0s"), Ok(0));
        for bad in [
            "",
            "10",
            "s",
            "-1s",
            "1.5h",
            "10 sec",
            "10s x",
            "1w",
            "99999999999999999999d",
            "40000d",
            "1é",
        ] {
            assert!(secs(bad).is_err(), "{bad:?}");
        }
        assert!(duration(&Raw::Integer("10".into())).is_err());
    }

    #[test]
    fn a_duration_is_shown_in_the_unit_that_fits() {
        let shown = |text| show_duration(duration(&Raw::Text(text)).expect("a duration"));
        for exact in ["0ms", "1500ms", "90s", "1m", "25h", "31d"] {
            assert_eq!(shown(exact), exact);
        }
        assert_eq!(shown("60s"), "1m");
    }

    #[test]
    fn sizes_tell_powers_of_1024_from_powers_of_1000() {
        let bytes = |text| size(&Raw::Text(text));
        assert_eq!(bytes("512MiB"), Ok(512 << 20));
        assert_eq!(bytes("128MB"), Ok(128_000_000));
        assert_eq!(bytes("4 kib"), Ok(4096));
        assert_eq!(bytes("17B"), Ok(17));
        for bad in [
            "",
            "512",
            "MiB",
            "-1B",
            "1.5GiB",
            "1 Gibi",
            "99999999999TiB",
            "16777216TiB",
        ] {
            assert!(bytes(bad).is_err(), "{bad:?}");
        }
        assert_eq!(
            [64 << 20, 3 << 30, 1000].map(show_size),
            ["64MiB", "3GiB", "1000B"]
        );
    }

    #[test]
    fn brokers_are_hosts_with_ports() {
        let check = |text| brokers(&Raw::Text(text));
        assert_eq!(check("a:9092, b:9093"), Ok("a:9092,b:9093".into()));
        for good in [
            "127.0.0.1:9092",
            "kafka",
            "[::1]:9092",
            "[::1]",
            "SASL_SSL://kafka.example:9093",
        ] {
            assert!(check(good).is_ok(), "{good:?}");
        }
        for bad in [
            "",
            " ",
            "a:",
            ":9092",
            "a:x",
            "a:0",
            "a:70000",
            "a:1,",
            "::1:9092",
            "a b:1",
            "http://a/b:1",
        ] {
            assert!(check(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn times_need_a_zone() {
        let at = |text| start(&Raw::Text(text));
        assert_eq!(
            at("2026-11-21T01:00:00+01:00"),
            Ok(Start::At {
                unix_millis: 1_795_219_200_000
            })
        );
        assert!(matches!(at("2026-11-21T01:00:00"), Err(Wrong::Because(_))));
        assert_eq!(at("earlist"), Err(Wrong::Unfit));
        assert!(at("1969-12-31T00:00:00Z").is_err());
    }

    #[test]
    fn time_zones_are_offsets() {
        let zone = |text| time_zone(&Raw::Text(text));
        assert_eq!(zone("UTC"), Ok(0));
        assert_eq!(zone("+02:00"), Ok(7200));
        assert_eq!(zone("-05:30"), Ok(-19_800));
        for bad in [
            "Europe/Paris",
            "+2:00",
            "02:00",
            "+25:00",
            "+02:60",
            "+-1:00",
            "é",
        ] {
            assert!(zone(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn listening_is_an_address_or_off() {
        let address = |text| listen(&Raw::Text(text));
        assert_eq!(address("off"), Ok(ListenAddress::Off));
        assert_eq!(address("localhost:1"), address("127.0.0.1:1"));
        for bad in [
            "8088",
            ":8088",
            "0.0.0.0",
            "example.com:80",
            "127.0.0.1:99999",
            "on",
        ] {
            assert_eq!(address(bad), Err(Wrong::Unfit), "{bad:?}");
        }
    }
}
