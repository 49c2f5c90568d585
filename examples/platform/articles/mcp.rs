//! Articles as tools of an MCP server, with rmcp. The handlers of the admin API do the work, by the same permissions.

use super::query::Query;
use super::{ApiKind, Articles, Operation, RESOURCE, create, open, publish, search};
use crate::database::Database;
use crate::wire::{Body, Failure};
use axum::extract::{Path, State};
use keyward::mcp::{Tools, caller};
use keyward::{Auth, Decision, GuardedRouter, action};
use rmcp::ServerHandler;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ErrorData, JsonObject, ListToolsResult,
    PaginatedRequestParams, ServerCapabilities, ServerConfig, Tool,
};
use rmcp::service::{RequestContext, RoleServer};
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use serde_json::{Value, json};
use std::sync::Arc;

/// Returns the route of the MCP server. It keeps no sessions, so any process on the database answers any request.
pub(crate) fn mcp(database: &Database) -> GuardedRouter {
    let articles = Articles { database: database.clone(), api: ApiKind::Admin };
    let config = StreamableHttpServerConfig::default()
        .with_legacy_session_mode(false)
        .with_json_response(true)
        // A proxy may give the platform any name. The layer checks `Origin`.
        .disable_allowed_hosts();
    let server =
        StreamableHttpService::new(move || Ok(articles.clone()), Arc::<NeverSessionManager>::default(), config);
    let requires = |operation| ApiKind::Admin.requires(operation);
    let tools = Tools::new()
        .tool_with_decision("search_articles", requires(Operation::Find))
        .tool_with_decision("read_article", requires(Operation::FindOne))
        .tool_with_decision("create_article", requires(Operation::Create))
        .tool_with_decision("publish_article", action("plugin::content-manager.explorer.publish").on(RESOURCE));
    GuardedRouter::new().mcp("/mcp", tools, server)
}

impl ServerHandler for Articles {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let tool = |name: &'static str, description: &'static str, properties: Value, required: &[&str]| {
            let schema = json!({"type": "object", "properties": properties, "required": required});
            Tool::new(name, description, schema.as_object().cloned().unwrap_or_default())
        };
        let (text, number) = (json!({"type": "string"}), json!({"type": "integer", "minimum": 1}));
        let sort = json!({"type": "string", "description": "A field, as title or title:desc"});
        let search = json!({"title": text, "slug": text, "sort": sort, "page": number, "pageSize": number});
        let document = json!({"documentId": text});
        Ok(ListToolsResult::with_all_items(vec![
            tool("search_articles", "Lists articles, or those with this title or slug", search, &[]),
            tool("read_article", "Reads an article", document.clone(), &["documentId"]),
            tool("create_article", "Creates a draft", json!({"title": text, "slug": text, "body": text}), &["title"]),
            tool("publish_article", "Publishes a draft", document, &["documentId"]),
        ]))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let parts = context.extensions.get::<axum::http::request::Parts>();
        let Some(caller) = parts.and_then(|parts| caller(&parts.extensions)) else {
            return Err(ErrorData::internal_error("not behind the gate", None));
        };
        let (articles, auth, decision) = (State(self.clone()), Auth(caller.clone()), caller.decision());
        let arguments = request.arguments.unwrap_or_default();
        let document = || Ok(Path(text(arguments.get("documentId"))));
        let outcome = match &*request.name {
            "search_articles" => match read_query(&arguments, &decision) {
                Ok(query) => search(self.clone(), decision, query).await,
                Err(invalid) => Err(invalid),
            },
            "read_article" => open(articles, decision, document()).await,
            "create_article" => create(articles, decision, auth, Body(arguments)).await.map(|(_, article)| article),
            "publish_article" => publish(articles, decision, auth, document()).await,
            other => return Err(ErrorData::invalid_params(format!("Unknown tool: {other}"), None)),
        };
        // The model reads the error of a tool, and can correct its call. At an error of the protocol, some clients stop.
        let result = match outcome {
            Ok(axum::Json(result)) => CallToolResult::structured(result),
            Err(failure) => CallToolResult::structured_error(failure.error().1),
        };
        Ok(result.into())
    }
}

/// Reads the parameters of a list from the arguments of the tool. An argument that names a field is a filter.
fn read_query(arguments: &JsonObject, decision: &Decision) -> Result<Query, Failure> {
    let pair = |(name, value): (&String, &Value)| match name.as_str() {
        "page" | "pageSize" | "sort" => (name.clone(), text(Some(value))),
        field => (format!("filters[{field}]"), text(Some(value))),
    };
    let pairs: Vec<_> = arguments.iter().map(pair).collect();
    Ok(Query::of(&pairs, decision)?)
}

/// Returns an argument as text; empty if it is missing.
fn text(argument: Option<&Value>) -> String {
    match argument {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => String::new(),
    }
}
