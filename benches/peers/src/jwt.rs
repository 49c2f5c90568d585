//! Signed tokens, verified by jsonwebtoken in the same layer of tower-http's.
//!
//! Done: signature and `exp` are checked by the crate's default rules, with a key made once; the route's action must be
//! in `scope`; the claims go into the extensions. Not done: a token says until it expires what was so when it was
//! signed, whatever becomes of it, of its owner or of the owner's roles. A list of those taken back would be one more
//! look-up, and is not here.

use crate::by_hand::{Bearer, MAY};
use http::StatusCode;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

pub(crate) struct Keys {
    algorithm: Algorithm,
    signs: EncodingKey,
    verifies: Arc<DecodingKey>,
}

#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Claims {
    sub: String,
    exp: u64,
    /// Separated by spaces, as OAuth has it.
    scope: String,
}

/// Whose cryptography is used, for the whole process.
pub(crate) fn provider() -> &'static str {
    #[cfg(feature = "aws-lc")]
    let (name, provider) = ("aws_lc_rs", &jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER);
    #[cfg(not(feature = "aws-lc"))]
    let (name, provider) = ("rust_crypto", &jsonwebtoken::crypto::rust_crypto::DEFAULT_PROVIDER);
    provider.install_default().unwrap();
    name
}

impl Keys {
    pub(crate) fn hs256() -> Self {
        let secret = b"a key of the installation, 32 bytes or more";
        Self {
            algorithm: Algorithm::HS256,
            signs: EncodingKey::from_secret(secret),
            verifies: Arc::new(DecodingKey::from_secret(secret)),
        }
    }

    pub(crate) fn eddsa() -> Self {
        // PKCS #8 for Ed25519 (RFC 8410): what says so, then 32 bytes. Nothing hangs on them.
        let mut der = b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20".to_vec();
        der.extend(1..=32);
        let signs = EncodingKey::from_ed_der(&der);
        let public = Jwk::from_encoding_key(&signs, Algorithm::EdDSA).unwrap();
        Self { algorithm: Algorithm::EdDSA, signs, verifies: Arc::new(DecodingKey::from_jwk(&public).unwrap()) }
    }

    pub(crate) fn sign(&self, n: usize) -> Vec<String> {
        let claims = (0..n).map(|i| Claims { sub: format!("user-{i}"), exp: 4_000_000_000, scope: MAY.join(" ") });
        claims.map(|claims| encode(&Header::new(self.algorithm), &claims, &self.signs).unwrap()).collect()
    }

    pub(crate) fn layer(
        &self,
        action: &'static str,
    ) -> Bearer<impl Fn(&str) -> Result<Claims, StatusCode> + Clone + use<>> {
        let (key, rules) = (self.verifies.clone(), Arc::new(Validation::new(self.algorithm)));
        Bearer(move |token: &str| {
            let claims = decode::<Claims>(token, &key, &rules).map_err(|_| StatusCode::UNAUTHORIZED)?.claims;
            let may = claims.scope.split(' ').any(|scope| scope == action);
            if may { Ok(claims) } else { Err(StatusCode::FORBIDDEN) }
        })
    }
}
