//! SCRAM-SHA-256: both sides prove that they know the password, and nobody on the way learns it.
//!
//! ```text
//!   CONNECT    n,,n=user,r=NONCE
//!   AUTH       r=NONCE+THEIRS,s=SALT,i=ITERATIONS
//!   AUTH       c=biws,r=NONCE+THEIRS,p=PROOF
//!   CONNACK    v=SIGNATURE
//! ```
//!
//! See RFC 5802 and RFC 7677. What the server sends is taken apart strictly, in the order of the grammar.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};

use super::{AuthStep, Authenticator};
use crate::codec::ReasonCode;
use crate::error::{Error, Result};

/// Fewer iterations are refused: the least that RFC 7677 allows.
const MIN_ITERATIONS: u32 = 4096;
/// More are refused: a server could keep the processor busy for as long as it likes.
const MAX_ITERATIONS: u32 = 600_000;
/// Bytes of chance in the client's nonce.
const NONCE_BYTES: usize = 24;
/// The GS2 header: no channel binding. It is `biws` in Base64.
const GS2_HEADER: &str = "n,,";

type Key = [u8; 32];

/// Authenticates with the method `SCRAM-SHA-256` (feature `scram`).
///
/// The password does not leave this process, not even to the server, and the server has to prove that it knows it too:
/// one that cannot is left with DISCONNECT 0x87 before the connection counts. There is no channel binding, so use it over
/// TLS where somebody could sit in between for the rest of the connection.
///
/// The work grows with the iterations that the server asks for; those outside of 4,096 to 600,000 (some tenths of a second)
/// are refused, see [`iterations`](Self::iterations).
///
/// User name and password are not normalised (SASLprep, RFC 4013): ASCII needs none and other text is taken as it is, so
/// give it in the form that the server has stored, which is NFKC as a rule.
///
/// ```
/// use callmq::client::{self as mqtt, Scram};
///
/// let client = mqtt::Client::builder("meter").protocol(mqtt::MQTTv5).build();
/// client.authenticator_set(Scram::sha256("user", "pencil")?)?;
/// # Ok::<(), mqtt::Error>(())
/// ```
///
/// See RFC 7677 and MQTT 5.0, section 4.12.
#[cfg_attr(docsrs, doc(cfg(feature = "scram")))]
pub struct Scram {
    username: String,
    password: String,
    min_iterations: u32,
    max_iterations: u32,
    nonce: Box<dyn FnMut() -> Result<String> + Send>,
    state: State,
}

enum State {
    /// No exchange is under way.
    Idle,
    /// The first message is with the server.
    First { nonce: String, bare: String },
    /// The proof is with the server; what it has to answer.
    Final { verifier: Hmac<Sha256> },
}

impl Scram {
    /// Makes an authenticator for this user.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`] if one of the two is empty, longer than 1,024 bytes, or contains control characters.
    pub fn sha256(username: impl Into<String>, password: impl Into<String>) -> Result<Self> {
        let (username, password) = (username.into(), password.into());
        for (argument, text) in [("username", &username), ("password", &password)] {
            if text.is_empty() || text.len() > 1024 {
                return Err(Error::argument(argument, "must have 1 to 1,024 bytes"));
            }
            if text.chars().any(char::is_control) {
                return Err(Error::argument(argument, "must not contain control characters"));
            }
        }
        Ok(Self {
            username,
            password,
            min_iterations: MIN_ITERATIONS,
            max_iterations: MAX_ITERATIONS,
            nonce: Box::new(random_nonce),
            state: State::Idle,
        })
    }

    /// Sets how many iterations a server may ask for: at least and at most. Defaults to 4,096 and 600,000.
    ///
    /// Fewer make a stolen proof easier to guess from, more cost time here.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`] if `min` is 0 or above `max`.
    pub fn iterations(mut self, min: u32, max: u32) -> Result<Self> {
        if min == 0 || min > max {
            return Err(Error::argument(
                "iterations",
                "must be from 1, and min not above max",
            ));
        }
        (self.min_iterations, self.max_iterations) = (min, max);
        Ok(self)
    }

    /// Takes the client's nonces from `nonce` instead of from the system: for tests only, since a nonce that repeats
    /// lets old proofs be used again.
    ///
    /// One that is empty or has other characters than printable ASCII without the comma makes the exchange fail.
    #[must_use]
    pub fn nonces(mut self, mut nonce: impl FnMut() -> String + Send + 'static) -> Self {
        self.nonce = Box::new(move || Ok(nonce()));
        self
    }

    /// The server-first-message: the client-final-message.
    fn prove(&mut self, challenge: &str, nonce: &str, bare: &str) -> Result<String> {
        let mut fields = challenge.split(',');
        let full_nonce = field(&mut fields, "r=")?;
        let salt = field(&mut fields, "s=")?;
        let iterations = field(&mut fields, "i=")?;
        if full_nonce.len() <= nonce.len() || !full_nonce.starts_with(nonce) || !is_nonce(full_nonce) {
            return Err(Error::other("the server's nonce does not continue the client's"));
        }
        let salt = BASE64.decode(salt).ok().filter(|salt| !salt.is_empty());
        let salt = salt.ok_or_else(|| Error::other("the salt is not Base64"))?;
        let digits = iterations.bytes().all(|digit| digit.is_ascii_digit());
        let iterations: Option<u32> = iterations.parse().ok().filter(|_| digits);
        let allowed = self.min_iterations..=self.max_iterations;
        let iterations = iterations.filter(|iterations| allowed.contains(iterations));
        let iterations =
            iterations.ok_or_else(|| Error::other("the number of iterations is not acceptable"))?;

        let salted = salted_password(self.password.as_bytes(), &salt, iterations)?;
        let client_key = hmac(&salted, b"Client Key")?;
        let stored_key = Sha256::digest(client_key);
        let channel = BASE64.encode(GS2_HEADER);
        let without_proof = format!("c={channel},r={full_nonce}");
        let auth_message = format!("{bare},{challenge},{without_proof}");
        let signature = hmac(&stored_key, auth_message.as_bytes())?;
        let proof: Vec<u8> = client_key.iter().zip(signature).map(|(a, b)| a ^ b).collect();
        let mut verifier = keyed(&hmac(&salted, b"Server Key")?)?;
        verifier.update(auth_message.as_bytes());
        self.state = State::Final { verifier };
        Ok(format!("{without_proof},p={}", BASE64.encode(proof)))
    }
}

impl Authenticator for Scram {
    fn method(&self) -> &str {
        "SCRAM-SHA-256"
    }

    fn start(&mut self) -> Result<Option<Bytes>> {
        self.state = State::Idle;
        let nonce = (self.nonce)()?;
        if !is_nonce(&nonce) {
            return Err(Error::other("the client's nonce is not one"));
        }
        // Not to be taken for the separators (RFC 5802, section 5.1).
        let username = self.username.replace('=', "=3D").replace(',', "=2C");
        let bare = format!("n={username},r={nonce}");
        let first = format!("{GS2_HEADER}{bare}");
        self.state = State::First { nonce, bare };
        Ok(Some(first.into()))
    }

    fn step(&mut self, reason: ReasonCode, data: Option<&[u8]>) -> Result<AuthStep> {
        let text = std::str::from_utf8(data.unwrap_or_default());
        let text = text.map_err(|_| Error::other("the server's message is not UTF-8"))?;
        match std::mem::replace(&mut self.state, State::Idle) {
            State::First { nonce, bare } if reason == ReasonCode::CONTINUE_AUTHENTICATION => {
                self.prove(text, &nonce, &bare).map(AuthStep::send)
            }
            State::Final { verifier } if reason == ReasonCode::SUCCESS => {
                verify(verifier, text)?;
                Ok(AuthStep::Done)
            }
            _ => Err(Error::other("the server's message is out of turn")),
        }
    }
}

impl fmt::Debug for Scram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scram")
            .field("username", &self.username)
            .field("min_iterations", &self.min_iterations)
            .field("max_iterations", &self.max_iterations)
            .finish_non_exhaustive()
    }
}

/// The server-final-message, compared in constant time.
fn verify(verifier: Hmac<Sha256>, text: &str) -> Result<()> {
    let mut fields = text.split(',');
    if let Ok(error) = field(&mut fields.clone(), "e=") {
        let error: String = error.chars().take(64).collect();
        return Err(Error::other(format!("the server reports {error:?}")));
    }
    let signature = field(&mut fields, "v=")?;
    let signature = BASE64.decode(signature).unwrap_or_default();
    let verified = verifier.verify_slice(&signature);
    verified.map_err(|_| Error::other("the server does not know the password: its signature is wrong"))
}

/// The next field, which has to be this one.
fn field<'a>(fields: &mut impl Iterator<Item = &'a str>, name: &str) -> Result<&'a str> {
    fields
        .next()
        .and_then(|field| field.strip_prefix(name))
        .ok_or_else(|| Error::other(format!("the server's message has no {name} where it is due")))
}

/// Printable ASCII without the comma.
fn is_nonce(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b',')
}

fn random_nonce() -> Result<String> {
    let mut bytes = [0; NONCE_BYTES];
    getrandom::fill(&mut bytes).map_err(|error| Error::other(error.to_string()))?;
    Ok(BASE64.encode(bytes))
}

/// `Hi` of RFC 5802, which is PBKDF2 with one block.
fn salted_password(password: &[u8], salt: &[u8], iterations: u32) -> Result<Key> {
    let keyed = keyed(password)?;
    let mut round = keyed.clone().chain_update(salt).chain_update(1u32.to_be_bytes());
    let mut sum = Key::default();
    for remaining in (0..iterations).rev() {
        let block = round.finalize().into_bytes();
        sum.iter_mut().zip(&block).for_each(|(sum, byte)| *sum ^= byte);
        if remaining == 0 {
            break;
        }
        round = keyed.clone().chain_update(block);
    }
    Ok(sum)
}

fn hmac(key: &[u8], data: &[u8]) -> Result<Key> {
    Ok(keyed(key)?.chain_update(data).finalize().into_bytes().into())
}

fn keyed(key: &[u8]) -> Result<Hmac<Sha256>> {
    // Any length will do.
    Hmac::new_from_slice(key).map_err(|error| Error::other(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: &str = "n,,n=user,r=rOprNGfwEbeRWgbNEkqO";
    const CHALLENGE: &str =
        "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
    const PROOF: &str = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                         p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
    const SIGNATURE: &str = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";

    /// The example of RFC 7677, section 3.
    fn example() -> Scram {
        Scram::sha256("user", "pencil")
            .unwrap()
            .nonces(|| "rOprNGfwEbeRWgbNEkqO".to_owned())
    }

    fn started() -> Scram {
        let mut scram = example();
        assert_eq!(scram.start().unwrap().unwrap(), FIRST);
        scram
    }

    fn proved() -> Scram {
        let mut scram = started();
        let step = scram.step(ReasonCode::CONTINUE_AUTHENTICATION, Some(CHALLENGE.as_bytes()));
        assert_eq!(step.unwrap(), AuthStep::send(PROOF));
        scram
    }

    #[test]
    fn the_example_of_the_rfc() {
        let mut scram = proved();
        let end = scram.step(ReasonCode::SUCCESS, Some(SIGNATURE.as_bytes()));
        assert_eq!(end.unwrap(), AuthStep::Done);
        // Extensions may stand behind.
        let more = format!("{SIGNATURE},x=1");
        assert_eq!(
            proved().step(ReasonCode::SUCCESS, Some(more.as_bytes())).unwrap(),
            AuthStep::Done
        );
        // Another exchange, from the start, also where one was broken off.
        let mut scram = proved();
        assert_eq!(scram.start().unwrap().unwrap(), FIRST);
        let step = scram.step(ReasonCode::CONTINUE_AUTHENTICATION, Some(CHALLENGE.as_bytes()));
        assert_eq!(step.unwrap(), AuthStep::send(PROOF));
    }

    #[test]
    fn a_challenge_that_is_not_one_is_refused() {
        let nonce = "rOprNGfwEbeRWgbNEkqO";
        for challenge in [
            "",
            "m=ext,r=rOprNGfwEbeRWgbNEkqOx,s=AAAA,i=4096",
            "s=AAAA,r=rOprNGfwEbeRWgbNEkqOx,i=4096",
            "r=rOprNGfwEbeRWgbNEkqOx,i=4096",
            "r=rOprNGfwEbeRWgbNEkqOx,s=AAAA",
            &format!("r={nonce},s=AAAA,i=4096"),
            "r=xOprNGfwEbeRWgbNEkqOx,s=AAAA,i=4096",
            "r=rOprNGfwEbeRWgbNEkqO\u{e9},s=AAAA,i=4096",
            "r=rOprNGfwEbeRWgbNEkqO x,s=AAAA,i=4096",
            "r=rOprNGfwEbeRWgbNEkqOx,s=,i=4096",
            "r=rOprNGfwEbeRWgbNEkqOx,s=A,i=4096",
            "r=rOprNGfwEbeRWgbNEkqOx,s=!!!!,i=4096",
            "r=rOprNGfwEbeRWgbNEkqOx,s=AAAA,i=4095",
            "r=rOprNGfwEbeRWgbNEkqOx,s=AAAA,i=0",
            "r=rOprNGfwEbeRWgbNEkqOx,s=AAAA,i=-1",
            "r=rOprNGfwEbeRWgbNEkqOx,s=AAAA,i=+4096",
            "r=rOprNGfwEbeRWgbNEkqOx,s=AAAA,i=600001",
            "r=rOprNGfwEbeRWgbNEkqOx,s=AAAA,i=99999999999",
            "r=rOprNGfwEbeRWgbNEkqOx,s=AAAA,i=",
        ] {
            let step = started().step(ReasonCode::CONTINUE_AUTHENTICATION, Some(challenge.as_bytes()));
            assert!(step.is_err(), "{challenge}");
        }
        for data in [None, Some(&b"r=\xff"[..])] {
            assert!(started().step(ReasonCode::CONTINUE_AUTHENTICATION, data).is_err());
        }
    }

    #[test]
    fn a_server_that_proves_nothing_is_refused() {
        for end in [
            "",
            "v=",
            "v=!",
            "v=AAAA",
            "v=7rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
            "x=1,v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
            "e=other-error",
        ] {
            assert!(
                proved().step(ReasonCode::SUCCESS, Some(end.as_bytes())).is_err(),
                "{end}"
            );
        }
        assert!(proved().step(ReasonCode::SUCCESS, None).is_err());
        // Success before there was a proof, or twice; a challenge too many.
        assert!(
            started()
                .step(ReasonCode::SUCCESS, Some(SIGNATURE.as_bytes()))
                .is_err()
        );
        assert!(
            example()
                .step(ReasonCode::SUCCESS, Some(SIGNATURE.as_bytes()))
                .is_err()
        );
        let mut scram = proved();
        let again = scram.step(ReasonCode::CONTINUE_AUTHENTICATION, Some(CHALLENGE.as_bytes()));
        assert!(again.is_err());
        assert!(
            scram
                .step(ReasonCode::SUCCESS, Some(SIGNATURE.as_bytes()))
                .is_err()
        );
    }

    #[test]
    fn names_are_escaped_and_bounds_are_checked() {
        let mut scram = Scram::sha256("a=b,c", "p").unwrap().nonces(|| "x".to_owned());
        assert_eq!(scram.start().unwrap().unwrap(), "n,,n=a=3Db=2Cc,r=x");
        let long = "x".repeat(1025);
        for (username, password) in [
            ("", "p"),
            ("u", ""),
            ("u\0", "p"),
            ("u", "p\u{7f}"),
            (long.as_str(), "p"),
        ] {
            assert!(Scram::sha256(username, password).is_err());
        }
        assert!(example().iterations(0, 5).is_err());
        assert!(example().iterations(6, 5).is_err());
        let mut few = example().iterations(1, 10).unwrap();
        few.start().unwrap();
        let challenge = b"r=rOprNGfwEbeRWgbNEkqOx,s=AAAA,i=1";
        assert!(
            few.step(ReasonCode::CONTINUE_AUTHENTICATION, Some(challenge))
                .is_ok()
        );
        for nonce in ["", "a,b", "\u{e9}"] {
            assert!(example().nonces(move || nonce.to_owned()).start().is_err());
        }
    }

    #[test]
    fn nonces_are_of_chance_and_secrets_are_not_printed() {
        let mut scram = Scram::sha256("user", "pencil").unwrap();
        let first = scram.start().unwrap().unwrap();
        assert_ne!(first, scram.start().unwrap().unwrap());
        assert_eq!(first.len(), "n,,n=user,r=".len() + 32);
        assert!(!format!("{scram:?}").contains("pencil"));
    }

    proptest::proptest! {
        #[test]
        fn no_message_makes_it_panic(text in "(r=rOprNGfwEbeRWgbNEkqO)?[a-z=,0-9]{0,30}", end: String) {
            let mut scram = example().iterations(1, 50).unwrap();
            scram.start().unwrap();
            let _ = scram.step(ReasonCode::CONTINUE_AUTHENTICATION, Some(text.as_bytes()));
            proptest::prop_assert!(verify(keyed(b"key").unwrap(), &end).is_err());
            let end = String::from("v=") + &end;
            proptest::prop_assert!(verify(keyed(b"key").unwrap(), &end).is_err());
        }
    }
}
