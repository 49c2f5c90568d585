//! The requirements of guarded routes in the OpenAPI document of the host.

use super::openapi::{add_schemes, add_session_scheme, operations};
use crate::guard::{DeclaredRoute, Gate, Guard, GuardedRouter, RejectionFormat};
use http::{Method, StatusCode};
use std::fmt;
use std::sync::Arc;
use utoipa::openapi::path::Operation;
use utoipa::openapi::security::SecurityRequirement;
use utoipa::openapi::{Components, Content, OpenApi as Document, Ref, ResponseBuilder};
use utoipa::{Modify, PartialSchema, ToSchema};

/// A modifier that adds the requirements of guarded routes to your OpenAPI document.
///
/// - It adds a security scheme for each header that may hold a credential: `http` with `bearer`, and `apiKey` for other
///   [credential headers](crate::Builder::credential_headers).
/// - Each operation that a guarded route serves requires one of the schemes, with the actions of the route's requirement
///   as scopes, which OpenAPI 3.1 allows for all types of schemes. An operation that only sessions may call names none of
///   them; see [`session_cookie`](Self::session_cookie). Alternatives ([`any_of`](crate::any_of)) are listed one by one;
///   public actions of a content group add the one without a credential.
/// - Such an operation gets responses for 401 and 403, unless it has some.
///
/// Operations are found by method and path; names of path parameters may differ. Other operations stay as they are, and
/// so do those of [public](GuardedRouter::public) routes.
///
/// ```
/// # tokio_test::block_on(async {
/// use keyward::api::RouteSecurity;
/// use keyward::{GuardedRouter, HashKey, Keyward, MemoryStore, action};
/// use utoipa::{Modify, OpenApi};
///
/// #[utoipa::path(get, path = "/v1/orders", responses((status = 200, body = Vec<String>)))]
/// async fn list() -> &'static str { "[]" }
///
/// #[derive(OpenApi)]
/// #[openapi(paths(list))]
/// struct Shop;
///
/// let (hash_key, _) = HashKey::generate()?;
/// let keyward = Keyward::builder(MemoryStore::default()).hash_key(hash_key).service_keys("/v1").build()?;
/// let routes = GuardedRouter::<()>::new().get("/v1/orders", action("orders.read"), list);
/// let mut document = Shop::openapi();
/// RouteSecurity::new(&keyward, &routes).modify(&mut document);
///
/// let document = serde_json::to_value(&document)?;
/// let operation = &document["paths"]["/v1/orders"]["get"];
/// assert_eq!(operation["security"], serde_json::json!([{"bearer": ["orders.read"]}]));
/// assert!(operation["responses"]["403"]["content"]["application/problem+json"].is_object());
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
///
/// # Panics
/// [`modify`](Modify::modify) panics if several routes of one documented path were added by
/// [`route`](GuardedRouter::route) with different requirements, as their methods are unknown. Add them by
/// [`get`](GuardedRouter::get), [`post`](GuardedRouter::post) and so on.
#[derive(Clone)]
pub struct RouteSecurity {
    gate: Arc<Gate>,
    routes: Vec<DeclaredRoute>,
    session_cookie: Option<String>,
}

impl fmt::Debug for RouteSecurity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RouteSecurity").field("routes", &self.routes).finish_non_exhaustive()
    }
}

impl RouteSecurity {
    /// Creates a modifier for these routes, as this guard would serve them.
    pub fn new<S: Clone + Send + Sync + 'static>(guard: &Guard, routes: &GuardedRouter<S>) -> Self {
        Self { gate: guard.gate().clone(), routes: routes.declared().to_vec(), session_cookie: None }
    }

    /// Names the cookie of your session layer. Operations that people whom you have [signed in](crate::Builder::signed_in) may
    /// call get a security scheme for it. Without it, the operations of a group for [sessions](crate::Group::sessions) keep the
    /// `security` that you wrote.
    ///
    /// ```
    /// # fn describe(keyward: &keyward::Keyward, routes: &keyward::GuardedRouter, document: &mut utoipa::openapi::OpenApi) {
    /// use keyward::api::RouteSecurity;
    /// use utoipa::Modify;
    /// RouteSecurity::new(keyward, routes).session_cookie("sid").modify(document);
    /// # }
    /// ```
    #[must_use]
    pub fn session_cookie(mut self, name: impl Into<String>) -> Self {
        self.session_cookie = Some(name.into());
        self
    }
}

impl Modify for RouteSecurity {
    fn modify(&self, document: &mut Document) {
        let components = document.components.get_or_insert_with(Default::default);
        let schemes = add_schemes(components, self.gate.credential_headers(), "A token of this service.");
        let session = self.session_cookie.as_ref().map(|cookie| add_session_scheme(components, cookie));
        let schemes = Schemes { tokens: schemes, session };
        for (path, item) in &mut document.paths.paths {
            for (method, operation) in operations(item) {
                self.describe(&method, path, operation, &schemes, components);
            }
        }
    }
}

/// The names of security schemes.
struct Schemes {
    /// Those of tokens, by header.
    tokens: Vec<String>,
    /// That of the host's session.
    session: Option<String>,
}

impl RouteSecurity {
    fn describe(
        &self,
        method: &Method,
        path: &str,
        operation: &mut Operation,
        schemes: &Schemes,
        components: &mut Components,
    ) {
        let Ok(requirement) = self.gate.documented_requirement(&self.routes, method, path) else {
            panic!(
                "the requirement of {method} {path} is unknown: add the routes of this path by `get`, `post`, .. instead of `route`"
            );
        };
        let Some(requirement) = requirement else { return };
        let tokens = schemes.tokens.iter().filter(|_| requirement.admits_tokens);
        let schemes: Vec<_> = tokens.chain(schemes.session.iter().filter(|_| requirement.admits_signed_in)).collect();
        let of_set = |set: &Vec<String>| -> Vec<_> {
            schemes.iter().map(|scheme| SecurityRequirement::new(*scheme, set)).collect()
        };
        let mut security: Vec<_> = requirement.alternatives.iter().flat_map(of_set).collect();
        if requirement.is_public {
            security.push(SecurityRequirement::default());
        }
        if security.is_empty() {
            // Nothing meets it; an empty list would mean that no credential is required.
            security = of_set(&Vec::new());
        }
        // Without a scheme, an empty list would mean that no credential is required.
        if !security.is_empty() {
            operation.security = Some(security);
        }
        for (status, description) in [
            (StatusCode::UNAUTHORIZED, "The credential is missing or invalid."),
            (StatusCode::FORBIDDEN, "The credential does not allow this."),
        ] {
            let response = || rejection(description, requirement.format, components).into();
            operation.responses.responses.entry(status.as_str().to_owned()).or_insert_with(response);
        }
    }
}

/// Returns the response of a rejection. Its schema is added to the components.
fn rejection(description: &str, format: RejectionFormat, components: &mut Components) -> utoipa::openapi::Response {
    let (kind, content) = match format {
        RejectionFormat::Problem => {
            components.schemas.entry(PROBLEM.to_owned()).or_insert_with(ProblemDetails::schema);
            ("application/problem+json", Content::new(Some(Ref::from_schema_name(PROBLEM))))
        }
        RejectionFormat::Strapi | RejectionFormat::JsonRpc => ("application/json", Content::new(None::<Ref>)),
    };
    ResponseBuilder::new().description(description).content(kind, content).build()
}

/// The name of the schema, which should not be one of the host's.
const PROBLEM: &str = "KeywardProblem";

/// Problem details (RFC 9457) of a rejection.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only its schema is used: rejections are rendered without serialization")]
struct ProblemDetails {
    /// Always `about:blank`.
    r#type: String,
    /// The phrase of the status.
    title: String,
    status: u16,
    /// A sentence for people.
    detail: String,
    /// A word for programs, such as `insufficient_scope`.
    code: String,
    /// The missing scopes, separated by spaces.
    scope: Option<String>,
}
