//! Roles: the sets of permissions that bound owners.

use super::actor::{Grantor, may_change};
use super::bounds::{PERMISSIONS, too_long, too_many};
use super::error::{FieldError, FieldErrors, described, named};
use super::write::{Item, ServiceContext, UnitOfWork, Writer};
use super::{ServiceError, for_whom, optimistic};
use crate::domain::{
    AuditAction, AuditCause, AuditTarget, Ceiling, ConditionClause, Permission, Role, RoleId, Tag, same_in_any_order,
};
use crate::store::{Clamp, Clamped, NewRole};
use serde_json::{Map, Value, json};

/// Changes and reads roles. Made by [`Keyward::roles`](crate::Keyward::roles).
#[derive(Clone, Debug)]
pub struct Roles(pub(super) ServiceContext);

for_whom!(Roles);
optimistic!(Roles, "a role");

/// What of a role is to change. What is `None` stays.
#[derive(Clone, Debug, Default)]
pub struct RoleUpdate {
    /// Another name.
    pub name: Option<String>,
    /// Another description.
    pub description: Option<String>,
    /// Other permissions, as a whole.
    pub permissions: Option<Vec<Permission>>,
}

const BUILT_IN: ServiceError = ServiceError::Impossible("the super admin role has no ceiling and stays as it is");
const STRONGER: &str = "this role may more than you";

impl Roles {
    fn map(self, f: impl FnOnce(ServiceContext) -> ServiceContext) -> Self {
        Self(f(self.0))
    }

    /// Every role by id, each with how many owners have it.
    ///
    /// # Errors
    /// If the store cannot be asked.
    pub async fn list(&self) -> Result<Vec<(Role, u64)>, ServiceError> {
        Ok(self.0.view().await?.roles().await?)
    }

    /// A role.
    ///
    /// # Errors
    /// If there is no such role.
    pub async fn read(&self, id: RoleId) -> Result<Role, ServiceError> {
        self.0.view().await?.role(id).await?.ok_or(ServiceError::NotFound("role"))
    }

    /// Adds a role.
    ///
    /// # Errors
    /// If the name is empty or taken, or a permission names what is not registered or is more than the actor may give away;
    /// or if there are as many roles as [`Policy::roles`](crate::admin::Policy::roles) allows. A token adds none.
    pub async fn create(&self, new: NewRole) -> Result<Role, ServiceError> {
        self.may_change()?;
        let mut wrong = FieldErrors::default();
        let name = wrong.take(named("name", &new.name))?.unwrap_or_default();
        let description = wrong.take(described("description", &new.description))?.unwrap_or_default();
        self.0
            .make(move |draft| {
                Box::pin(async move {
                    let grantor = draft.grantor().await?;
                    registered(&draft.writer, &new.permissions, &[], &mut wrong);
                    wrong.done()?;
                    may_give(&grantor, &new.permissions)?;
                    ensure_available(draft, &name, None).await?;
                    room_for_role(draft).await?;
                    let details = json!({"name": name, "permissions": audit_json(&new.permissions)});
                    let id = draft.tx.insert_role(NewRole { name, description, ..new }).await?;
                    draft.touch(Tag::role(id));
                    draft.audit(AuditAction::RoleCreated, AuditTarget::Role(id), details).await?;
                    found(draft, id).await
                })
            })
            .await
    }

    /// Changes a role. Grants of its members' tokens that nobody holds any more go with its permissions, and do not come back.
    ///
    /// # Errors
    /// If there is no such role, it is the super admin role, the name is empty or taken, or a permission names what is not
    /// registered. For an actor who is no super admin also: if the role may more than the actor, now or then, or if it has members and a
    /// permission under conditions is new that the actor does not hold without conditions.
    pub async fn update(&self, id: RoleId, update: RoleUpdate) -> Result<Role, ServiceError> {
        self.may_change()?;
        let changes = Self::checked(update)?;
        let changed = self.0.make(move |draft| Box::pin(change(draft, id, changes))).await;
        changed.map(|(role, _)| role)
    }

    /// Replaces what a role allows, as [`update`](Self::update) does.
    ///
    /// # Errors
    /// As for [`update`](Self::update).
    pub async fn set_permissions(&self, id: RoleId, permissions: Vec<Permission>) -> Result<Role, ServiceError> {
        self.update(id, RoleUpdate { permissions: Some(permissions), ..RoleUpdate::default() }).await
    }

    /// What [`set_permissions`](Self::set_permissions) would take from tokens, by the same rules. Nothing is changed or remembered, and
    /// no writer waits for it. A person has one preview at a time: another one waits up to 5 s.
    ///
    /// # Errors
    /// As for [`update`](Self::update); and [`TooManyAttempts`](ServiceError::TooManyAttempts) after that wait.
    pub async fn preview_clamp(&self, id: RoleId, permissions: Vec<Permission>) -> Result<Clamped, ServiceError> {
        self.may_change()?;
        let changes = Self::checked(RoleUpdate { permissions: Some(permissions), ..RoleUpdate::default() })?;
        let previewed = self.0.preview(move |draft| Box::pin(change(draft, id, changes))).await;
        previewed.map(|(_, clamped)| clamped)
    }

    /// Every role by id, each with how many admin tokens its members have.
    ///
    /// # Errors
    /// If nobody is signed in, or a token asks: of others' tokens it learns nothing.
    pub async fn tokens_of_members(&self) -> Result<Vec<(RoleId, u64)>, ServiceError> {
        let mut view = self.0.view().await?;
        self.0.actor(&mut view).await?.grantor()?;
        Ok(view.tokens_of_members().await?)
    }

    /// Removes a role that nobody has.
    ///
    /// # Errors
    /// If there is no such role, somebody has it, it is the super admin role, or it may more than whoever asks.
    pub async fn delete(&self, id: RoleId) -> Result<Role, ServiceError> {
        self.0
            .make(move |draft| {
                Box::pin(async move {
                    let (_, role) = changeable(draft, id).await?;
                    draft.unchanged("role", role.version())?;
                    if has_members(draft, id).await? {
                        return Err(ServiceError::Impossible("users have this role: take it from them first"));
                    }
                    draft.tx.delete_role(id).await?;
                    draft.touch(Tag::role(id));
                    let details = json!({"name": role.name, "permissions": audit_json(&role.permissions)});
                    draft.audit(AuditAction::RoleDeleted, AuditTarget::Role(id), details).await?;
                    Ok(role)
                })
            })
            .await
    }

    /// Refuses those who can never change a role.
    pub(crate) fn may_change(&self) -> Result<(), ServiceError> {
        may_change(self.0.origin.actor)
    }

    fn checked(update: RoleUpdate) -> Result<Changes, ServiceError> {
        let RoleUpdate { name, description, permissions } = update;
        let mut wrong = FieldErrors::default();
        let name = name.map(|n| wrong.take(named("name", &n))).transpose()?.flatten();
        let description = description.map(|d| wrong.take(described("description", &d))).transpose()?.flatten();
        Ok(Changes { name, description, permissions, wrong })
    }
}

/// Says what of these permissions is too much, or is not registered and not there already.
fn registered(writer: &Writer, permissions: &[Permission], before: &[Permission], wrong: &mut FieldErrors) {
    fn items(permissions: &[Permission]) -> impl Iterator<Item = Item<'_>> {
        permissions.iter().map(|p| (&p.scope, p.when.as_slice()))
    }
    if !too_long("permissions", permissions.len(), PERMISSIONS, wrong) {
        too_many("permissions", items(permissions), wrong);
        writer.unregistered("permissions", items(permissions), items(before), wrong);
    }
}

/// A [`RoleUpdate`] as it is kept, and what is wrong with it.
struct Changes {
    name: Option<String>,
    description: Option<String>,
    permissions: Option<Vec<Permission>>,
    wrong: FieldErrors,
}

async fn change(draft: &mut UnitOfWork, id: RoleId, changes: Changes) -> Result<(Role, Clamped), ServiceError> {
    let Changes { name, description, permissions, mut wrong } = changes;
    let (grantor, before) = changeable(draft, id).await?;
    draft.unchanged("role", before.version())?;
    registered(&draft.writer, permissions.as_deref().unwrap_or_default(), &before.permissions, &mut wrong);
    wrong.done()?;
    if let Some(permissions) = &permissions {
        may_give(&grantor, permissions)?;
        may_give_members(draft, &grantor, &before, permissions).await?;
    }
    let name = name.unwrap_or_else(|| before.name.clone());
    let description = description.unwrap_or_else(|| before.description.clone());
    ensure_available(draft, &name, Some(id)).await?;
    let mut details = Map::new();
    for (what, before, after) in [("name", &before.name, &name), ("description", &before.description, &description)] {
        if before != after {
            details.insert(what.to_owned(), json!({"before": before, "after": after}));
        }
    }
    if !details.is_empty() {
        draft.tx.update_role(id, &name, &description).await?;
        draft.audit(AuditAction::RoleUpdated, AuditTarget::Role(id), Value::Object(details)).await?;
    }
    let clamped = match permissions.filter(|permissions| !same_in_any_order(permissions, &before.permissions)) {
        Some(permissions) => set_permissions(draft, &before, &permissions).await?,
        None => Clamped::default(),
    };
    Ok((found(draft, id).await?, clamped))
}

/// Sets the permissions; what tokens carry beyond them goes.
async fn set_permissions(
    draft: &mut UnitOfWork,
    before: &Role,
    permissions: &[Permission],
) -> Result<Clamped, ServiceError> {
    let id = before.id;
    draft.tx.set_permissions(id, permissions).await?;
    draft.touch(Tag::role(id));
    let details = json!({"before": audit_json(&before.permissions), "after": audit_json(permissions)});
    draft.audit(AuditAction::RolePermissionsSet, AuditTarget::Role(id), details).await?;
    draft.clamp(Clamp::Members(id), AuditCause::RolePermissions(id)).await
}

/// A role that whoever asks may change, and who they are.
async fn changeable(draft: &mut UnitOfWork, id: RoleId) -> Result<(Grantor, Role), ServiceError> {
    let grantor = draft.grantor().await?;
    let role = found(draft, id).await?;
    if id == RoleId::SUPER_ADMIN {
        return Err(BUILT_IN);
    }
    grantor.covers(&Ceiling::Of(role.permissions.clone()), STRONGER)?;
    Ok((grantor, role))
}

fn may_give(grantor: &Grantor, permissions: &[Permission]) -> Result<(), ServiceError> {
    let mut wrong = FieldErrors::default();
    let ceiling = grantor.ceiling.index();
    for (i, permission) in permissions.iter().enumerate() {
        if wrong.is_full() {
            break;
        }
        if let Err(beyond) = ceiling.check_gift(permission) {
            let message = format!("more than you hold: {beyond}");
            wrong.add(FieldError {
                path: format!("permissions.{i}"),
                message,
                value: Some(permission.scope.action.to_string()),
            });
        }
    }
    wrong.none_exceeds()
}

/// Refuses permissions under conditions that are new to the members of a role, and that the actor holds under conditions only.
///
/// A condition may mean other rows for a member than for the actor: rows of people with the member's roles, say.
async fn may_give_members(
    draft: &mut UnitOfWork,
    grantor: &Grantor,
    before: &Role,
    permissions: &[Permission],
) -> Result<(), ServiceError> {
    let Ceiling::Of(held) = &grantor.ceiling else { return Ok(()) };
    if !has_members(draft, before.id).await? {
        return Ok(());
    }
    let always = held.iter().filter(|p| p.when == ConditionClause::Always);
    let given = Ceiling::Of(before.permissions.iter().chain(always).cloned().collect());
    let index = given.index();
    let refused = |p: &Permission| p.when != ConditionClause::Always && index.check_gift(p).is_err();
    let mut wrong = FieldErrors::default();
    for (i, permission) in permissions.iter().enumerate().filter(|(_, p)| refused(p)) {
        if wrong.is_full() {
            break;
        }
        wrong.add(FieldError {
            path: format!("permissions.{i}"),
            message: "this role has members: only a super admin adds a permission under conditions, or an admin who holds it without \
                      conditions"
                .to_owned(),
            value: Some(permission.scope.action.to_string()),
        });
    }
    wrong.none_exceeds()
}

async fn has_members(draft: &mut UnitOfWork, id: RoleId) -> Result<bool, ServiceError> {
    Ok(draft.tx.roles().await?.iter().any(|(role, members)| role.id == id && *members > 0))
}

async fn ensure_available(draft: &mut UnitOfWork, name: &str, own: Option<RoleId>) -> Result<(), ServiceError> {
    match draft.tx.role_named(name).await? {
        Some(id) if own != Some(id) => Err(ServiceError::Taken { path: "name", message: "Name already taken" }),
        _ => Ok(()),
    }
}

/// Refuses one more role where there are as many as the policy allows: lists of roles are whole.
async fn room_for_role(draft: &mut UnitOfWork) -> Result<(), ServiceError> {
    let most = draft.writer.settings.policy.roles;
    match draft.tx.roles().await?.len() as u64 {
        count if count >= most => Err(ServiceError::invalid(
            "name",
            format!("there are already {most} roles, which is the most: delete one first"),
        )),
        _ => Ok(()),
    }
}

async fn found(draft: &mut UnitOfWork, id: RoleId) -> Result<Role, ServiceError> {
    draft.tx.role(id).await?.ok_or(ServiceError::NotFound("role"))
}

/// Permissions, as the audit log tells them.
pub(super) fn audit_json(permissions: &[Permission]) -> Value {
    let one = |p: &Permission| {
        let fields = match &p.scope.fields {
            crate::domain::Fields::All => None,
            crate::domain::Fields::Only(set) => Some(set.as_slice()),
        };
        json!({"action": p.scope.action, "subject": p.scope.resource, "fields": fields, "conditions": p.when.as_slice()})
    };
    permissions.iter().map(one).collect()
}
