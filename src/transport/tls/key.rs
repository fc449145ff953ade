//! Private keys from PEM, also encrypted ones.

use pkcs8::{EncryptedPrivateKeyInfo, SecretDocument};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

/// How to get from any form to one that is understood.
const CONVERT: &str =
    "convert it with: openssl pkcs8 -topk8 -v2 aes-256-cbc -v2prf hmacWithSHA256 -in KEY -out NEW";

/// Reads the first private key.
///
/// # Errors
///
/// What is wrong with it, to stand behind the name of the file.
pub(super) fn read_key(pem: &[u8], password: Option<&str>) -> Result<PrivateKeyDer<'static>, String> {
    let text = String::from_utf8_lossy(pem);
    if let Some(section) = section(&text, ENCRYPTED) {
        let password = password.ok_or("the key is encrypted, and no password is given (key_password)")?;
        return decrypt(section, password);
    }
    if text.contains("Proc-Type: 4,ENCRYPTED") {
        return Err(format!(
            "the key is encrypted in an old form that is not supported; {CONVERT}"
        ));
    }
    PrivateKeyDer::from_pem_slice(pem).map_err(|error| match error {
        rustls::pki_types::pem::Error::NoItemsFound => "there is no private key in PEM form in it".to_owned(),
        error => format!("the private key cannot be read: {error}"),
    })
}

fn decrypt(section: &str, password: &str) -> Result<PrivateKeyDer<'static>, String> {
    let (_, encrypted) = SecretDocument::from_pem(section)
        .map_err(|error| format!("the encrypted key cannot be read: {error}"))?;
    let encrypted = EncryptedPrivateKeyInfo::try_from(encrypted.as_bytes())
        .map_err(|_| format!("the key is encrypted in a form that is not supported; {CONVERT}"))?;
    use pkcs8::pkcs5::Error as Kind;
    match encrypted.decrypt(password) {
        Ok(key) => Ok(PrivatePkcs8KeyDer::from(key.as_bytes().to_vec()).into()),
        Err(pkcs8::Error::EncryptedPrivateKey(
            Kind::UnsupportedAlgorithm { .. }
            | Kind::NoPbes1CryptSupport
            | Kind::AlgorithmParametersInvalid { .. },
        )) => Err(format!(
            "the key is encrypted in a form that is not supported; {CONVERT}"
        )),
        // What comes out is no key.
        Err(_) => Err("the password of the key is wrong".to_owned()),
    }
}

/// The part of a PEM file that has this label, without what stands around it.
fn section<'a>(text: &'a str, label: &str) -> Option<&'a str> {
    let (begin, end) = (
        format!("-----BEGIN {label}-----"),
        format!("-----END {label}-----"),
    );
    let from = text.find(&begin)?;
    let section = text.get(from..)?;
    let length = section.find(&end)? + end.len();
    section.get(..length)
}

const ENCRYPTED: &str = "ENCRYPTED PRIVATE KEY";
