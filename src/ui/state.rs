//! What the pages work with.

use super::base::of_request;
use super::failure::Failure;
use super::frame::Viewer;
use super::matrix::Words;
use crate::admin::{AuditLog, Owners, Policy, Roles, Sessions, Tokens};
use crate::domain::{Catalogue, Ceiling, Clock, Conditions, Timestamp};
use crate::guard::{Addresses, BodyReader, Gate, SessionCheck, SessionCookie};
use crate::keyward::Keyward;
use axum::extract::FromRef;
use http::request::Parts;
use std::sync::Arc;

/// The services, for nobody in particular, and what never changes.
#[derive(Clone)]
pub(super) struct Pages {
    pub(super) owners: Owners,
    pub(super) roles: Roles,
    pub(super) sessions: Sessions,
    pub(super) tokens: Tokens,
    pub(super) events: AuditLog,
    pub(super) addresses: Addresses,
    pub(super) bodies: BodyReader,
    pub(super) cookie: SessionCookie,
    pub(super) policy: Arc<Policy>,
    pub(super) words: Arc<Words>,
    /// Whether keys are kept, sealed, to be shown again.
    pub(super) seals: bool,
    /// The first visitor needs no code.
    pub(super) open_setup: bool,
    /// Where content routes begin.
    pub(super) content_path: Arc<str>,
    pub(super) gate: Arc<Gate>,
    clock: Arc<dyn Clock>,
}

impl Pages {
    pub(super) fn new(keyward: &Keyward) -> Self {
        let catalogue: Catalogue = keyward.catalogue().cloned().unwrap_or_default();
        let conditions: &Conditions = keyward.conditions();
        let settings = keyward.settings();
        Self {
            owners: keyward.owners(),
            roles: keyward.roles(),
            sessions: keyward.sessions(),
            tokens: keyward.tokens(),
            events: keyward.audit(),
            addresses: keyward.addresses().clone(),
            bodies: keyward.bodies().clone(),
            cookie: keyward.session_cookie(),
            policy: Arc::new(settings.policy.clone()),
            words: Arc::new(Words::new(catalogue, conditions)),
            seals: settings.encryption.is_some(),
            open_setup: settings.open_setup,
            content_path: keyward.content_path().unwrap_or_default().into(),
            gate: keyward.gate().clone(),
            clock: keyward.clock(),
        }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Whether a request to a page outside of the gate has a valid session.
    pub(super) async fn session(&self, parts: &Parts) -> SessionCheck {
        let names = [self.cookie.name_at(&of_request()), self.cookie.name()];
        self.gate.has_session(&names, &parts.headers, &parts.extensions).await
    }

    /// All that the viewer may grant.
    pub(super) async fn ceiling(&self, viewer: &Viewer) -> Result<Ceiling, Failure> {
        if viewer.is_super_admin() {
            return Ok(Ceiling::Unlimited);
        }
        Ok(Ceiling::Of(self.sessions.clone().acting_as(&viewer.actor).permissions().await?))
    }
}

impl FromRef<Pages> for Addresses {
    fn from_ref(pages: &Pages) -> Self {
        pages.addresses.clone()
    }
}

impl FromRef<Pages> for BodyReader {
    fn from_ref(pages: &Pages) -> Self {
        pages.bodies.clone()
    }
}
