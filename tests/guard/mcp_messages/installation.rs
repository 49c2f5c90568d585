//! A server behind the layer that keeps its requests, and the comparison of the uses that it runs with the allowed ones.

use super::oracle::{Judgement, judge};
use super::readers::{lenient_uses, plain_uses};
use super::table::{Levels, Table, levels, permissions};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::routing::any;
use fastrand::Rng;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};
use http_body_util::BodyExt;
use keyward::guard::GateService;
use keyward::testing::World;
use keyward::{Group, GuardedRouter};
use std::sync::{Arc, Mutex};
use tower::ServiceExt;

/// The requests that the server got.
type ReceivedRequests = Arc<Mutex<Vec<(HeaderMap, Bytes)>>>;

/// A table, and callers of it.
pub struct Installation {
    pub table: Table,
    pub callers: Vec<(Levels, HeaderValue)>,
    service: GateService<Router>,
    received: ReceivedRequests,
    _world: World,
}

/// The outcome of a request.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Outcome {
    /// The server got the request and ran this number of uses.
    Ran(usize),
    /// The server did not get the request.
    Refused,
}

impl Installation {
    /// Builds a random table with this number of callers.
    pub async fn random(random: &mut Rng, callers: usize) -> Self {
        let table = Table::random(random);
        let world = World::bare(|builder| builder.group(Group::mcp("/mcp")));
        let received = ReceivedRequests::default();
        let server = any({
            let received = received.clone();
            move |request: Request| async move {
                let (parts, body) = request.into_parts();
                let body = body.collect().await.unwrap().to_bytes();
                received.lock().unwrap().push((parts.headers, body));
                (http::StatusCode::IM_A_TEAPOT, "the server")
            }
        });
        let service = world.keyward.guard(GuardedRouter::new().mcp("/mcp", table.tools(), server));
        let mut all = Vec::new();
        for _ in 0..callers {
            let levels = levels(random);
            let key = permissions(&levels).fold(world.editor(), |person, permission| person.with(permission)).issue();
            let bearer = format!("Bearer {}", key.await.secret.expose());
            all.push((levels, HeaderValue::from_str(&bearer).unwrap()));
        }
        Self { table, callers: all, service, received, _world: world }
    }

    /// Sends a request of a caller, and compares the uses that the server runs with those that the oracle allows.
    ///
    /// # Errors
    /// Returns the difference.
    pub async fn check(&self, caller: usize, headers: &HeaderMap, body: &[u8]) -> Result<Outcome, String> {
        let (levels, bearer) = &self.callers[caller];
        let mut request = Request::post("/mcp").body(Body::from(body.to_vec())).unwrap();
        *request.headers_mut() = headers.clone();
        request.headers_mut().insert(AUTHORIZATION, bearer.clone());
        let Ok(response) = self.service.clone().oneshot(request).await;
        let status = response.status();
        let received = std::mem::take(&mut *self.received.lock().unwrap());
        if status.is_server_error() {
            return Err(format!("{status}"));
        }
        let judgement = judge(&self.table, levels, headers, body);
        let (headers, passed) = match &received[..] {
            [] if matches!(judgement, Judgement::Passes(_)) => return Err(format!("{judgement:?}, but was {status}")),
            [] => return Ok(Outcome::Refused),
            _ if matches!(judgement, Judgement::Refused(_)) => return Err(format!("{judgement:?}, but passed")),
            [(headers, passed)] => (headers, passed),
            _ => return Err(format!("passed {} times", received.len())),
        };
        if status != 418 || passed != body {
            return Err(format!("{status}, and the server got other bytes"));
        }
        let ran = plain_uses(headers, passed);
        if let Judgement::Passes(allowed) = &judgement
            && ran != *allowed
        {
            return Err(format!("ran {ran:?}, not {allowed:?}"));
        }
        for (reader, uses) in lenient_uses(headers, passed) {
            if let Some(used) = uses.iter().find(|used| !self.table.allows(levels, used)) {
                return Err(format!("the server that reads {reader} ran {used:?}, which is not allowed"));
            }
        }
        Ok(Outcome::Ran(ran.len()))
    }
}
