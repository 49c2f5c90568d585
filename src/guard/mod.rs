//! The guard of routes: the layer that admits requests, requirements, and the form of rejections.

mod address;
mod admit;
mod backstop;
mod base;
mod bearer;
mod body;
mod budget;
#[cfg(feature = "axum")]
mod caller;
mod context;
mod cookie;
mod credential_headers;
#[cfg(feature = "axum")]
mod declared;
#[cfg(any(feature = "api", feature = "ui"))]
mod device;
#[cfg(feature = "api")]
mod documented;
mod explain;
#[cfg(feature = "axum")]
mod extract;
mod future;
mod gate;
mod groups;
#[cfg(feature = "axum")]
mod guarded_handler;
#[cfg(feature = "axum")]
mod kept_routes;
mod mark;
#[cfg(any(feature = "api", feature = "ui"))]
mod mount;
mod origin;
mod page;
mod path;
#[cfg(feature = "api")]
mod presented;
#[cfg(feature = "mcp")]
mod protected_resource;
#[cfg(any(feature = "api", feature = "mcp", feature = "ui"))]
mod receive;
mod reject;
mod rejection;
mod require;
mod response;
mod revalidate;
mod route_requirement;
#[cfg(feature = "axum")]
mod router;
mod service;
#[cfg(feature = "ui")]
mod session_check;
mod signed_in;
mod style;

pub use address::{InvalidProxy, ProxyHeader};
pub use body::{BodyGuard, GuardableBody, GuardedBody};
pub use budget::FailureBudget;
pub use context::{AuthContext, Forbidden};
pub use cookie::SessionCookie;
pub use credential_headers::InvalidCredentialHeader;
#[cfg(feature = "axum")]
pub use extract::{AdminAuth, Auth, ContentAuth, NoPrincipal};
pub use future::GateFuture;
pub use groups::{EndStreams, Group, InvalidGroups};
#[cfg(any(feature = "api", feature = "ui"))]
pub use mount::Mount;
pub use rejection::{GrpcRejection, JsonRejection, MakeRejection, Rejection, RejectionContext};
pub use require::{Require, RequireFuture, RequireService};
pub use revalidate::NoLongerValid;
#[cfg(feature = "axum")]
pub use router::GuardedRouter;
pub use service::{GateLayer, GateService};
pub use style::{InvalidRealm, RejectionFormat};

pub use crate::domain::{Ambiguity, Authority, InvalidCredential, Principal, RateExceeded, Reason, Unavailable};
pub use crate::keyward::Guard;
pub use crate::resolve::Limits;

pub(crate) use address::Addresses;
#[cfg(feature = "forward-auth")]
pub(crate) use admit::sent_uri;
pub(crate) use base::Base;
#[cfg(feature = "axum")]
#[cfg_attr(
    not(any(feature = "api", feature = "ui")),
    allow(unused_imports, reason = "for the modules that answer HTTP")
)]
pub(crate) use caller::Caller;
pub(crate) use credential_headers::CredentialHeaders;
#[cfg(feature = "api")]
pub(crate) use credential_headers::title_case;
#[cfg(feature = "api")]
pub(crate) use declared::DeclaredRoute;
#[cfg(feature = "forward-auth")]
pub(crate) use declared::unknown_names;
pub(crate) use gate::{Gate, GateSettings};
#[cfg(any(feature = "api", feature = "ui"))]
pub(crate) use mount::Mounts;
#[cfg(feature = "forward-auth")]
pub(crate) use path::{decode_once, judge_reported};
#[cfg(feature = "api")]
pub(crate) use presented::Introspected;
#[cfg(any(feature = "mcp", feature = "secret-scanning"))]
pub(crate) use receive::Received;
#[cfg(any(feature = "api", feature = "mcp", feature = "ui"))]
pub(crate) use receive::{BodyError, BodyReader, DEADLINE as BODY_DEADLINE};
#[cfg(feature = "api")]
pub(crate) use response::KeptByClients;
#[cfg(feature = "mcp")]
pub(crate) use response::{EndedByService, is_event_stream};
#[cfg(feature = "ui")]
pub(crate) use session_check::SessionCheck;
pub(crate) use signed_in::SignedIn;
pub(crate) use style::RejectionStyle;
