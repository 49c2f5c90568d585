//! `/openapi.json`: the OpenAPI document of the management API.

use super::failure::ErrorAnswer;
use super::state::Api;
use super::{
    admin_tokens, audit, catalogue, content_tokens, explain, export, find, introspect, me, own_tokens, revoke,
    revoke_all, roles, sessions, users, whoami,
};
use crate::guard::{Base, CredentialHeaders, Mount, title_case};
use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::Method;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName};
use http::request::Parts;
use utoipa::openapi::path::{Operation, Parameter, ParameterIn, PathItem};
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::{Components, Content, OpenApi as Document, Ref, RefOr, ResponseBuilder};
use utoipa::{Modify, OpenApi};

/// The credential of own tokens.
const SESSION: &str =
    "The secret of a session; no token. Where the application signs people in itself, its session counts without it.";

const NO_SCOPES: [&str; 0] = [];

#[derive(OpenApi)]
#[openapi(
    info(title = "keyward", description = "Manages admin tokens, content tokens, users, roles and sessions."),
    paths(
        sessions::login, sessions::register_admin, sessions::register, sessions::logout,
        me::read, me::update, me::permissions, me::list_sessions, me::end_sessions, me::end_session,
        users::list, users::create, users::read, users::update, users::delete, users::invite_again,
        roles::list, roles::create, roles::read, roles::update, roles::delete, roles::permissions, roles::set_permissions,
        admin_tokens::list, admin_tokens::create, admin_tokens::read_self, admin_tokens::read, admin_tokens::update, admin_tokens::delete,
        admin_tokens::regenerate, admin_tokens::owner_permissions, admin_tokens::regenerate_self, admin_tokens::end_grace,
        admin_tokens::end_own_grace, admin_tokens::children, admin_tokens::create_child, admin_tokens::violations,
        content_tokens::list, content_tokens::create, content_tokens::read, content_tokens::update,
        content_tokens::delete, content_tokens::end_grace, content_tokens::regenerate, find::find, revoke_all::revoke_all,
        audit::list, audit::list_by_admin_token, audit::read, export::export, catalogue::list, document,
        explain::explain, introspect::introspect, whoami::read, revoke::revoke,
    ),
    components(schemas(ErrorAnswer)),
    modifiers(&ErrorResponses, &OperationIds),
)]
struct ManagementApi;

#[derive(OpenApi)]
#[openapi(
    info(title = "keyward", description = "Manages the own tokens of a signed-in person."),
    paths(
        own_tokens::list, own_tokens::create, own_tokens::read, own_tokens::update, own_tokens::delete,
        own_tokens::regenerate, own_tokens::end_grace, document,
    ),
    components(schemas(ErrorAnswer)),
    modifiers(&ErrorResponses, &OperationIds),
)]
struct OwnTokensApi;

/// Renders the document of a mount, which stays the same for the life of the process.
pub(super) fn render(mount: &Mount, headers: &CredentialHeaders) -> Bytes {
    let (mut document, omitted, credential) = match mount.is_whole() {
        true => (ManagementApi::openapi(), "", "An admin token, or the secret of a session."),
        // The operations are named after tokens, but their paths are those of the mount.
        false => (OwnTokensApi::openapi(), "/tokens", SESSION),
    };
    let components = document.components.get_or_insert_with(Default::default);
    let schemes = add_schemes(components, headers, credential);
    // One of them is enough.
    document.security = Some(schemes.iter().map(|name| SecurityRequirement::new(name, NO_SCOPES)).collect());
    let paths = std::mem::take(&mut document.paths.paths).into_iter();
    let mounted = paths.map(|(path, item)| {
        let below = path.strip_prefix(omitted).unwrap_or(&path);
        (format!("{}{below}", mount.path()), item)
    });
    document.paths.paths = mounted.collect();
    // Serializing cannot fail: the document consists of texts, numbers and lists.
    serde_json::to_vec(&document).unwrap_or_default().into()
}

/// Adds the base path as the server of the document. A base path has no character that JSON escapes.
fn add_server(document: &Bytes, base: &Base) -> Bytes {
    match document.strip_prefix(b"{") {
        Some(rest) if !base.is_empty() => {
            let server = format!(r#"{{"servers":[{{"url":"{}"}}],"#, base.as_str());
            [server.as_bytes(), rest].concat().into()
        }
        _ => document.clone(),
    }
}

/// Returns this document.
#[utoipa::path(get, path = "/openapi.json", tag = "Document", security(()), responses((status = 200, body = Object)))]
pub(super) async fn document(State(api): State<Api>, parts: Parts) -> Response {
    let base = api.keyward.gate().base_of(&parts.headers, &parts.extensions);
    ([(CONTENT_TYPE, "application/json")], add_server(&api.documents.openapi, &base)).into_response()
}

/// Adds a security scheme for each header that may hold a credential, and returns their names. A scheme of the document
/// that means the same stays in its place.
pub(super) fn add_schemes(components: &mut Components, headers: &CredentialHeaders, description: &str) -> Vec<String> {
    headers.names().iter().map(|header| add_scheme(components, scheme_of(header, description))).collect()
}

/// Adds the security scheme of the host's session, which is in this cookie, and returns its name.
pub(super) fn add_session_scheme(components: &mut Components, cookie: &str) -> String {
    let cookie = ApiKeyValue::with_description(cookie, "The session of a person who has signed in.");
    add_scheme(components, ("session".to_owned(), SecurityScheme::ApiKey(ApiKey::Cookie(cookie))))
}

fn add_scheme(components: &mut Components, (mut name, scheme): (String, SecurityScheme)) -> String {
    if components.security_schemes.get(&name).is_some_and(|present| !is_same_scheme(present, &scheme)) {
        name = format!("keyward-{name}");
    }
    components.security_schemes.entry(name.clone()).or_insert(RefOr::T(scheme));
    name
}

fn scheme_of(header: &HeaderName, description: &str) -> (String, SecurityScheme) {
    match *header == AUTHORIZATION {
        true => {
            let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(description)).build();
            ("bearer".to_owned(), SecurityScheme::Http(bearer))
        }
        false => {
            let key = ApiKeyValue::with_description(title_case(header), description.to_owned());
            (header.as_str().to_owned(), SecurityScheme::ApiKey(ApiKey::Header(key)))
        }
    }
}

/// Returns whether both schemes put a credential in the same place. Their descriptions may differ.
fn is_same_scheme(present: &RefOr<SecurityScheme>, scheme: &SecurityScheme) -> bool {
    match (present, scheme) {
        (RefOr::T(SecurityScheme::Http(a)), SecurityScheme::Http(b)) => a.scheme == b.scheme,
        (RefOr::T(SecurityScheme::ApiKey(ApiKey::Header(a))), SecurityScheme::ApiKey(ApiKey::Header(b))) => {
            a.name.eq_ignore_ascii_case(&b.name)
        }
        (RefOr::T(SecurityScheme::ApiKey(ApiKey::Cookie(a))), SecurityScheme::ApiKey(ApiKey::Cookie(b))) => {
            a.name == b.name
        }
        _ => false,
    }
}

/// Adds the error responses of each route, which follow from its parameters and its body.
struct ErrorResponses;

impl Modify for ErrorResponses {
    fn modify(&self, document: &mut Document) {
        for item in document.paths.paths.values_mut() {
            operations(item).for_each(|(_, operation)| add_errors(operation));
        }
    }
}

/// Returns the operations of a path with their methods.
pub(super) fn operations(item: &mut PathItem) -> impl Iterator<Item = (Method, &mut Operation)> {
    let all = [
        (Method::GET, &mut item.get),
        (Method::HEAD, &mut item.head),
        (Method::POST, &mut item.post),
        (Method::PUT, &mut item.put),
        (Method::PATCH, &mut item.patch),
        (Method::DELETE, &mut item.delete),
        (Method::OPTIONS, &mut item.options),
        (Method::TRACE, &mut item.trace),
    ];
    all.into_iter().filter_map(|(method, operation)| Some((method, operation.as_mut()?)))
}

/// Names operations by method and path: `GET /users/{id}` is `getUsersById`. Generators of clients need names
/// that are unique and stable.
struct OperationIds;

impl Modify for OperationIds {
    fn modify(&self, document: &mut Document) {
        for (path, item) in &mut document.paths.paths {
            for (method, operation) in operations(item) {
                operation.operation_id = Some(operation_id(&method, path));
            }
        }
    }
}

fn operation_id(method: &Method, path: &str) -> String {
    let mut name = method.as_str().to_ascii_lowercase();
    for part in path.split('/').filter(|part| !part.is_empty()) {
        let parameter = part.strip_prefix('{').and_then(|part| part.strip_suffix('}'));
        name.push_str(if parameter.is_some() { "By" } else { "" });
        for word in parameter.unwrap_or(part).split(|c: char| !c.is_ascii_alphanumeric()) {
            let mut letters = word.chars();
            name.extend(letters.next().map(|first| first.to_ascii_uppercase()));
            name.push_str(letters.as_str());
        }
    }
    name
}

fn add_errors(operation: &mut Operation) {
    // Only routes that need no credential override the document's security.
    let public = operation.security.is_some();
    let in_path = |p: &RefOr<Parameter>| matches!(p, RefOr::T(p) if p.parameter_in == ParameterIn::Path);
    let has_id = operation.parameters.iter().flatten().any(in_path);
    let has_body = operation.request_body.is_some();
    let is_document = public && !has_body;
    let errors = [
        ("400", "The request is invalid or cannot be done.", !is_document),
        ("401", "The credential is missing or invalid.", !public),
        ("403", "The caller may not do this.", !is_document),
        ("404", "It does not exist, or the caller may not see it.", has_id),
        ("409", "Another request changed it at the same time.", !is_document),
        ("413", "The body is too large.", !is_document),
        ("429", "Too many attempts: try again later.", has_body || !public),
        ("503", "The store is unavailable: try again in a moment.", !is_document),
    ];
    // OpenAPI requires a description of every response.
    for (status, answer) in &mut operation.responses.responses {
        if let RefOr::T(answer) = answer
            && answer.description.is_empty()
        {
            answer.description = if status == "201" { "Created." } else { "Done." }.to_owned();
        }
    }
    for (status, description, applies) in errors {
        if applies {
            let content = Content::new(Some(Ref::from_schema_name("ErrorAnswer")));
            let answer = ResponseBuilder::new().description(description).content("application/json", content).build();
            operation.responses.responses.insert(status.to_owned(), answer.into());
        }
    }
}
