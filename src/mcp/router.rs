//! The route of an MCP server.

use super::service::McpService;
use super::tools::Tools;
use crate::guard::GuardedRouter;
use axum::extract::Request;
use bytes::Bytes;
use std::convert::Infallible;
use tower_service::Service;

impl<S: Clone + Send + Sync + 'static> GuardedRouter<S> {
    /// Adds an MCP server of streamable HTTP, behind this table: see [`mcp`](crate::mcp).
    ///
    /// The service gets the bytes that were judged. Its path is the whole one, as for
    /// [`route_service`](Self::route_service). The group of the path should be [`Group::mcp`](crate::Group::mcp), so that
    /// clients show a rejected credential to their users.
    ///
    /// # Panics
    /// As [`Router::route_service`](axum::Router::route_service), or if the system has no random bytes.
    pub fn mcp<T, B>(self, path: &str, tools: Tools, service: T) -> Self
    where
        T: Service<Request, Response = http::Response<B>, Error = Infallible> + Clone + Send + Sync + 'static,
        T::Future: Send + 'static,
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<axum::BoxError>,
    {
        let requirements: Vec<_> = tools.requirements().cloned().collect();
        self.route_judging(path, &requirements, McpService::new(tools, service))
    }
}
