//! Typed paths to the fields of a service's input.

use std::fmt;

/// A field of a service's input.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
#[allow(missing_docs, reason = "each is the name of the field that it stands for")]
pub enum FieldName {
    Access,
    Action,
    Active,
    Blocked,
    Conditions,
    CurrentPassword,
    Description,
    Digest,
    Email,
    Enabled,
    ExpiresAt,
    Fields,
    Filters,
    Firstname,
    GracePeriod,
    Grants,
    Idle,
    IdleExpiry,
    Invitation,
    Kind,
    Lastname,
    Lifespan,
    Metadata,
    Name,
    Networks,
    Owner,
    Page,
    PageSize,
    Password,
    Path,
    Permissions,
    RateLimit,
    Resource,
    Roles,
    Secret,
    Selection,
    SetupCode,
    Source,
    State,
    Username,
}

impl FieldName {
    /// Returns the name as the services write it: in snake case.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Access => "access",
            Self::Action => "action",
            Self::Active => "active",
            Self::Blocked => "blocked",
            Self::Conditions => "conditions",
            Self::CurrentPassword => "current_password",
            Self::Description => "description",
            Self::Digest => "digest",
            Self::Email => "email",
            Self::Enabled => "enabled",
            Self::ExpiresAt => "expires_at",
            Self::Fields => "fields",
            Self::Filters => "filters",
            Self::Firstname => "firstname",
            Self::GracePeriod => "grace_period",
            Self::Grants => "grants",
            Self::Idle => "idle",
            Self::IdleExpiry => "idle_expiry",
            Self::Invitation => "invitation",
            Self::Kind => "kind",
            Self::Lastname => "lastname",
            Self::Lifespan => "lifespan",
            Self::Metadata => "metadata",
            Self::Name => "name",
            Self::Networks => "networks",
            Self::Owner => "owner",
            Self::Page => "page",
            Self::PageSize => "page_size",
            Self::Password => "password",
            Self::Path => "path",
            Self::Permissions => "permissions",
            Self::RateLimit => "rate_limit",
            Self::Resource => "resource",
            Self::Roles => "roles",
            Self::Secret => "secret",
            Self::Selection => "selection",
            Self::SetupCode => "setup_code",
            Self::Source => "source",
            Self::State => "state",
            Self::Username => "username",
        }
    }

    /// Returns the path to the entry at `index` of this list.
    pub(crate) fn at(self, index: usize) -> FieldPath {
        FieldPath::from(self).at(index)
    }
}

impl fmt::Display for FieldName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A step of a [`FieldPath`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum PathSegment {
    /// A field of a record.
    Field(FieldName),
    /// An entry of a list, from 0. In the sorted sets of fields and conditions it is the index of the member.
    Index(usize),
}

/// The path to a field of a service's input, from the outside in. Its text joins the segments with dots: `grants.0.fields.1`.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct FieldPath(Vec<PathSegment>);

impl FieldPath {
    /// Returns the segments, from the outside in.
    pub fn segments(&self) -> &[PathSegment] {
        &self.0
    }

    /// Returns the path to a field below this one.
    pub(crate) fn field(mut self, name: FieldName) -> Self {
        self.0.push(PathSegment::Field(name));
        self
    }

    /// Returns the path to an entry of the list at this path.
    pub(crate) fn at(mut self, index: usize) -> Self {
        self.0.push(PathSegment::Index(index));
        self
    }

    /// Returns the path to a field whose path below this one is `rest`.
    pub(crate) fn join(mut self, rest: &Self) -> Self {
        self.0.extend_from_slice(&rest.0);
        self
    }
}

impl From<FieldName> for FieldPath {
    fn from(name: FieldName) -> Self {
        Self(vec![PathSegment::Field(name)])
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, segment) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str(".")?;
            }
            match segment {
                PathSegment::Field(name) => write!(f, "{name}")?,
                PathSegment::Index(index) => write!(f, "{index}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_written_with_dots() {
        let path = FieldName::Grants.at(0).field(FieldName::Fields).at(1);
        assert_eq!(path.to_string(), "grants.0.fields.1");
        let below = FieldPath::from(FieldName::Resource);
        assert_eq!(FieldName::Permissions.at(12).join(&below).to_string(), "permissions.12.resource");
    }
}
