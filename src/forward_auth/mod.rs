//! Forward authentication (feature `forward-auth`): a proxy asks for each request whether it may pass.
//!
//! The proxy sends a request of its own to keyward, which reports the original request. It is called a *question* here.
//! [`router`] answers nginx (`auth_request`), Traefik (`ForwardAuth`), Caddy (`forward_auth`), HAProxy (a Lua action) and
//! Envoy (`ext_authz` over HTTP). [`Rules`] say which token kinds open which paths, and what a request requires. The gate
//! judges the request that the proxy reports as if it had received it. An answer of 200 names the caller in headers.
//!
//! The [guide](crate::guide::forward_auth) has the configuration of each proxy.
//!
//! ```
//! # tokio_test::block_on(async {
//! use axum::Router;
//! use keyward::forward_auth::{self, Rule, Rules};
//! use keyward::guard::ProxyHeader;
//! use keyward::{HashKey, Keyward, MemoryStore, action};
//!
//! let (hash_key, _text) = HashKey::generate()?;
//! let keyward = Keyward::builder(MemoryStore::default())
//!     .hash_key(hash_key)
//!     .admin("/admin")
//!     .trusted_proxies(["127.0.0.1"], ProxyHeader::XForwardedFor)
//!     .build()?;
//! let rules = Rules::nginx()
//!     .rule(Rule::service_keys("/orders", action("orders.write")))
//!     .rule(Rule::service_keys("/orders", action("orders.read")).methods([http::Method::GET]))
//!     .rule(Rule::public("/healthz").exact());
//! let app = Router::new().nest_service("/auth", forward_auth::router(&keyward, rules)?);
//! # let _: Router = app;
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! # }).unwrap();
//! ```

mod form;
mod host;
mod identity;
mod invalid;
mod reading;
mod router;
mod rules;
mod table;

pub use identity::Identity;
pub use invalid::InvalidRules;
pub use router::router;
pub use rules::{Rule, Rules};
