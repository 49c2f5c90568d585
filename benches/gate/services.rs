//! The layers that the gate is compared with: the floor, and a layer that verifies JWTs.

use crate::plain::PlainResponse;
use hmac::{Hmac, KeyInit, Mac};
use http::header::AUTHORIZATION;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::Full;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use quick_cache::sync::Cache;
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::Arc;
use std::task::{Context, Poll};
use tower_service::Service;

/// The smallest layer for opaque keyed tokens: one HMAC with a precomputed key, one look-up, one extension.
///
/// It judges no path, reads no clock, checks no form, kind, expiry, owner or revocation, and guards nothing.
#[derive(Clone)]
pub(crate) struct Floor<S> {
    inner: S,
    key: Hmac<Sha256>,
    callers: Arc<Cache<[u8; 27], Arc<Caller>>>,
}

#[derive(Clone)]
pub(crate) struct Caller(#[expect(dead_code, reason = "handlers would read it")] u64);

const CHECK: usize = 7;

impl<S> Floor<S> {
    pub(crate) fn new(inner: S, secrets: &[String]) -> Self {
        let key = Hmac::new_from_slice(b"a key of the installation, 32 bytes or more").unwrap();
        let callers = Arc::new(Cache::new(2 * secrets.len()));
        let floor = Self { inner, key, callers };
        for (i, secret) in secrets.iter().enumerate() {
            floor.callers.insert(floor.digest(secret.as_bytes()), Arc::new(Caller(i as u64)));
        }
        floor
    }

    fn digest(&self, secret: &[u8]) -> [u8; 27] {
        let mut state = self.key.clone();
        state.update(&secret[..secret.len() - CHECK]);
        let bytes: [u8; 32] = state.finalize().into_bytes().into();
        *bytes.last_chunk().unwrap()
    }
}

impl<S, B> Service<Request<B>> for Floor<S>
where
    S: Service<
            Request<B>,
            Response = PlainResponse,
            Error = Infallible,
            Future = Ready<Result<PlainResponse, Infallible>>,
        >,
{
    type Response = PlainResponse;
    type Error = Infallible;
    type Future = Ready<Result<PlainResponse, Infallible>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let caller = bearer(request.headers()).and_then(|secret| self.callers.get(&self.digest(secret)));
        let Some(caller) = caller else { return unauthorized() };
        request.extensions_mut().insert(caller);
        self.inner.call(request)
    }
}

/// A layer that verifies an HS256 JWT. The key and the validation are built once, and the claims go into the
/// extensions.
#[derive(Clone)]
pub(crate) struct Jwt<S> {
    inner: S,
    key: Arc<DecodingKey>,
    validation: Arc<Validation>,
}

#[derive(Clone, Serialize, Deserialize)]
struct Claims {
    sub: String,
    exp: u64,
}

const JWT_KEY: &[u8] = b"another key of the installation, 32 bytes or more";

impl<S> Jwt<S> {
    pub(crate) fn new(inner: S) -> Self {
        let key = Arc::new(DecodingKey::from_secret(JWT_KEY));
        Self { inner, key, validation: Arc::new(Validation::new(Algorithm::HS256)) }
    }
}

pub(crate) fn sign_jwts(n: usize) -> Vec<String> {
    let key = EncodingKey::from_secret(JWT_KEY);
    let claims = (0..n).map(|i| Claims { sub: format!("user-{i}"), exp: 4_000_000_000 });
    claims.map(|claims| jsonwebtoken::encode(&Header::default(), &claims, &key).unwrap()).collect()
}

impl<S, B> Service<Request<B>> for Jwt<S>
where
    S: Service<
            Request<B>,
            Response = PlainResponse,
            Error = Infallible,
            Future = Ready<Result<PlainResponse, Infallible>>,
        >,
{
    type Response = PlainResponse;
    type Error = Infallible;
    type Future = Ready<Result<PlainResponse, Infallible>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let token = bearer(request.headers());
        let verified = token.and_then(|token| jsonwebtoken::decode::<Claims>(token, &self.key, &self.validation).ok());
        let Some(verified) = verified else { return unauthorized() };
        request.extensions_mut().insert(verified.claims);
        self.inner.call(request)
    }
}

fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    headers.get(AUTHORIZATION)?.as_bytes().strip_prefix(b"Bearer ")
}

fn unauthorized() -> Ready<Result<PlainResponse, Infallible>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::UNAUTHORIZED;
    ready(Ok(response))
}
