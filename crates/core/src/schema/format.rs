//! The values of `format` that are asserted, each by the grammar of its RFC.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::datetime::{is_time, parse_date, parse_date_time};

macro_rules! formats {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $expected:literal;)*) => {
        /// A `format` that the decoder asserts.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Format { $($(#[$doc])* $name,)* }

        impl Format {
            /// Every format there is.
            pub const ALL: &[Format] = &[$(Format::$name,)*];

            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Format::$name => $text,)* }
            }

            /// The format in words, for a violation.
            #[must_use]
            pub fn expected(self) -> &'static str {
                match self { $(Format::$name => $expected,)* }
            }
        }
    };
}

formats! {
    /// Lands as microseconds since 1970. RFC 3339, and the offset may be missing.
    DateTime = "date-time", "a date-time such as 2026-11-21T01:02:03Z";
    /// Lands as days since 1970. RFC 3339.
    Date = "date", "a date such as 2026-11-21";
    /// RFC 3339, with its offset.
    Time = "time", "a time with its offset such as 01:02:03Z";
    /// RFC 3339, appendix A.
    Duration = "duration", "an ISO 8601 duration such as P1DT2H";
    /// RFC 4122, hyphenated.
    Uuid = "uuid", "a UUID";
    /// RFC 5321, `Mailbox`.
    Email = "email", "an e-mail address";
    /// RFC 1123: letters, digits and hyphens.
    Hostname = "hostname", "a host name";
    /// RFC 2673, dotted quad.
    Ipv4 = "ipv4", "an IPv4 address";
    /// RFC 4291.
    Ipv6 = "ipv6", "an IPv6 address";
    /// RFC 3986, with its scheme.
    Uri = "uri", "a URI with its scheme";
    /// RFC 3986, a URI or a relative reference.
    UriReference = "uri-reference", "a URI or a relative reference";
    /// RFC 6901.
    JsonPointer = "json-pointer", "a JSON Pointer";
}

impl Format {
    #[must_use]
    pub fn from_text(text: &str) -> Option<Format> {
        Format::ALL.iter().copied().find(|format| format.as_str() == text)
    }

    /// Whether a text has the format.
    #[must_use]
    pub fn matches(self, text: &str) -> bool {
        let bytes = text.as_bytes();
        match self {
            Format::DateTime => parse_date_time(bytes, 0).is_some(),
            Format::Date => parse_date(bytes).is_some(),
            Format::Time => is_time(bytes),
            Format::Duration => is_duration(bytes),
            Format::Uuid => is_uuid(bytes),
            Format::Email => is_email(text),
            Format::Hostname => is_hostname(bytes),
            Format::Ipv4 => text.parse::<Ipv4Addr>().is_ok(),
            Format::Ipv6 => text.parse::<Ipv6Addr>().is_ok(),
            Format::Uri => is_uri(bytes, Scheme::Needed),
            Format::UriReference => is_uri(bytes, Scheme::Optional),
            Format::JsonPointer => is_json_pointer(bytes),
        }
    }
}

fn is_uuid(text: &[u8]) -> bool {
    text.len() == 36
        && text.iter().enumerate().all(|(index, byte)| match index {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

/// `P` then weeks alone, or a run of years, months, days, then `T` and a run of hours, minutes, seconds; a run
/// leaves out nothing in its middle.
fn is_duration(text: &[u8]) -> bool {
    let Some(text) = text.strip_prefix(b"P") else {
        return false;
    };
    if let Some(weeks) = text.strip_suffix(b"W") {
        return !weeks.is_empty() && weeks.iter().all(u8::is_ascii_digit);
    }
    let (date, time) = match text.iter().position(|byte| *byte == b'T') {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    };
    match time {
        None => is_unit_run(date, b"YMD"),
        Some(time) => (date.is_empty() || is_unit_run(date, b"YMD")) && is_unit_run(time, b"HMS"),
    }
}

/// One or more of `12Y`, in the order of `units`, beginning anywhere in it and skipping none.
fn is_unit_run(mut text: &[u8], units: &[u8; 3]) -> bool {
    let mut next_unit = None;
    while !text.is_empty() {
        let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let Some(unit) = text
            .get(digits)
            .and_then(|byte| units.iter().position(|unit| unit == byte))
        else {
            return false;
        };
        if digits == 0 || next_unit.is_some_and(|next| unit != next) {
            return false;
        }
        next_unit = Some(unit + 1);
        text = &text[digits + 1..];
    }
    next_unit.is_some()
}

fn is_hostname(text: &[u8]) -> bool {
    const NAME_BYTES_MAX: usize = 253;
    const LABEL_BYTES_MAX: usize = 63;
    let is_label = |label: &[u8]| {
        (1..=LABEL_BYTES_MAX).contains(&label.len())
            && label
                .iter()
                .all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-')
            && label[0] != b'-'
            && label[label.len() - 1] != b'-'
    };
    text.len() <= NAME_BYTES_MAX && text.split(|byte| *byte == b'.').all(is_label)
}

fn is_email(text: &str) -> bool {
    const LOCAL_BYTES_MAX: usize = 64;
    let Some((local, domain)) = text.rsplit_once('@') else {
        return false;
    };
    local.len() <= LOCAL_BYTES_MAX && is_local_part(local.as_bytes()) && is_mail_domain(domain)
}

fn is_local_part(local: &[u8]) -> bool {
    let is_atom_byte = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(byte);
    match local {
        [b'"', quoted @ .., b'"'] => {
            let mut bytes = quoted.iter();
            while let Some(byte) = bytes.next() {
                let fits = match byte {
                    b'\\' => bytes
                        .next()
                        .is_some_and(|escaped| (b' '..=b'~').contains(escaped)),
                    b'"' => false,
                    byte => (b' '..=b'~').contains(byte),
                };
                if !fits {
                    return false;
                }
            }
            true
        }
        _ => local
            .split(|byte| *byte == b'.')
            .all(|atom| !atom.is_empty() && atom.iter().all(is_atom_byte)),
    }
}

fn is_mail_domain(domain: &str) -> bool {
    match domain
        .strip_prefix('[')
        .and_then(|literal| literal.strip_suffix(']'))
    {
        Some(literal) => match literal.strip_prefix("IPv6:") {
            Some(address) => address.parse::<Ipv6Addr>().is_ok(),
            None => literal.parse::<Ipv4Addr>().is_ok(),
        },
        None => is_hostname(domain.as_bytes()),
    }
}

/// Empty, or tokens that each begin with `/` and hold `~` only as `~0` or `~1`.
fn is_json_pointer(text: &[u8]) -> bool {
    let escapes_fit = text
        .iter()
        .enumerate()
        .filter(|(_, byte)| **byte == b'~')
        .all(|(index, _)| matches!(text.get(index + 1), Some(b'0' | b'1')));
    (text.is_empty() || text[0] == b'/') && escapes_fit
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Scheme {
    Needed,
    Optional,
}

/// RFC 3986, appendix A, taken apart as its appendix B does.
fn is_uri(text: &[u8], scheme: Scheme) -> bool {
    let (text, fragment) = cut(text, b'#');
    let (text, query) = cut(text, b'?');
    let has_scheme = match text.iter().position(|byte| matches!(byte, b':' | b'/')) {
        Some(at) if text[at] == b':' => Some(at),
        _ => None,
    };
    let hierarchy = match has_scheme {
        Some(at) if is_scheme(&text[..at]) => &text[at + 1..],
        // A relative reference whose first segment holds a colon would read as a scheme.
        Some(_) => return false,
        None if scheme == Scheme::Needed => return false,
        None => text,
    };
    let path = match hierarchy.strip_prefix(b"//") {
        Some(rest) => {
            let end = rest.iter().position(|byte| *byte == b'/').unwrap_or(rest.len());
            if !is_authority(&rest[..end]) {
                return false;
            }
            &rest[end..]
        }
        None => hierarchy,
    };
    let part_fits = |part: Option<&[u8]>| part.is_none_or(|part| is_escaped_text(part, b":@/?"));
    is_escaped_text(path, b":@/") && part_fits(query) && part_fits(fragment)
}

fn cut(text: &[u8], mark: u8) -> (&[u8], Option<&[u8]>) {
    match text.iter().position(|byte| *byte == mark) {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    }
}

fn is_scheme(text: &[u8]) -> bool {
    text.first().is_some_and(u8::is_ascii_alphabetic)
        && text
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'))
}

fn is_authority(text: &[u8]) -> bool {
    let (user, host_and_port) = match text.iter().position(|byte| *byte == b'@') {
        Some(at) => (&text[..at], &text[at + 1..]),
        None => (&text[..0], text),
    };
    let is_port = |port: &[u8]| port.iter().all(u8::is_ascii_digit);
    let host_fits = match host_and_port.strip_prefix(b"[") {
        Some(literal) => {
            let (address, rest) = cut(literal, b']');
            let port_fits = match rest {
                Some([]) => true,
                Some([b':', port @ ..]) => is_port(port),
                _ => false,
            };
            port_fits && is_ip_literal(address)
        }
        None => {
            let (host, port) = cut(host_and_port, b':');
            is_escaped_text(host, b"") && port.is_none_or(is_port)
        }
    };
    host_fits && is_escaped_text(user, b":")
}

fn is_ip_literal(text: &[u8]) -> bool {
    let is_future = |rest: &[u8]| {
        let (version, address) = cut(rest, b'.');
        !version.is_empty()
            && version.iter().all(u8::is_ascii_hexdigit)
            && address.is_some_and(|address| {
                !address.is_empty()
                    && address
                        .iter()
                        .all(|byte| is_unreserved(*byte) || is_sub_delim(*byte) || *byte == b':')
            })
    };
    match text {
        [b'v' | b'V', rest @ ..] => is_future(rest),
        _ => std::str::from_utf8(text).is_ok_and(|text| text.parse::<Ipv6Addr>().is_ok()),
    }
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

fn is_sub_delim(byte: u8) -> bool {
    b"!$&'()*+,;=".contains(&byte)
}

/// Unreserved characters, sub-delimiters, percent-encoded bytes, and what else this part of a URI allows.
fn is_escaped_text(text: &[u8], also: &[u8]) -> bool {
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        rest = match (first, after) {
            (b'%', [high, low, after @ ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => after,
            (byte, after) if is_unreserved(*byte) || is_sub_delim(*byte) || also.contains(byte) => after,
            _ => return false,
        };
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Formats, texts that have them, texts that do not.
    const CASES: &[(Format, &[&str], &[&str])] = &[
        (
            Format::Uuid,
            &[
                "2eb8aa08-aa98-11ea-b4aa-73b441d16380",
                "2EB8AA08-AA98-11EA-B4AA-73B441D16380",
                "00000000-0000-0000-0000-000000000000",
            ],
            &[
                "",
                "2eb8aa08aa9811eab4aa73b441d16380",
                "2eb8aa08-aa98-11ea-b4aa-73b441d1638",
                "2eb8aa08-aa98-11ea-b4aa-73b441d1638g",
                "{2eb8aa08-aa98-11ea-b4aa-73b441d16380}",
            ],
        ),
        (
            Format::Duration,
            &[
                "P4DT12H30M5S",
                "P4Y",
                "PT0S",
                "P1M",
                "PT36H",
                "P2W",
                "P1Y2M3D",
                "P1YT1S",
            ],
            &[
                "", "P", "PT", "P1", "1D", "P1YT", "P1D2H", "P1Y2W", "P1Y3D", "PT1H3S", "P1S", "PT1D",
                "P-1D", "P1.5D", "p1d", "P٢Y",
            ],
        ),
        (
            Format::Hostname,
            &["example.com", "a", "a-b.c", "1.2.3", "localhost"],
            &["", ".", "a.", ".a", "-a", "a-", "a..b", "a_b", "é.fr", "a b"],
        ),
        (
            Format::Email,
            &[
                "a@b",
                "joe.bloggs@example.com",
                "te~st@example.com",
                "\"joe bloggs\"@example.com",
                "\"a\\\"b\"@example.com",
                "\"joe@x\"@example.com",
                "a@[127.0.0.1]",
                "a@[IPv6:::1]",
            ],
            &[
                "",
                "a",
                "@b",
                "a@",
                ".a@b",
                "a.@b",
                "a..b@c",
                "a@b@c",
                "a@[1.2.3]",
                "a@[IPv6:1]",
                "a b@c",
                "a@b_c",
                "é@b.fr",
            ],
        ),
        (
            Format::Ipv4,
            &["192.168.0.1", "0.0.0.0"],
            &[
                "",
                "256.1.1.1",
                "1.2.3",
                "01.2.3.4",
                "1.2.3.4.5",
                "1.2.3.4/8",
                "0x7f.0.0.1",
            ],
        ),
        (
            Format::Ipv6,
            &["::", "::1", "1:2:3:4:5:6:7:8", "::ffff:1.2.3.4"],
            &[
                "",
                "1",
                "1::2::3",
                "12345::",
                "::1%eth0",
                "::1/64",
                "1:2:3:4:5:6:7",
            ],
        ),
        (
            Format::Uri,
            &[
                "http://example.com/a?b=c#d",
                "urn:isbn:1",
                "mailto:a@b.c",
                "http://u:p@h:80/",
                "ldap://[2001:db8::7]/c=GB?x",
                "a:",
                "file:///x",
                "http://[v1.a:b]/",
                "tel:+1",
                "http://a/%C3%A9",
            ],
            &[
                "",
                "//a/b",
                "/a",
                "a",
                "http://a b",
                "http://a/é",
                "http://[::1",
                "http://[1]/",
                "http://a:b/",
                "1a:b",
                ":a",
                "http://a/%g0",
                "http://a/%1",
                "http://a/<b>",
                "http://a#b#c",
            ],
        ),
        (
            Format::UriReference,
            &["", "//a/b", "/a?b", "a/b:c", "#x", "http://a", "./a:b"],
            &["\\\\a", "a b", "1:2", "#a#", "é", "{a}"],
        ),
        (
            Format::JsonPointer,
            &["", "/", "/a/b", "/a~0b", "/a~1b", "/é"],
            &["a", "/~", "/~2", "#/a"],
        ),
        (
            Format::Date,
            &["2020-02-29"],
            &["2021-02-29", "2020-2-9", "2020-02-29T"],
        ),
        (Format::Time, &["01:02:03Z"], &["01:02:03"]),
        (
            Format::DateTime,
            &["2020-02-29T01:02:03Z", "2020-02-29T01:02:03"],
            &["2020-02-29"],
        ),
    ];

    #[test]
    fn each_format_accepts_and_refuses() {
        for (format, good, bad) in CASES {
            for text in *good {
                assert!(format.matches(text), "{text:?} is {}", format.expected());
            }
            for text in *bad {
                assert!(!format.matches(text), "{text:?} is not {}", format.expected());
            }
        }
        assert!(
            Format::ALL
                .iter()
                .all(|format| CASES.iter().any(|(known, ..)| known == format))
        );
    }
}
