//! Signatures of Standard Webhooks: HMAC-SHA-256 over id, time and body.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::fmt;

/// A key that sender and receiver share: `whsec_` and base64 of 24 to 64 bytes.
#[derive(Clone)]
pub(crate) struct SigningKey(Vec<u8>);

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(..)")
    }
}

impl SigningKey {
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        let malformed = "a signing key is whsec_ and base64 of 24 to 64 bytes";
        let bytes = text.strip_prefix("whsec_").and_then(|text| STANDARD.decode(text).ok()).ok_or(malformed)?;
        if (24..=64).contains(&bytes.len()) { Ok(Self(bytes)) } else { Err(malformed) }
    }

    /// Returns the value of `webhook-signature`. `timestamp` is the time of this attempt in seconds.
    pub(crate) fn sign(&self, id: &str, timestamp: i64, body: &[u8]) -> String {
        format!("v1,{}", STANDARD.encode(self.mac(id, timestamp, body).finalize().into_bytes()))
    }

    /// Returns whether one of the signatures of a message is right, and its time within five minutes of `now`. Receivers do this before
    /// they read the body; an older message could be a replayed one.
    #[allow(dead_code, reason = "for receivers")]
    pub(crate) fn verify(&self, id: &str, timestamp: i64, signatures: &str, body: &[u8], now: i64) -> bool {
        const TOLERANCE: u64 = 5 * 60;
        let is_right = |signature: &str| {
            let bytes = signature.strip_prefix("v1,").and_then(|text| STANDARD.decode(text).ok());
            // In constant time.
            bytes.is_some_and(|bytes| self.mac(id, timestamp, body).verify_slice(&bytes).is_ok())
        };
        now.abs_diff(timestamp) <= TOLERANCE && signatures.split(' ').any(is_right)
    }

    fn mac(&self, id: &str, timestamp: i64, body: &[u8]) -> Hmac<Sha256> {
        #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("a key of any length");
        mac.update(format!("{id}.{timestamp}.").as_bytes());
        mac.update(body);
        mac
    }
}
