//! Whether librdkafka takes a property with a value, asked without making a client.

use rdkafka::config::ClientConfig;

use super::client::{BUILD_WITH_TLS, client_creation_reason, needs_tls};

/// Asks librdkafka whether it knows the property and takes the value. Whether the properties fit each other only
/// shows when a client is made of them.
///
/// # Errors
/// Why not, in librdkafka's words; the value is not among them, as it may be a secret.
pub fn check(name: &str, value: &str) -> Result<(), String> {
    check_mechanism(name, value)?;
    let refused = ClientConfig::new().set(name, value).create_native_config().err();
    refused.map_or(Ok(()), |error| {
        let reason = client_creation_reason(&error);
        let reason = reason.lines().next().unwrap_or_default();
        let reason = reason.strip_prefix(&format!("{name}: ")).unwrap_or(reason);
        let reason = without_value(reason, name, value);
        // Made for a client as a whole, the same hint stands on a line of its own.
        let tls = match !cfg!(feature = "tls") && needs_tls(&reason) {
            true => format!("; hint: {BUILD_WITH_TLS}"),
            false => String::new(),
        };
        Err(format!("librdkafka refuses it: {reason}{tls}"))
    })
}

/// librdkafka quotes what it does not take, whole or by the pieces between commas, or puts it behind a colon; and it cuts a message
/// that becomes too long, so that of a long value the end is missing and the quote behind it.
fn without_value(reason: &str, name: &str, value: &str) -> String {
    const NOT_SHOWN: &str = "(not shown)";
    // What was cut in the middle of a character ends with the sign for one that cannot be read.
    let is_of_value = |text: &str| {
        let read = text.trim_end_matches(char::REPLACEMENT_CHARACTER);
        !text.is_empty() && value.contains(text) || !read.is_empty() && value.contains(read)
    };
    // A value may hold quotes of its own: it goes first, whole or to where the message was cut.
    let mut reason = reason.replace(&format!("\"{value}\""), NOT_SHOWN);
    let behind = format!("\"{name}\": ");
    let quotes = reason.match_indices('"').map(|(at, _)| (at, at + 1));
    let colon = reason
        .find(&behind)
        .map(|at| (at + behind.len(), at + behind.len()));
    let cut = colon.into_iter().chain(quotes).find(|(_, begins)| {
        let rest = reason[*begins..].trim_end_matches(char::REPLACEMENT_CHARACTER);
        !rest.is_empty() && value.starts_with(rest)
    });
    if let Some((at, _)) = cut {
        reason.replace_range(at.., NOT_SHOWN);
    }
    let mut shown = String::with_capacity(reason.len());
    for (number, part) in reason.split('"').enumerate() {
        let is_quoted = number % 2 == 1;
        match (is_quoted, part.strip_prefix(": ")) {
            (true, _) if part != name && is_of_value(part) => shown.push_str(NOT_SHOWN),
            (true, _) => shown.push_str(&format!("\"{part}\"")),
            (false, Some(behind)) if is_of_value(behind) => shown.push_str(&format!(": {NOT_SHOWN}")),
            (false, _) => shown.push_str(part),
        }
    }
    shown
}

/// librdkafka takes any text for a mechanism, and quotes it in its log: it may be a password in the wrong place. That it was
/// built without one of them, it says only when a client is made.
fn check_mechanism(name: &str, value: &str) -> Result<(), String> {
    const MECHANISMS: [&str; 5] = ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER", "GSSAPI"];
    let is_mechanism = matches!(name, "sasl.mechanism" | "sasl.mechanisms");
    if is_mechanism && !MECHANISMS.contains(&value) {
        return Err(format!("expected one of {}", MECHANISMS.join(", ")));
    }
    let needs_openssl = value.starts_with("SCRAM-") || value == "OAUTHBEARER";
    if is_mechanism && needs_openssl && !cfg!(feature = "tls") {
        return Err(format!(
            "this program was built without {value}; hint: {BUILD_WITH_TLS}"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_properties_pass() {
        for (name, value) in [
            ("client.id", "x"),
            ("socket.keepalive.enable", "true"),
            ("sasl.password", "p"),
            ("sasl.mechanism", "PLAIN"),
        ] {
            assert_eq!(check(name, value), Ok(()), "{name}");
        }
    }

    #[test]
    fn a_value_that_is_longer_than_a_message_is_not_shown_in_part() {
        for value in [
            "hunter2".repeat(200),
            "hünter2".repeat(60),
            "\u{fffd}".repeat(170) + "hunter2",
            "hunter2\nhunter3".to_owned(),
            "\"hunter2".repeat(200),
        ] {
            for name in ["security.protocol", "socket.keepalive.enable", "partitioner"] {
                let wrong = check(name, &value).expect_err("it is no such value");
                let is_shown = ["hunter", "hünter", "\u{fffd}"]
                    .into_iter()
                    .any(|part| wrong.contains(part));
                assert!(!is_shown, "{wrong}");
            }
            let wrong = check("security.protocol", &value).expect_err("it is no such value");
            assert!(wrong.contains("Invalid value (not shown)"), "{wrong}");
        }
    }

    #[test]
    fn what_librdkafka_refuses_is_said_without_the_value() {
        let unknown = check("no.such.property", "hunter2").expect_err("it is unknown");
        assert_eq!(
            unknown,
            "librdkafka refuses it: No such configuration property: \"no.such.property\""
        );
        let behind = check("partitioner", "hunter2").expect_err("it is no such value");
        assert!(
            behind.ends_with("property \"partitioner\": (not shown)"),
            "{behind}"
        );
        let piece = check("debug", "broker,hunter2").expect_err("it is no such value");
        assert!(
            piece.contains("(not shown)") && !piece.contains("hunter2"),
            "{piece}"
        );
        let mechanism = check("sasl.mechanism", "hunter2").expect_err("it is no such value");
        assert!(mechanism.starts_with("expected one of PLAIN, "), "{mechanism}");
        for name in [
            "security.protocol",
            "socket.keepalive.enable",
            "session.timeout.ms",
        ] {
            let wrong = check(name, "hunter2").expect_err("it is no such value");
            assert!(
                wrong.starts_with("librdkafka refuses it: ") && !wrong.contains("hunter2"),
                "{wrong}"
            );
        }
    }
}
