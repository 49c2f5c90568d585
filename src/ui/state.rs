//! The state that pages share.

use super::base::request_base;
use super::registry::Registry;
use crate::domain::Timestamp;
use crate::guard::{Addresses, BodyReader, SessionCheck};
use crate::keyward::Keyward;
use axum::extract::FromRef;
use http::request::Parts;
use std::sync::Arc;

/// The installation, and the actions that permissions can name.
#[derive(Clone)]
pub(super) struct Pages {
    pub(super) keyward: Keyward,
    pub(super) registry: Arc<Registry>,
}

impl Pages {
    pub(super) fn new(keyward: &Keyward) -> Self {
        let catalogue = keyward.catalogue().cloned().unwrap_or_default();
        let registry = Registry::new(catalogue, keyward.conditions());
        Self { keyward: keyward.clone(), registry: Arc::new(registry) }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.keyward.clock().now()
    }

    /// Returns whether keys are kept sealed, so that they can be shown again.
    pub(super) fn keeps_keys(&self) -> bool {
        self.keyward.settings().encryption.is_some()
    }

    /// Checks the session cookie of a request to a public page, which the layer does not check.
    pub(super) async fn check_session(&self, parts: &Parts) -> SessionCheck {
        let cookie = self.keyward.session_cookie();
        let names = [cookie.name_at(&request_base()), cookie.name()];
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
