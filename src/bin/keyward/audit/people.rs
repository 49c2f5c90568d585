//! The names of the people in events.

use crate::failure::Failure;
use crate::shapes::{EventShape, EventUser};
use keyward::Keyward;
use keyward::admin::{Actor, AuditEvent, ServiceError};
use keyward::token::OwnerId;
use std::collections::HashMap;

/// The most names that are kept.
const MOST: usize = 10_000;

/// The present names of people, as far as they were needed.
#[derive(Default)]
pub(super) struct People(HashMap<OwnerId, EventUser>);

impl People {
    /// Returns an event with the name of the person who acted.
    pub(super) async fn shape(&mut self, keyward: &Keyward, id: i64, event: AuditEvent) -> Result<EventShape, Failure> {
        let user = match event.origin.actor {
            Actor::Person(owner) => Some(self.user(keyward, owner).await?),
            _ => None,
        };
        Ok(EventShape::new(id, event, user))
    }

    async fn user(&mut self, keyward: &Keyward, id: OwnerId) -> Result<EventUser, Failure> {
        if let Some(user) = self.0.get(&id) {
            return Ok(user.clone());
        }
        let user = match keyward.owners().read(id).await {
            Ok(owner) => EventUser { id: id.0, display_name: Some(owner.display_name()), email: Some(owner.email) },
            Err(ServiceError::NotFound(_)) => EventUser { id: id.0, email: None, display_name: None },
            Err(error) => return Err(error.into()),
        };
        if self.0.len() >= MOST {
            self.0.clear();
        }
        self.0.insert(id, user.clone());
        Ok(user)
    }
}
