//! What of a certificate's bytes (RFC 5280, in DER) is needed beside what rustls tells: its public key, and its digest for a sign-in.

use sha2::{Digest as _, Sha256, Sha384, Sha512};

const SEQUENCE: u8 = 0x30;
const OBJECT_IDENTIFIER: u8 = 0x06;
/// The version, which a certificate of the first one leaves out.
const EXPLICIT_0: u8 = 0xa0;

/// One value, and what comes after it.
struct Element<'a> {
    tag: u8,
    /// With its tag and length.
    whole: &'a [u8],
    content: &'a [u8],
    rest: &'a [u8],
}

/// `tls-server-end-point` (RFC 5929): the certificate's digest by the hash that it is signed with, and by SHA-256 for the two that
/// are broken. None where that hash is none of those.
pub fn end_point(certificate: &[u8]) -> Option<Vec<u8>> {
    let to_be_signed = expect(element(certificate)?.content, SEQUENCE)?;
    let algorithm = expect(to_be_signed.rest, SEQUENCE)?;
    let identifier = expect(algorithm.content, OBJECT_IDENTIFIER)?.content;
    Some(match identifier {
        // 1.2.840.113549.1.1: RSA with MD5, SHA-1, SHA-256, -384, -512.
        [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, hash] => match hash {
            4 | 5 | 11 => Sha256::digest(certificate).to_vec(),
            12 => Sha384::digest(certificate).to_vec(),
            13 => Sha512::digest(certificate).to_vec(),
            _ => return None,
        },
        // 1.2.840.10045.4: ECDSA with SHA-1; with SHA-256, -384, -512.
        [0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 1] | [0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2] => {
            Sha256::digest(certificate).to_vec()
        }
        [0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 3] => Sha384::digest(certificate).to_vec(),
        [0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 4] => Sha512::digest(certificate).to_vec(),
        _ => return None,
    })
}

/// The `SubjectPublicKeyInfo`, whole.
pub fn public_key(certificate: &[u8]) -> Option<&[u8]> {
    let to_be_signed = expect(element(certificate)?.content, SEQUENCE)?;
    let mut next = element(to_be_signed.content)?;
    if next.tag == EXPLICIT_0 {
        next = element(next.rest)?;
    }
    // After the serial number: algorithm, issuer, dates, subject, key.
    for _ in 0..5 {
        next = expect(next.rest, SEQUENCE)?;
    }
    Some(next.whole)
}

fn expect(bytes: &[u8], tag: u8) -> Option<Element<'_>> {
    element(bytes).filter(|element| element.tag == tag)
}

fn element(bytes: &[u8]) -> Option<Element<'_>> {
    let (&tag, after) = bytes.split_first()?;
    let (&first, after) = after.split_first()?;
    // From 128 bytes on the first says how many more tell the length.
    let (length, after) = match first {
        0..=0x7f => (usize::from(first), after),
        0x81..=0x84 => {
            let (length, after) = after.split_at_checked(usize::from(first & 0x7f))?;
            let length = length.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
            (length, after)
        }
        _ => return None,
    };
    let (content, rest) = after.split_at_checked(length)?;
    Some(Element {
        tag,
        whole: &bytes[..bytes.len() - rest.len()],
        content,
        rest,
    })
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject as _;

    use super::*;

    fn receiver() -> CertificateDer<'static> {
        let pem = include_bytes!("../webhook/tests/receiver.pem");
        CertificateDer::from_pem_slice(pem).expect("a certificate")
    }

    /// As much of one as says how it is signed.
    fn signed_with(identifier: &[u8]) -> Vec<u8> {
        let length = u8::try_from(identifier.len()).expect("short");
        let algorithm = [&[0x30, length + 2, 6, length], identifier].concat();
        let length = u8::try_from(algorithm.len()).expect("short");
        [&[0x30, length + 2, 0x30, 0], &algorithm[..]].concat()
    }

    #[test]
    fn a_certificate_is_known_by_the_hash_that_signed_it() {
        let rsa = |hash| signed_with(&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, hash]);
        let ecdsa = |rest: &[u8]| signed_with(&[&[0x2a, 0x86, 0x48, 0xce, 0x3d, 4], rest].concat());
        for certificate in [rsa(4), rsa(5), rsa(11), ecdsa(&[1]), ecdsa(&[3, 2])] {
            assert_eq!(
                end_point(&certificate),
                Some(Sha256::digest(&certificate).to_vec())
            );
        }
        for certificate in [rsa(12), ecdsa(&[3, 3])] {
            assert_eq!(
                end_point(&certificate),
                Some(Sha384::digest(&certificate).to_vec())
            );
        }
        for certificate in [rsa(13), ecdsa(&[3, 4])] {
            assert_eq!(
                end_point(&certificate),
                Some(Sha512::digest(&certificate).to_vec())
            );
        }
        // RSA-PSS, whose hash is a parameter; and Ed25519, which has none.
        for certificate in [rsa(10), receiver().to_vec()] {
            assert_eq!(end_point(&certificate), None);
        }
    }

    #[test]
    fn a_certificate_has_its_public_key() {
        let certificate = receiver();
        let parsed = rustls::server::ParsedCertificate::try_from(&certificate).expect("a certificate");
        assert_eq!(
            public_key(&certificate),
            Some(parsed.subject_public_key_info().as_ref())
        );
    }

    #[test]
    fn what_is_no_certificate_has_neither() {
        let certificate = receiver();
        for end in 0..certificate.len() {
            assert_eq!(end_point(&certificate[..end]), None, "{end}");
            assert_eq!(public_key(&certificate[..end]), None, "{end}");
        }
        for bytes in [
            &[0x30, 0x84, 0xff, 0xff, 0xff, 0xff][..],
            &[0x30, 0x80],
            &[0xff; 64],
        ] {
            assert_eq!(end_point(bytes), None);
            assert_eq!(public_key(bytes), None);
        }
    }
}
