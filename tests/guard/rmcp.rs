//! rmcp's server behind the layer, and rmcp's client in front of it, over TCP: with sessions, and without.

use keyward::mcp::{self, Tools};
use keyward::testing::{Key, World};
use keyward::{Group, GuardedRouter, action};
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ClientConfig, ContentBlock, ErrorData, JsonObject,
    ListToolsResult, PaginatedRequestParams, ProtocolVersion, ServerCapabilities, ServerConfig, Tool,
};
use rmcp::service::{RequestContext, RoleServer, RunningService};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{ClientLifecycleMode, ClientServiceExt, RoleClient, ServerHandler};
use std::net::SocketAddr;

struct Articles;

impl ServerHandler for Articles {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let tools = ["search", "publish", "undeclared"].map(|name| Tool::new(name, name, JsonObject::new()));
        Ok(ListToolsResult::with_all_items(tools.to_vec()))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let parts = context.extensions.get::<http::request::Parts>().unwrap();
        let owner = mcp::caller(&parts.extensions).and_then(|caller| caller.owner()).unwrap();
        Ok(CallToolResult::success(vec![ContentBlock::text(format!("{} {owner}", request.name))]).into())
    }
}

async fn serve(world: &World) -> SocketAddr {
    let server = StreamableHttpService::<Articles, LocalSessionManager>::new(
        || Ok(Articles),
        Default::default(),
        StreamableHttpServerConfig::default(),
    );
    let tools = Tools::new().tool("search", action("article.read")).tool("publish", action("article.publish"));
    let app = world.keyward.guard(GuardedRouter::new().mcp("/mcp", tools, server));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async { axum::serve(listener, app.into_make_service()).await });
    address
}

async fn connect(
    address: SocketAddr,
    key: &Key,
    mode: ClientLifecycleMode,
) -> Result<RunningService<RoleClient, ClientConfig>, String> {
    let config = StreamableHttpClientTransportConfig::with_uri(format!("http://{address}/mcp"));
    let transport = StreamableHttpClientTransport::from_config(config.auth_header(key.secret.expose()));
    ClientConfig::default().serve_with_lifecycle(transport, mode).await.map_err(|error| format!("{error:?}"))
}

#[tokio::test]
async fn rmcp_client_sees_and_calls_what_its_token_allows() {
    let stateless = || ClientLifecycleMode::Discover { preferred_versions: vec![ProtocolVersion::V_2026_07_28] };
    for mode in [|| ClientLifecycleMode::Initialize, stateless] {
        let world = World::bare(|builder| builder.group(Group::mcp("/mcp")));
        let address = serve(&world).await;
        let key = world.editor().with("article.read").issue().await;
        let client = connect(address, &key, mode()).await.unwrap();
        let listed = client.list_all_tools().await.unwrap();
        assert_eq!(listed.iter().map(|tool| &*tool.name).collect::<Vec<_>>(), ["search"]);
        let called = client.call_tool(CallToolRequestParams::new("search")).await.unwrap();
        let text = serde_json::to_string(&called).unwrap();
        assert!(text.contains(&format!("search {}", key.owner.unwrap().0)), "{text}");
        for (name, expected) in [("publish", "article.publish"), ("undeclared", "Unknown tool: undeclared")] {
            let error = client.call_tool(CallToolRequestParams::new(name)).await.unwrap_err();
            assert!(format!("{error:?}").contains(expected), "{error:?}");
        }
        world.keyward.tokens().revoke(key.id).await.unwrap();
        client.call_tool(CallToolRequestParams::new("search")).await.unwrap_err();
        connect(address, &key, mode()).await.unwrap_err();
    }
}
