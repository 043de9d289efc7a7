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
        // librdkafka quotes what it does not take.
        let reason = reason.replace(&format!("\"{value}\""), "(not shown)");
        // Made for a client as a whole, the same hint stands on a line of its own.
        let tls = match !cfg!(feature = "tls") && needs_tls(&reason) {
            true => format!("; hint: {BUILD_WITH_TLS}"),
            false => String::new(),
        };
        Err(format!("librdkafka refuses it: {reason}{tls}"))
    })
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
    fn what_librdkafka_refuses_is_said_without_the_value() {
        let unknown = check("no.such.property", "hunter2").expect_err("it is unknown");
        assert_eq!(
            unknown,
            "librdkafka refuses it: No such configuration property: \"no.such.property\""
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
