//! Requests to nodes.

use axum::body::Bytes;
use http::{Method, Request, header};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client as Pool;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use std::net::SocketAddr;
use std::time::Duration;

/// Longer than the time limit of any request.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Clone)]
pub(crate) struct Client(Pool<HttpConnector, Full<Bytes>>);

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Value,
}

impl Client {
    pub(crate) fn new() -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        Self(Pool::builder(TokioExecutor::new()).build(connector))
    }

    /// `None` without a response.
    pub(crate) async fn get(&self, node: SocketAddr, path: &str, secret: &str) -> Option<Answer> {
        self.send(Method::GET, node, path, secret, &Value::Null).await
    }

    /// `None` without a response: then the outcome is unknown.
    pub(crate) async fn send(
        &self,
        method: Method,
        node: SocketAddr,
        path: &str,
        secret: &str,
        body: &Value,
    ) -> Option<Answer> {
        let sent = if body.is_null() { String::new() } else { body.to_string() };
        let request = Request::builder()
            .method(method)
            .uri(format!("http://{node}{path}"))
            .header(header::AUTHORIZATION, format!("Bearer {secret}"))
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(sent.into()))
            .ok()?;
        let answered = async {
            let answer = self.0.request(request).await.ok()?;
            let status = answer.status().as_u16();
            Some((status, answer.into_body().collect().await.ok()?.to_bytes()))
        };
        let (status, body) = tokio::time::timeout(PATIENCE, answered).await.ok()??;
        Some(Answer { status, body: serde_json::from_slice(&body).unwrap_or_default() })
    }
}
