//! Why a broker's certificate is not trusted, asked of OpenSSL: librdkafka itself only says that it is not.

use std::ffi::{c_char, c_int, c_void};
use std::sync::atomic::{AtomicI32, Ordering::SeqCst};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use eventlake_core::config::KafkaConfig;
use rdkafka::bindings;
use rdkafka::client::{Client, DefaultClientContext};
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::types::{RDKafka, RDKafkaConfRes, RDKafkaType};

use super::client::client_config;

/// How long a broker may take to show its certificate.
const TIME_MAX: Duration = Duration::from_secs(3);
const SLICE: Duration = Duration::from_millis(100);

/// What is wrong with a certificate, and what to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CertificateFault {
    pub what: &'static str,
    pub hint: &'static str,
}

/// OpenSSL's code for the certificate that the question at hand is about; 0 while there is none. The callback gets no
/// place of its own to write to, so one question is asked at a time.
static VERDICT: AtomicI32 = AtomicI32::new(0);
static ASKING: Mutex<()> = Mutex::new(());

/// Connects once more, to ask. None where the certificate is no trouble, or it was not shown in time.
#[must_use]
pub fn certificate_fault(kafka: &KafkaConfig) -> Option<CertificateFault> {
    let _one_at_a_time = ASKING.lock().unwrap_or_else(PoisonError::into_inner);
    VERDICT.store(0, SeqCst);
    let mut config = client_config(kafka);
    // Whoever asks has said already what librdkafka has to say.
    config.set_log_level(RDKafkaLogLevel::Emerg);
    let native = config.create_native_config().ok()?;
    // SAFETY: `native` is a live configuration, which no client uses yet; the callback lives as long as the program.
    let taken = unsafe { bindings::rd_kafka_conf_set_ssl_cert_verify_cb(native.ptr(), Some(note_verdict)) };
    if taken != RDKafkaConfRes::RD_KAFKA_CONF_OK {
        return None; // Built without TLS.
    }
    let kind = RDKafkaType::RD_KAFKA_PRODUCER;
    let client = Client::new(&config, native, kind, DefaultClientContext).ok()?;
    let deadline = Instant::now() + TIME_MAX;
    while VERDICT.load(SeqCst) == 0 && Instant::now() < deadline {
        if client.fetch_metadata(None, SLICE).is_ok() {
            return None;
        }
    }
    drop(client);
    fault_of(VERDICT.load(SeqCst))
}

/// Called for each certificate of the chain: refuses what OpenSSL refuses, and keeps its reason.
unsafe extern "C" fn note_verdict(
    _client: *mut RDKafka,
    _broker: *const c_char,
    _broker_id: i32,
    x509_error: *mut c_int,
    _depth: c_int,
    _certificate: *const c_char,
    _size: usize,
    _error: *mut c_char,
    _error_size: usize,
    _opaque: *mut c_void,
) -> c_int {
    // SAFETY: librdkafka passes the address of an integer of its own, for the time of the call.
    let error = unsafe { *x509_error };
    if error == 0 {
        return 1;
    }
    // The first reason is the one to tell.
    let _ = VERDICT.compare_exchange(0, error, SeqCst, SeqCst);
    0
}

/// By the codes in OpenSSL's x509_vfy.h.
fn fault_of(x509_error: i32) -> Option<CertificateFault> {
    let fault = |what, hint| Some(CertificateFault { what, hint });
    match x509_error {
        0 => None,
        10 => fault(
            "the broker's certificate has expired",
            "the broker needs a new certificate; is the clock of this machine right?",
        ),
        9 => fault(
            "the broker's certificate is not valid yet",
            "is the clock of this machine right?",
        ),
        2 | 18..=21 => fault(
            "the broker's certificate was signed by an authority that is not known here",
            "set ssl.ca.location in [kafka.properties] to the certificate of the authority that signed it",
        ),
        62..=64 => fault(
            "the broker's certificate is for another host name",
            "name the brokers in [kafka] brokers, and in their advertised.listeners, as their certificate does",
        ),
        23 => fault(
            "the broker's certificate was revoked",
            "the broker needs a new certificate",
        ),
        _ => fault(
            "the broker's certificate does not hold",
            "`openssl s_client -connect HOST:PORT -CAfile FILE` says why",
        ),
    }
}

#[cfg(test)]
mod tests {
    use eventlake_core::config::KafkaConfig;

    use super::*;

    #[test]
    fn each_reason_is_said_in_words_and_with_what_to_do() {
        let said = |code| fault_of(code).map(|fault| fault.what);
        assert_eq!(said(0), None);
        assert_eq!(said(10), Some("the broker's certificate has expired"));
        for unknown in [2, 18, 19, 20, 21] {
            assert!(said(unknown).is_some_and(|what| what.contains("authority that is not known")));
        }
        assert!(said(64).is_some_and(|what| what.contains("another host name")));
        assert!(said(9_999).is_some());
    }

    #[test]
    fn without_tls_there_is_no_certificate_to_be_wrong() {
        let kafka = KafkaConfig {
            brokers: "127.0.0.1:1".into(),
            group: "g".into(),
            properties: [("socket.timeout.ms", "1000")].into(),
        };
        let began = Instant::now();
        assert_eq!(certificate_fault(&kafka), None);
        assert!(began.elapsed() < Duration::from_secs(10));
    }
}
