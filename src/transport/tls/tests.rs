//! Reading keys and certificates; what goes over the wire is tested with servers, in `tests/layers`.

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::certificate::Certificate;
use super::key::read_key;

macro_rules! fixture {
    ($name:literal) => {
        include_bytes!(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/fixtures/keys/",
            $name
        ))
    };
}

fn refused(pem: &[u8], password: Option<&str>) -> String {
    read_key(pem, password).unwrap_err()
}

#[test]
fn keys_without_password_in_all_their_forms() {
    assert!(matches!(
        read_key(fixture!("sec1.pem"), None),
        Ok(PrivateKeyDer::Sec1(_))
    ));
    assert!(matches!(
        read_key(fixture!("pkcs1.pem"), None),
        Ok(PrivateKeyDer::Pkcs1(_))
    ));
    // A password that is not needed does no harm.
    assert!(matches!(
        read_key(fixture!("pkcs8.pem"), Some("any")),
        Ok(PrivateKeyDer::Pkcs8(_))
    ));
}

#[test]
fn an_encrypted_key_is_the_plain_one_once_decrypted() {
    let plain = read_key(fixture!("pkcs8.pem"), None).unwrap();
    for pem in [&fixture!("pbkdf2.pem")[..], fixture!("scrypt.pem")] {
        assert_eq!(read_key(pem, Some("secret")).unwrap(), plain);
        let beside_others = [&fixture!("certificate.pem")[..], b"text\n", pem, b"more text\n"].concat();
        assert_eq!(read_key(&beside_others, Some("secret")).unwrap(), plain);
        assert_eq!(refused(pem, Some("wrong")), "the password of the key is wrong");
        assert!(refused(pem, None).contains("no password is given (key_password)"));
    }
}

#[test]
fn older_encrypted_forms_are_refused_with_the_command_that_converts_them() {
    for pem in [
        &fixture!("legacy.pem")[..],
        fixture!("pbes1.pem"),
        fixture!("des3.pem"),
    ] {
        let error = refused(pem, Some("secret"));
        assert!(error.contains("openssl pkcs8 -topk8"), "{error}");
    }
}

#[test]
fn what_is_no_key_is_refused() {
    for (pem, expected) in [
        (&b""[..], "no private key in PEM form"),
        (fixture!("certificate.pem"), "no private key in PEM form"),
        (
            b"-----BEGIN PRIVATE KEY-----\n!\n-----END PRIVATE KEY-----\n",
            "cannot be read",
        ),
        (
            b"-----BEGIN ENCRYPTED PRIVATE KEY-----\n!\n-----END ENCRYPTED PRIVATE KEY-----\n",
            "cannot be read",
        ),
    ] {
        let error = refused(pem, Some("secret"));
        assert!(error.contains(expected), "{error}");
    }
    // An end is missing.
    refused(b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA", Some("secret"));
}

#[test]
fn a_certificate_says_who_it_is_for_and_when_it_is_valid() {
    let der = CertificateDer::from_pem_slice(fixture!("certificate.pem")).unwrap();
    let certificate = Certificate::read(&der).unwrap();
    // The line break in it is gone: it goes into logs.
    assert_eq!(
        certificate.to_string(),
        "CN=meter 7, OU=Test, O=Example, signed by itself"
    );
    assert!(certificate.is_self_signed());
    // The two forms of dates: the end is after 2049.
    assert_eq!(
        certificate.not_after - certificate.not_before,
        36_500 * 24 * 3_600
    );
    assert_eq!(certificate.not_before, NOT_BEFORE);
}

#[test]
fn no_part_of_a_certificate_makes_it_panic() {
    let der = CertificateDer::from_pem_slice(fixture!("certificate.pem")).unwrap();
    for end in 0..der.len() {
        let _ = Certificate::read(&der[..end]);
    }
    for index in 0..der.len() {
        for value in [0x00, 0x7F, 0x80, 0x84, 0xFF] {
            let mut changed = der.to_vec();
            changed[index] = value;
            let _ = Certificate::read(&changed).map(|certificate| certificate.to_string());
        }
    }
}

/// What `openssl x509 -dates` says, in seconds since 1970.
const NOT_BEFORE: i64 = 1795291156;
