//! The state that pages share.

use super::base::request_base;
use super::paths::{HOME, OWN_TOKENS};
use super::registry::Registry;
use crate::domain::Timestamp;
use crate::guard::{Addresses, BodyReader, Mount, SessionCheck, SessionCookie};
use crate::keyward::Keyward;
use axum::extract::FromRef;
use http::request::Parts;
use std::sync::Arc;

/// The installation, the actions that permissions can name, and where the pages are.
#[derive(Clone)]
pub(super) struct Pages {
    pub(super) keyward: Keyward,
    pub(super) registry: Arc<Registry>,
    pub(super) mount: Arc<Mount>,
    pub(super) cookie: SessionCookie,
}

impl Pages {
    pub(super) fn new(keyward: &Keyward, mount: &Mount, cookie: SessionCookie) -> Self {
        let catalogue = keyward.catalogue().cloned().unwrap_or_default();
        let registry = Registry::new(catalogue, keyward.conditions());
        Self { keyward: keyward.clone(), registry: Arc::new(registry), mount: Arc::new(mount.clone()), cookie }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.keyward.clock().now()
    }

    /// Returns the path of the page where people start.
    pub(super) fn home(&self) -> &'static str {
        if self.mount.is_whole() { HOME } else { OWN_TOKENS }
    }

    /// Returns whether keys are kept sealed, so that they can be shown again.
    pub(super) fn keeps_keys(&self) -> bool {
        self.keyward.settings().encryption.is_some()
    }

    /// Checks the session cookie of a request to a public page, which the layer does not check.
    pub(super) async fn check_session(&self, parts: &Parts) -> SessionCheck {
        let names = [self.cookie.name_at(&request_base()), self.cookie.name()];
        self.keyward.gate().has_session(&names, &parts.headers, &parts.extensions).await
    }
}

impl FromRef<Pages> for Addresses {
    fn from_ref(pages: &Pages) -> Self {
        pages.keyward.addresses().clone()
    }
}

impl FromRef<Pages> for BodyReader {
    fn from_ref(pages: &Pages) -> Self {
        pages.keyward.bodies().clone()
    }
}
