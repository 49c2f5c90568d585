//! The state that all services of an installation share, besides the store.

use super::Policy;
use super::error::FieldErrors;
use super::preview::PreviewTurns;
#[cfg(feature = "people")]
use super::sign_in_state::SignInState;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
use crate::domain::LogLimit;
use crate::domain::{
    AccountKey, Catalogue, Ceiling, ConditionId, Conditions, ConfiguredKeys, EncryptionKeys, Entropy, FieldName,
    Permission, Scope, SecretFormat, Unregistered,
};
use crate::resolve::Resolver;
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::{Arc, Mutex, PoisonError};
use std::collections::HashSet;
use tokio::sync::mpsc;

/// The state that all services of an installation share, besides the store.
pub(crate) struct AdminState {
    pub(crate) resolver: Arc<Resolver>,
    pub(crate) format: SecretFormat,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) settings: Settings,
    pub(super) keys: Arc<ConfiguredKeys>,
    /// Whether the store holds the check values of the keys, and they match.
    keys_stored: AtomicBool,
    pub(super) previews: PreviewTurns,
    /// The limit of the lines on transactions of the host that do not fit.
    #[cfg(any(feature = "postgres", feature = "sqlite"))]
    pub(super) unfit_transactions: LogLimit,
    /// Accounts of the host that a look-up met with less than their tokens. Taken by the task that clamps them.
    shrunk: Mutex<Option<mpsc::Receiver<AccountKey>>>,
    #[cfg(feature = "people")]
    pub(super) sign_in: SignInState,
}

/// The host's settings for the services.
#[derive(Default)]
pub(crate) struct Settings {
    /// Without a catalogue, actions and resources are not checked.
    pub(crate) catalogue: Option<Catalogue>,
    /// Without encryption keys, secrets are shown once only.
    pub(crate) encryption: Option<EncryptionKeys>,
    pub(crate) policy: Policy,
    /// Whether there is a content API: an installation without one gets no tokens for it.
    pub(crate) has_content: bool,
    /// Whether the first super admin needs no setup code.
    #[cfg(feature = "people")]
    pub(crate) open_setup: bool,
    /// How reports of secrets found in public are taken, if they are.
    #[cfg(feature = "secret-scanning")]
    pub(crate) secret_scanning: Option<super::SecretScanning>,
}

/// A permission or a grant: its scope and its conditions.
pub(super) type ScopeWithConditions<'a> = (&'a Scope, &'a [ConditionId]);

impl AdminState {
    pub(crate) fn new(
        resolver: Arc<Resolver>,
        format: SecretFormat,
        entropy: Arc<dyn Entropy>,
        settings: Settings,
        keys: Arc<ConfiguredKeys>,
        shrunk: Option<mpsc::Receiver<AccountKey>>,
    ) -> Self {
        Self {
            #[cfg(feature = "people")]
            sign_in: SignInState::new(&settings.policy, resolver.clock.clone()),
            previews: PreviewTurns::default(),
            #[cfg(any(feature = "postgres", feature = "sqlite"))]
            unfit_transactions: LogLimit::new(),
            shrunk: Mutex::new(shrunk),
            resolver,
            format,
            entropy,
            settings,
            keys,
            keys_stored: AtomicBool::new(false),
        }
    }

    pub(super) fn take_shrunk(&self) -> Option<mpsc::Receiver<AccountKey>> {
        // No code in here panics half-way through a change.
        self.shrunk.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    pub(super) fn are_keys_stored(&self) -> bool {
        self.keys_stored.load(Ordering::Acquire)
    }

    /// Notes that the store holds the check values of the keys, and they match.
    pub(super) fn note_keys_stored(&self) {
        self.keys_stored.store(true, Ordering::Release);
        self.resolver.keys_fit();
    }

    /// Returns the permissions of a ceiling. For an unlimited one, or a policy, these are those of
    /// the catalogue.
    pub(super) fn permissions_of(&self, ceiling: Ceiling) -> Vec<Permission> {
        match ceiling {
            Ceiling::Of(permissions) => permissions,
            Ceiling::Unlimited => self.settings.catalogue.as_ref().map(Catalogue::everything).unwrap_or_default(),
            Ceiling::Policy(policy) => {
                let listed = self.settings.catalogue.as_ref().map(Catalogue::everything).unwrap_or_default();
                let allowed = |p: &Permission| policy.allows(&p.scope.action, p.scope.resource.as_ref());
                listed.into_iter().filter(allowed).collect()
            }
        }
    }

    /// Reports names of permissions or grants that are missing from the catalogue: they would always be denied. Names that were
    /// there `before` may stay.
    pub(super) fn report_unregistered<'a>(
        &self,
        list: FieldName,
        items: impl Iterator<Item = ScopeWithConditions<'a>>,
        before: impl Iterator<Item = ScopeWithConditions<'a>>,
        errors: &mut FieldErrors,
    ) {
        let key = |(scope, _): ScopeWithConditions<'a>, unregistered: &Unregistered| {
            (&scope.action, scope.resource.as_ref(), unregistered.message.clone())
        };
        // Checked only if a name is missing.
        let mut before = Some(before);
        let mut known = HashSet::new();
        for (i, item) in items.enumerate() {
            for unregistered in self.unregistered(item) {
                if let Some(before) = before.take() {
                    let keys = before.flat_map(|item| self.unregistered(item).into_iter().map(move |u| key(item, &u)));
                    known = keys.collect();
                }
                if errors.is_full() {
                    return;
                }
                if !known.contains(&key(item, &unregistered)) {
                    let Unregistered { path, name, message } = unregistered;
                    errors.add_value(list.at(i).join(&path), message, name);
                }
            }
        }
    }

    /// Returns the names of a permission or grant that are missing from the catalogue.
    pub(super) fn unregistered(&self, (scope, chosen): ScopeWithConditions<'_>) -> Vec<Unregistered> {
        let conditions: &Conditions = self.resolver.conditions();
        if let Some(catalogue) = &self.settings.catalogue {
            return catalogue.check(scope, chosen, conditions);
        }
        let unknown = chosen.iter().enumerate().filter(|(_, id)| !conditions.contains(id.as_str()));
        let unregistered = |(j, id): (usize, &ConditionId)| Unregistered {
            path: FieldName::Conditions.at(j),
            name: id.to_string(),
            message: format!("there is no condition {id}"),
        };
        unknown.map(unregistered).collect()
    }
}
