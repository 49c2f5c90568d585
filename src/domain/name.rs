//! Names of actions, resources, fields and conditions, and non-empty sets of them.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Takes any text. A name that is used nowhere else never matches.
            pub fn new(text: impl Into<Arc<str>>) -> Self {
                Self(text.into())
            }

            /// Returns the text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self::new(text)
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self::new(text)
            }
        }

        impl From<&String> for $name {
            fn from(text: &String) -> Self {
                Self::new(text.as_str())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }
    };
}

name!(
    /// An action: `plugin::content-manager.explorer.read`, `admin::webhooks.create`, `api::article.article.find`.
    Action
);
name!(
    /// A resource that an action applies to: `api::article.article`. Many actions have none.
    Resource
);
name!(
    /// A field of a resource: `title`.
    Field
);
name!(
    /// The id of a registered condition: `admin::is-creator`.
    ConditionId
);

/// A set that must not be empty is empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the list is empty: name at least one, or leave it out to mean all")]
pub struct EmptySet;

macro_rules! set {
    ($(#[$doc:meta])* $set:ident of $item:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, Debug)]
        pub struct $set(Arc<[$item]>);

        impl $set {
            /// Sorts the items and drops duplicates.
            ///
            /// # Errors
            /// Returns [`EmptySet`] if there are no items.
            pub fn new<I: Into<$item>>(items: impl IntoIterator<Item = I>) -> Result<Self, EmptySet> {
                let mut items: Vec<$item> = items.into_iter().map(Into::into).collect();
                items.sort_unstable();
                items.dedup();
                if items.is_empty() { Err(EmptySet) } else { Ok(Self(items.into())) }
            }

            /// Returns the members, ascending.
            pub fn as_slice(&self) -> &[$item] {
                &self.0
            }

            /// Returns true if `text` is a member.
            pub fn contains(&self, text: &str) -> bool {
                self.0.binary_search_by(|i| i.as_str().cmp(text)).is_ok()
            }

            /// Returns true if every member is also in `other`.
            pub fn is_subset(&self, other: &Self) -> bool {
                self.0.iter().all(|i| other.0.binary_search(i).is_ok())
            }
        }
    };
}

set!(
    /// A non-empty set of fields.
    FieldSet of Field
);
set!(
    /// A non-empty set of conditions, any of which suffices.
    ConditionSet of ConditionId
);
