//! Two MCP servers with the same tools behind the layer: one with rmcp, one by hand.

use super::by_hand;
use keyward::mcp::{self, Tools};
use keyward::testing::World;
use keyward::{AuthContext, Group, GuardedRouter, action};
use rmcp::ServerHandler;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, ErrorData, JsonObject, ListToolsResult,
    PaginatedRequestParams, ServerCapabilities, ServerConfig, Tool,
};
use rmcp::service::{RequestContext, RoleServer};
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::sync::Notify;

pub(super) const SEARCH: &str = "search";
pub(super) const PUBLISH: &str = "publish";
/// Runs until its caller or its client is gone.
pub(super) const SLOW: &str = "slow";
/// Not in the table of the layer.
pub(super) const UNDECLARED: &str = "undeclared";

/// The calls of the slow tool.
#[derive(Default)]
pub(super) struct Calls {
    pub(super) begun: Notify,
    pub(super) ended: Notify,
}

/// A running call of the slow tool.
pub(super) struct Running(Arc<Calls>);

impl Calls {
    pub(super) fn begin(self: &Arc<Self>) -> Running {
        self.begun.notify_one();
        Running(self.clone())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.ended.notify_one();
    }
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum ServerKind {
    Rmcp,
    ByHand,
}

/// A server behind the layer.
pub(super) struct Server {
    pub(super) world: World,
    pub(super) calls: Arc<Calls>,
    pub(super) url: String,
}

impl Server {
    pub(super) async fn start(kind: ServerKind) -> Self {
        let (world, calls) = (World::bare(|builder| builder.group(Group::mcp("/mcp"))), Arc::<Calls>::default());
        let tools = Tools::new()
            .tool(SEARCH, action("article.read"))
            .tool(PUBLISH, action("article.publish"))
            .tool(SLOW, action("article.wait"));
        let routes = match kind {
            ServerKind::Rmcp => GuardedRouter::new().mcp("/mcp", tools, with_rmcp(calls.clone())),
            ServerKind::ByHand => GuardedRouter::new().mcp("/mcp", tools, by_hand::server(calls.clone())),
        };
        let app = world.keyward.guard(routes);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/mcp", listener.local_addr().unwrap());
        tokio::spawn(async { axum::serve(listener, app.into_make_service()).await });
        Self { world, calls, url }
    }
}

/// Returns the text of a tool's result: the tool and the caller's owner.
pub(super) fn greeting(caller: &AuthContext, tool: &Value) -> String {
    format!("{} for {}", tool.as_str().unwrap(), caller.owner().unwrap())
}

#[derive(Clone)]
struct WithRmcp(Arc<Calls>);

fn with_rmcp(calls: Arc<Calls>) -> StreamableHttpService<WithRmcp, LocalSessionManager> {
    StreamableHttpService::new(
        move || Ok(WithRmcp(calls.clone())),
        Arc::default(),
        StreamableHttpServerConfig::default(),
    )
}

impl ServerHandler for WithRmcp {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let schema: JsonObject = serde_json::from_value(json!({"type": "object"})).unwrap();
        let tool = |name| Tool::new(name, name, schema.clone());
        Ok(ListToolsResult::with_all_items([SEARCH, PUBLISH, SLOW, UNDECLARED].map(tool).to_vec()))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let parts = context.extensions.get::<http::request::Parts>().unwrap();
        let caller = mcp::caller(&parts.extensions).unwrap();
        if request.name == SLOW {
            // In a session, rmcp runs a call in a task of its own, which outlives the request.
            let _running = self.0.begin();
            caller.revoked().await;
            return Err(ErrorData::internal_error("no longer allowed", None));
        }
        let text = greeting(caller, &Value::from(&*request.name));
        Ok(CallToolResult::success(vec![ContentBlock::text(text)]).into())
    }
}
