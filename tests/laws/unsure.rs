//! A transaction of whose commit nobody can tell whether it happened.

use async_trait::async_trait;
use keyward::store::{NewOwner, NewRole, NewToken, StoreError, Transaction};
use keyward::{
    AuditEvent, Ceiling, Digest, Owner, OwnerId, OwnerState, Permission, Role, RoleId, Tag, Timestamp, Token, TokenId,
};

pub struct Unsure {
    pub tx: Box<dyn Transaction>,
    pub happens: bool,
}

#[async_trait]
impl Transaction for Unsure {
    fn seq(&self) -> u64 {
        self.tx.seq()
    }

    fn now(&self) -> Timestamp {
        self.tx.now()
    }

    async fn insert_role(&mut self, role: NewRole) -> Result<RoleId, StoreError> {
        self.tx.insert_role(role).await
    }

    async fn role(&mut self, id: RoleId) -> Result<Option<Role>, StoreError> {
        self.tx.role(id).await
    }

    async fn role_name_taken(&mut self, name: &str) -> Result<bool, StoreError> {
        self.tx.role_name_taken(name).await
    }

    async fn set_permissions(&mut self, id: RoleId, permissions: &[Permission]) -> Result<(), StoreError> {
        self.tx.set_permissions(id, permissions).await
    }

    async fn insert_owner(&mut self, owner: NewOwner) -> Result<OwnerId, StoreError> {
        self.tx.insert_owner(owner).await
    }

    async fn owner(&mut self, id: OwnerId) -> Result<Option<Owner>, StoreError> {
        self.tx.owner(id).await
    }

    async fn email_taken(&mut self, email: &str) -> Result<bool, StoreError> {
        self.tx.email_taken(email).await
    }

    async fn set_owner_state(&mut self, id: OwnerId, state: OwnerState) -> Result<(), StoreError> {
        self.tx.set_owner_state(id, state).await
    }

    async fn set_owner_roles(&mut self, id: OwnerId, roles: &[RoleId]) -> Result<(), StoreError> {
        self.tx.set_owner_roles(id, roles).await
    }

    async fn ceiling(&mut self, id: OwnerId) -> Result<Ceiling, StoreError> {
        self.tx.ceiling(id).await
    }

    async fn other_super_admins(&mut self, id: OwnerId) -> Result<u64, StoreError> {
        self.tx.other_super_admins(id).await
    }

    async fn delete_sessions(&mut self, id: OwnerId) -> Result<Vec<Digest>, StoreError> {
        self.tx.delete_sessions(id).await
    }

    async fn insert_token(&mut self, token: NewToken) -> Result<TokenId, StoreError> {
        self.tx.insert_token(token).await
    }

    async fn token(&mut self, id: TokenId) -> Result<Option<Token>, StoreError> {
        self.tx.token(id).await
    }

    async fn token_name_taken(&mut self, name: &str) -> Result<bool, StoreError> {
        self.tx.token_name_taken(name).await
    }

    async fn delete_token(&mut self, id: TokenId) -> Result<(), StoreError> {
        self.tx.delete_token(id).await
    }

    async fn audit(&mut self, event: AuditEvent) -> Result<(), StoreError> {
        self.tx.audit(event).await
    }

    async fn commit(self: Box<Self>, tags: &[Tag]) -> Result<(), StoreError> {
        if self.happens {
            self.tx.commit(tags).await?;
        }
        Err(StoreError::Unknown("the line went dead".into()))
    }
}
