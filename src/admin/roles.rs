//! The roles service.

use super::actor::{Grantor, may_change};
use super::context::{ServiceContext, actor_methods, version_methods};
use super::error::FieldErrors;
use super::size_limits::{PERMISSIONS, is_too_long, report_oversized};
use super::state::{AdminState, ScopeWithConditions};
use super::text_fields::{checked_description, checked_name};
use super::unit_of_work::UnitOfWork;
use super::{Policy, ServiceError};
use crate::domain::{Ceiling, ConditionClause, FieldName, Permission, Role, RoleId, comparable, same_in_any_order};
use crate::store::{Clamped, NewRole, View};

/// The roles service: reads and changes roles. Returned by [`Keyward::roles`](crate::Keyward::roles).
#[derive(Clone, Debug)]
pub struct Roles(pub(super) ServiceContext);

actor_methods!(Roles);
version_methods!(Roles, "a role");

/// A change of a role. `None` leaves a field as it is.
#[derive(Clone, Debug, Default)]
pub struct RoleUpdate {
    /// The new name.
    pub name: Option<String>,
    /// The new description.
    pub description: Option<String>,
    /// The new permissions, all of them.
    pub permissions: Option<Vec<Permission>>,
}

const BUILT_IN: ServiceError =
    ServiceError::Impossible("the super admin role cannot be changed or deleted: create another role");
const STRONGER: &str = "this role has permissions that you do not have";

impl Roles {
    fn map(self, f: impl FnOnce(ServiceContext) -> ServiceContext) -> Self {
        Self(f(self.0))
    }

    /// Lists every role by id, each with the number of its members.
    ///
    /// # Errors
    /// [`Store`](ServiceError::Store) if the store fails.
    pub async fn list(&self) -> Result<Vec<(Role, u64)>, ServiceError> {
        Ok(self.0.view().await?.roles().await?)
    }

    /// Returns a role.
    ///
    /// # Errors
    /// [`NotFound`](ServiceError::NotFound) if there is no such role.
    pub async fn read(&self, id: RoleId) -> Result<Role, ServiceError> {
        load_role(&mut *self.0.view().await?, id).await
    }

    /// Returns a role with the number of its members.
    ///
    /// # Errors
    /// [`NotFound`](ServiceError::NotFound) if there is no such role.
    #[cfg(any(feature = "api", feature = "ui"))]
    pub(crate) async fn read_with_members(&self, id: RoleId) -> Result<(Role, u64), ServiceError> {
        let mut view = self.0.view().await?;
        let role = load_role(&mut *view, id).await?;
        Ok((role, view.count_members(id).await?))
    }

    /// Adds a role.
    ///
    /// # Errors
    /// - [`Invalid`](ServiceError::Invalid) if the name is empty, a permission names something that is not registered, or there are as
    ///   many roles as [`Policy::roles`](crate::admin::Policy::roles) allows;
    /// - [`Taken`](ServiceError::Taken) if the name is taken;
    /// - [`Exceeds`](ServiceError::Exceeds) if the actor may not give a permission;
    /// - [`Forbidden`](ServiceError::Forbidden) if the actor is a token.
    pub async fn create(&self, new: NewRole) -> Result<Role, ServiceError> {
        self.may_change()?;
        let mut errors = FieldErrors::default();
        let name = errors.collect(checked_name(FieldName::Name, &new.name))?.unwrap_or_default();
        let description = checked_description(FieldName::Description, &new.description);
        let description = errors.collect(description)?.unwrap_or_default();
        let new = NewRole { name, description, ..new };
        self.0.transact(move |unit| Box::pin(create(unit, new, errors))).await
    }

    /// Changes a role. Its members' tokens lose, for good, the grants that their owners no longer hold.
    ///
    /// # Errors
    /// - [`NotFound`](ServiceError::NotFound) if there is no such role;
    /// - [`Impossible`](ServiceError::Impossible) for the super admin role;
    /// - [`Invalid`](ServiceError::Invalid) if the name is empty or a permission names something that is not registered;
    /// - [`Taken`](ServiceError::Taken) if the name is taken.
    ///
    /// If the actor is not a super admin, also:
    /// - [`Forbidden`](ServiceError::Forbidden) if the present permissions exceed those of the actor;
    /// - [`Exceeds`](ServiceError::Exceeds) if the new ones do, or if the role has members and the actor holds a new permission under
    ///   conditions only.
    pub async fn update(&self, id: RoleId, update: RoleUpdate) -> Result<Role, ServiceError> {
        self.may_change()?;
        let changes = Changes::check(update)?;
        let changed = self.0.transact(move |unit| Box::pin(change(unit, id, changes))).await;
        changed.map(|(role, _)| role)
    }

    /// Replaces a role's permissions, as [`update`](Self::update) does.
    ///
    /// # Errors
    /// As for [`update`](Self::update).
    pub async fn set_permissions(&self, id: RoleId, permissions: Vec<Permission>) -> Result<Role, ServiceError> {
        self.update(id, RoleUpdate { permissions: Some(permissions), ..RoleUpdate::default() }).await
    }

    /// Counts the grants that [`set_permissions`](Self::set_permissions) would remove from tokens, by the same rules. It changes
    /// nothing and blocks no writer. A person has one preview at a time: another one waits up to 5 s.
    ///
    /// # Errors
    /// As for [`update`](Self::update); and [`TooManyAttempts`](ServiceError::TooManyAttempts) after that wait.
    pub async fn preview_clamp(&self, id: RoleId, permissions: Vec<Permission>) -> Result<Clamped, ServiceError> {
        self.may_change()?;
        let changes = Changes::check(RoleUpdate { permissions: Some(permissions), ..RoleUpdate::default() })?;
        let previewed = self.0.preview(move |unit| Box::pin(change(unit, id, changes))).await;
        previewed.map(|(_, clamped)| clamped)
    }

    /// Lists every role by id, each with the number of its members' admin tokens.
    ///
    /// # Errors
    /// [`Forbidden`](ServiceError::Forbidden) unless the actor is the host program or a person: a token learns nothing of others' tokens.
    pub async fn tokens_of_members(&self) -> Result<Vec<(RoleId, u64)>, ServiceError> {
        let mut view = self.0.view().await?;
        self.0.actor(&mut *view).await?.grantor()?;
        Ok(view.tokens_of_members().await?)
    }

    /// Deletes a role that has no members.
    ///
    /// # Errors
    /// - [`NotFound`](ServiceError::NotFound) if there is no such role;
    /// - [`Impossible`](ServiceError::Impossible) if it has members, or is the super admin role;
    /// - [`Forbidden`](ServiceError::Forbidden) if it exceeds the actor's permissions.
    pub async fn delete(&self, id: RoleId) -> Result<Role, ServiceError> {
        self.0.transact(move |unit| Box::pin(delete(unit, id))).await
    }

    /// Rejects actors that may never change a role.
    pub(crate) fn may_change(&self) -> Result<(), ServiceError> {
        may_change(self.0.origin.actor)
    }
}

pub(super) async fn load_role(view: &mut dyn View, id: RoleId) -> Result<Role, ServiceError> {
    view.role(id).await?.ok_or(ServiceError::NotFound("role"))
}

/// A [`RoleUpdate`] in its stored form, and the errors found so far.
struct Changes {
    name: Option<String>,
    description: Option<String>,
    permissions: Option<Vec<Permission>>,
    errors: FieldErrors,
}

impl Changes {
    fn check(update: RoleUpdate) -> Result<Self, ServiceError> {
        let RoleUpdate { name, description, permissions } = update;
        let mut errors = FieldErrors::default();
        let name = name.map(|name| errors.collect(checked_name(FieldName::Name, &name))).transpose()?.flatten();
        let description = description.map(|text| checked_description(FieldName::Description, &text));
        let description = description.map(|text| errors.collect(text)).transpose()?.flatten();
        Ok(Self { name, description, permissions, errors })
    }
}

async fn create(unit: &mut UnitOfWork<'_>, new: NewRole, mut errors: FieldErrors) -> Result<Role, ServiceError> {
    let grantor = unit.grantor().await?;
    check_permissions(&unit.state, &new.permissions, &[], &mut errors);
    errors.into_result()?;
    may_give(&grantor, &new.permissions)?;
    ensure_name_available(unit, &new.name, None).await?;
    ensure_room(unit).await?;
    unit.create_role(new).await
}

/// Checks that a role which the policy names keeps its name: with another one its rules for tokens would end.
fn ensure_rules_stay(policy: &Policy, before: &str, after: &str) -> Result<(), ServiceError> {
    let (before, after) = (comparable(before), comparable(after));
    let has_rules = policy.role_rules.iter().any(|(name, _)| comparable(name) == before);
    if has_rules && before != after {
        let message = "must stay: this installation has rules for tokens of the role by its name";
        return Err(ServiceError::invalid(FieldName::Name, message));
    }
    Ok(())
}

async fn change(unit: &mut UnitOfWork<'_>, id: RoleId, changes: Changes) -> Result<(Role, Clamped), ServiceError> {
    let Changes { name, description, permissions, mut errors } = changes;
    let (grantor, before) = load_changeable(unit, id).await?;
    unit.check_version("role", before.version())?;
    check_permissions(&unit.state, permissions.as_deref().unwrap_or_default(), &before.permissions, &mut errors);
    errors.into_result()?;
    if let Some(permissions) = &permissions {
        may_give(&grantor, permissions)?;
        may_give_to_members(unit, &grantor, &before, permissions).await?;
    }
    let name = name.unwrap_or_else(|| before.name.clone());
    ensure_rules_stay(&unit.state.settings.policy, &before.name, &name)?;
    let description = description.unwrap_or_else(|| before.description.clone());
    ensure_name_available(unit, &name, Some(id)).await?;
    unit.describe_role(&before, &name, &description).await?;
    let clamped = match permissions.filter(|permissions| !same_in_any_order(permissions, &before.permissions)) {
        Some(permissions) => unit.set_role_permissions(&before, &permissions).await?,
        None => Clamped::default(),
    };
    Ok((load_role(unit.view(), id).await?, clamped))
}

async fn delete(unit: &mut UnitOfWork<'_>, id: RoleId) -> Result<Role, ServiceError> {
    let (_, role) = load_changeable(unit, id).await?;
    unit.check_version("role", role.version())?;
    if has_members(unit, id).await? {
        return Err(ServiceError::Impossible("users have this role: take it from them first"));
    }
    unit.delete_role(&role).await?;
    Ok(role)
}

/// Loads a role that the actor may change, and the actor.
async fn load_changeable(unit: &mut UnitOfWork<'_>, id: RoleId) -> Result<(Grantor, Role), ServiceError> {
    let grantor = unit.grantor().await?;
    let role = load_role(unit.view(), id).await?;
    if id == RoleId::SUPER_ADMIN {
        return Err(BUILT_IN);
    }
    grantor.ensure_covers(&Ceiling::Of(role.permissions.clone()), STRONGER)?;
    Ok((grantor, role))
}

/// Reports permissions that exceed the size limits, or name something that is neither registered nor in the role already.
fn check_permissions(state: &AdminState, permissions: &[Permission], before: &[Permission], errors: &mut FieldErrors) {
    fn items(permissions: &[Permission]) -> impl Iterator<Item = ScopeWithConditions<'_>> {
        permissions.iter().map(|p| (&p.scope, p.when.as_slice()))
    }
    let list = FieldName::Permissions;
    if !is_too_long(list, permissions.len(), PERMISSIONS, errors) {
        report_oversized(list, items(permissions), errors);
        state.report_unregistered(list, items(permissions), items(before), errors);
    }
}

/// Checks that the actor may give these permissions.
fn may_give(grantor: &Grantor, permissions: &[Permission]) -> Result<(), ServiceError> {
    let mut errors = FieldErrors::default();
    let ceiling = grantor.ceiling.index();
    for (i, permission) in permissions.iter().enumerate() {
        if errors.is_full() {
            break;
        }
        if let Err(beyond) = ceiling.check_delegation(permission) {
            let (path, action) = (FieldName::Permissions.at(i), permission.scope.action.to_string());
            errors.add_value(path, format!("more than you hold: {beyond}"), action);
        }
    }
    errors.into_exceeds()
}

/// Checks that the members of a role get no new permission that the actor holds under conditions only.
///
/// A condition may mean other rows for a member than for the actor: for example rows of people with the member's roles.
async fn may_give_to_members(
    unit: &mut UnitOfWork<'_>,
    grantor: &Grantor,
    before: &Role,
    permissions: &[Permission],
) -> Result<(), ServiceError> {
    let Ceiling::Of(held) = &grantor.ceiling else { return Ok(()) };
    if !has_members(unit, before.id).await? {
        return Ok(());
    }
    let always = held.iter().filter(|p| p.when == ConditionClause::Always);
    let allowed = Ceiling::Of(before.permissions.iter().chain(always).cloned().collect());
    let index = allowed.index();
    let mut errors = FieldErrors::default();
    for (i, permission) in permissions.iter().enumerate() {
        if errors.is_full() {
            break;
        }
        if permission.when != ConditionClause::Always && index.check_delegation(permission).is_err() {
            let message = "this role has members: only a super admin can add a permission under conditions, or an admin who holds \
                           it without conditions";
            errors.add_value(FieldName::Permissions.at(i), message, permission.scope.action.to_string());
        }
    }
    errors.into_exceeds()
}

async fn has_members(unit: &mut UnitOfWork<'_>, id: RoleId) -> Result<bool, ServiceError> {
    Ok(unit.view().count_members(id).await? > 0)
}

async fn ensure_name_available(unit: &mut UnitOfWork<'_>, name: &str, own: Option<RoleId>) -> Result<(), ServiceError> {
    match unit.view().role_with_name(name).await? {
        Some(id) if own != Some(id) => {
            Err(ServiceError::Taken { field: FieldName::Name, message: "Name already taken" })
        }
        _ => Ok(()),
    }
}

/// Checks that one more role is within the limit of the policy. The limit exists because lists of roles have no pages.
async fn ensure_room(unit: &mut UnitOfWork<'_>) -> Result<(), ServiceError> {
    let most = unit.state.settings.policy.roles;
    match unit.view().roles().await?.len() as u64 {
        count if count >= most => {
            let message = format!("there are already {most} roles, which is the limit: delete one first");
            Err(ServiceError::invalid(FieldName::Name, message))
        }
        _ => Ok(()),
    }
}
