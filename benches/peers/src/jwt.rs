//! Signed tokens, verified by jsonwebtoken in the same layer of tower-http.
//!
//! Included: signature and `exp` are checked by the crate's default validation with a key that is built once; the
//! route's action must be in `scope`; the claims go into the extensions. Not included: revocation. Until it expires, a
//! token is valid with the claims that were signed, also after a change of its owner or of the owner's roles. A list of
//! revoked tokens would be another look-up.

use crate::by_hand::{ACTIONS, Bearer};
use http::StatusCode;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

pub(crate) struct Keys {
    algorithm: Algorithm,
    signing: EncodingKey,
    verifying: Arc<DecodingKey>,
}

#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Claims {
    sub: String,
    exp: u64,
    /// The actions, separated by spaces as in OAuth.
    scope: String,
}

/// Installs the cryptography of the whole process, and returns its name.
pub(crate) fn install_provider() -> &'static str {
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
            signing: EncodingKey::from_secret(secret),
            verifying: Arc::new(DecodingKey::from_secret(secret)),
        }
    }

    pub(crate) fn eddsa() -> Self {
        // PKCS #8 for Ed25519 (RFC 8410): a fixed prefix, then the 32 bytes of the key.
        let mut der = b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20".to_vec();
        der.extend(1..=32);
        let signing = EncodingKey::from_ed_der(&der);
        let public = Jwk::from_encoding_key(&signing, Algorithm::EdDSA).unwrap();
        Self { algorithm: Algorithm::EdDSA, signing, verifying: Arc::new(DecodingKey::from_jwk(&public).unwrap()) }
    }

    pub(crate) fn sign(&self, n: usize) -> Vec<String> {
        let claims = (0..n).map(|i| Claims { sub: format!("user-{i}"), exp: 4_000_000_000, scope: ACTIONS.join(" ") });
        claims.map(|claims| encode(&Header::new(self.algorithm), &claims, &self.signing).unwrap()).collect()
    }

    pub(crate) fn layer(
        &self,
        action: &'static str,
    ) -> Bearer<impl Fn(&str) -> Result<Claims, StatusCode> + Clone + use<>> {
        let (key, validation) = (self.verifying.clone(), Arc::new(Validation::new(self.algorithm)));
        Bearer(move |token: &str| {
            let claims = decode::<Claims>(token, &key, &validation).map_err(|_| StatusCode::UNAUTHORIZED)?.claims;
            let allowed = claims.scope.split(' ').any(|scope| scope == action);
            if allowed { Ok(claims) } else { Err(StatusCode::FORBIDDEN) }
        })
    }
}
