//! `/admin/openapi.json`: the API described, for programs that make clients.

use super::failure::ErrorAnswer;
use super::state::Api;
use super::{admin_tokens, audit, catalogue, content_tokens, export, me, roles, sessions, users};
use crate::guard::Base;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use http::request::Parts;
use utoipa::openapi::path::{Operation, Parameter, ParameterIn, PathItem};
use utoipa::openapi::schema::{SchemaType, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Content, Object, ObjectBuilder, OpenApi as Document, Ref, RefOr, ResponseBuilder};
use utoipa::{Modify, OpenApi};

#[derive(OpenApi)]
#[openapi(
    info(title = "keyward", description = "Manages admin tokens, content tokens, users, roles and sessions."),
    paths(
        sessions::login, sessions::register_admin, sessions::register, sessions::logout,
        me::read, me::update, me::permissions, me::list_sessions, me::end_sessions, me::end_session,
        users::list, users::create, users::read, users::update, users::delete, users::invite_again,
        roles::list, roles::create, roles::read, roles::update, roles::delete, roles::permissions, roles::set_permissions,
        admin_tokens::list, admin_tokens::create, admin_tokens::read_self, admin_tokens::read, admin_tokens::update, admin_tokens::delete,
        admin_tokens::regenerate, admin_tokens::owner_permissions,
        content_tokens::list, content_tokens::create, content_tokens::read, content_tokens::update,
        content_tokens::delete, content_tokens::regenerate,
        audit::list, audit::of_admin_token, audit::read, export::export, catalogue::list, document,
    ),
    components(schemas(ErrorAnswer)),
    security(("bearer" = [])),
    modifiers(&Bearer, &Errors, &Names),
)]
struct Described;

/// The document, which is the same for as long as the process lives.
pub(super) fn rendered() -> Bytes {
    // It is made of texts, numbers and lists, which JSON has.
    serde_json::to_vec(&Described::openapi()).unwrap_or_default().into()
}

/// The document for clients that find the routes under this base path. A base path has no character that JSON escapes.
fn with_server(document: &Bytes, base: &Base) -> Bytes {
    match document.strip_prefix(b"{") {
        Some(rest) if !base.is_empty() => {
            let server = format!(r#"{{"servers":[{{"url":"{}"}}],"#, base.as_str());
            [server.as_bytes(), rest].concat().into()
        }
        _ => document.clone(),
    }
}

/// This document.
#[utoipa::path(get, path = "/admin/openapi.json", tag = "Document", security(()), responses((status = 200, body = Object)))]
pub(super) async fn document(State(api): State<Api>, parts: Parts) -> Response {
    let base = api.gate.base_of(&parts.headers, &parts.extensions);
    ([(CONTENT_TYPE, "application/json")], with_server(&api.document, &base)).into_response()
}

/// The schema of `null`.
pub(super) fn null() -> Object {
    ObjectBuilder::new().schema_type(SchemaType::new(Type::Null)).build()
}

/// How whoever calls says who they are.
struct Bearer;

impl Modify for Bearer {
    fn modify(&self, document: &mut Document) {
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer);
        let scheme = scheme.description(Some("An admin token, or the token of a session.")).build();
        let components = document.components.get_or_insert_with(Default::default);
        components.add_security_scheme("bearer", SecurityScheme::Http(scheme));
    }
}

/// What each route answers instead, which follows from what it takes.
struct Errors;

impl Modify for Errors {
    fn modify(&self, document: &mut Document) {
        for item in document.paths.paths.values_mut() {
            operations(item).for_each(add_errors);
        }
    }
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    named_operations(item).map(|(_, operation)| operation)
}

fn named_operations(item: &mut PathItem) -> impl Iterator<Item = (&'static str, &mut Operation)> {
    let all = [("get", &mut item.get), ("post", &mut item.post), ("put", &mut item.put), ("delete", &mut item.delete)];
    all.into_iter().filter_map(|(method, operation)| Some((method, operation.as_mut()?)))
}

/// What generators name things by. An operation is called by its method and its path, so there are no two of one name and a name stays
/// as long as the route: `GET /admin/users/{id}` is `getUsersById`.
struct Names;

impl Modify for Names {
    fn modify(&self, document: &mut Document) {
        for (path, item) in &mut document.paths.paths {
            for (method, operation) in named_operations(item) {
                operation.operation_id = Some(operation_id(method, path));
            }
        }
    }
}

fn operation_id(method: &str, path: &str) -> String {
    let mut name = method.to_owned();
    for part in path.strip_prefix("/admin").unwrap_or(path).split('/').filter(|part| !part.is_empty()) {
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
    // A route that nobody has to sign in for says so itself.
    let public = operation.security.is_some();
    let in_path = |p: &RefOr<Parameter>| matches!(p, RefOr::T(p) if p.parameter_in == ParameterIn::Path);
    let has_id = operation.parameters.iter().flatten().any(in_path);
    let has_body = operation.request_body.is_some();
    let is_document = public && !has_body;
    let errors = [
        ("400", "What was sent is wrong, or not possible.", !is_document),
        ("401", "There is no credential, or none that counts.", !public),
        ("403", "Whoever asks may not do it.", !is_document),
        ("404", "There is no such thing, or none for whoever asks.", has_id),
        ("409", "Somebody else has changed it at the same time.", !is_document),
        ("413", "The body is too large.", !is_document),
        ("429", "It was tried too often.", has_body || !public),
        ("503", "The store cannot be asked at the moment.", !is_document),
    ];
    // The description is the only part of an answer that has to be there.
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
