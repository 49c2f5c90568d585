//! Articles over the Model Context Protocol, with rmcp: `cargo run --example mcp --features mcp`.
//!
//! It prints two tokens, each with the configuration of a client. The agent that only reads does not see the tools that
//! write.

use keyward::mcp::{self, Tools};
use keyward::{Grant, Group, GuardedRouter, HashKey, Keyward, MemoryStore, NewAdminToken, NewOwner, NewRole, action};
use rmcp::ServerHandler;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, ErrorData, JsonObject, ListToolsResult,
    PaginatedRequestParams, ServerCapabilities, ServerConfig, Tool,
};
use rmcp::service::{RequestContext, RoleServer};
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use serde_json::{Value, json};
use std::error::Error;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

const READ: &str = "article.read";
const CREATE: &str = "article.create";
const PUBLISH: &str = "article.publish";

#[tokio::main]
async fn main() -> ExitCode {
    let Err(error) = run().await else { return ExitCode::SUCCESS };
    eprintln!("error: {error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        eprintln!("caused by: {error}");
        cause = error.source();
    }
    ExitCode::FAILURE
}

async fn run() -> Result<(), Box<dyn Error>> {
    let (hash_key, _) = HashKey::generate()?;
    let keyward = Keyward::builder(MemoryStore::default()).hash_key(hash_key).group(Group::mcp("/mcp")).build()?;
    let articles = Articles::default();
    let server = StreamableHttpService::<_, LocalSessionManager>::new(
        move || Ok(articles.clone()),
        Arc::default(),
        StreamableHttpServerConfig::default(),
    );
    let tools = Tools::new()
        .tool("search_articles", action(READ))
        .tool("read_article", action(READ))
        .tool("create_article", action(CREATE))
        .tool("publish_article", action(PUBLISH));
    let service = keyward.guard(GuardedRouter::new().mcp("/mcp", tools, server)).into_make_service();

    let editor = keyward.roles().create(NewRole::new("Editor").permissions([READ, CREATE, PUBLISH])).await?.id;
    let ada = keyward.owners().create(NewOwner::new("ada@example.test").named("Ada", "Editor").roles([editor])).await?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
    let url = format!("http://{}/mcp", listener.local_addr()?);
    for (name, actions) in [("reader", &[READ][..]), ("writer", &[READ, CREATE, PUBLISH])] {
        let token = NewAdminToken::new(name, ada.id).grants(actions.iter().map(|action| Grant::new(*action)));
        let issued = keyward.tokens().issue_admin(token).await?;
        let headers = json!({"Authorization": format!("Bearer {}", issued.secret.expose())});
        let servers = json!({"articles": {"type": "http", "url": url, "headers": headers}});
        println!("{name}:\n{:#}\n", json!({"mcpServers": servers}));
    }
    axum::serve(listener, service).with_graceful_shutdown(async { _ = tokio::signal::ctrl_c().await }).await?;
    keyward.shutdown().await;
    Ok(())
}

#[derive(Clone, Default)]
struct Articles(Arc<Mutex<Vec<Article>>>);

struct Article {
    title: String,
    /// The owner of the token that created it.
    author: String,
    published: bool,
}

impl ServerHandler for Articles {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
    }

    /// Lists every tool: the layer removes those that the caller may not use.
    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let tool = |name: &'static str, description: &'static str, property: &str, kind: &str| {
            let schema = json!({"type": "object", "properties": {property: {"type": kind}}, "required": [property]});
            Tool::new(name, description, schema.as_object().cloned().unwrap_or_default())
        };
        Ok(ListToolsResult::with_all_items(vec![
            tool("search_articles", "Finds articles by their title", "text", "string"),
            tool("read_article", "Reads an article", "id", "integer"),
            tool("create_article", "Creates a draft", "title", "string"),
            tool("publish_article", "Publishes a draft", "id", "integer"),
        ]))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let parts = context.extensions.get::<http::request::Parts>();
        let Some(caller) = parts.and_then(|parts| mcp::caller(&parts.extensions)) else {
            return Err(ErrorData::internal_error("not behind the gate", None));
        };
        let author = caller.owner().map(|owner| owner.to_string()).unwrap_or_default();
        let result = self.call(&request.name, &request.arguments.unwrap_or_default(), author);
        let result =
            result.ok_or_else(|| ErrorData::invalid_params("no such article, or an argument is missing", None))?;
        Ok(CallToolResult::success(vec![ContentBlock::text(result.to_string())]).into())
    }
}

impl Articles {
    fn call(&self, tool: &str, arguments: &JsonObject, author: String) -> Option<Value> {
        let mut articles = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let text = |name: &str| arguments.get(name).and_then(Value::as_str);
        let id = arguments.get("id").and_then(Value::as_u64).and_then(|id| usize::try_from(id).ok());
        let show =
            |id: usize, a: &Article| json!({"id": id, "title": a.title, "author": a.author, "published": a.published});
        match tool {
            "search_articles" => {
                let text = text("text")?;
                Some(
                    articles
                        .iter()
                        .enumerate()
                        .filter(|(_, a)| a.title.contains(text))
                        .map(|(i, a)| show(i, a))
                        .collect(),
                )
            }
            "read_article" => articles.get(id?).map(|article| show(id.unwrap_or_default(), article)),
            "create_article" => {
                articles.push(Article { title: text("title")?.to_owned(), author, published: false });
                articles.last().map(|article| show(articles.len() - 1, article))
            }
            "publish_article" => {
                let article = articles.get_mut(id?)?;
                article.published = true;
                Some(show(id?, article))
            }
            _ => None,
        }
    }
}
