//! Names of actions, subjects, fields and conditions, and sets of them that are never empty.

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
            /// Takes any text. One that nothing else names never matches.
            pub fn new(text: impl Into<Arc<str>>) -> Self {
                Self(text.into())
            }

            /// The text.
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
    /// What is done: `plugin::content-manager.explorer.read`, `admin::webhooks.create`, `api::article.article.find`.
    Action
);
name!(
    /// What it is done to: `api::article.article`. Many actions have none.
    Resource
);
name!(
    /// A field of a subject: `title`.
    Field
);
name!(
    /// The id of a registered condition: `admin::is-creator`.
    ConditionId
);

/// A set that must not be empty was empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the list is empty: name at least one, or leave it out to mean all")]
pub struct EmptySet;

macro_rules! set {
    ($(#[$doc:meta])* $set:ident of $item:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, Debug)]
        pub struct $set(Arc<[$item]>);

        impl $set {
            /// Sorts, and drops what is there twice.
            ///
            /// # Errors
            /// If there is nothing in it.
            pub fn new<I: Into<$item>>(items: impl IntoIterator<Item = I>) -> Result<Self, EmptySet> {
                let mut items: Vec<$item> = items.into_iter().map(Into::into).collect();
                items.sort_unstable();
                items.dedup();
                if items.is_empty() { Err(EmptySet) } else { Ok(Self(items.into())) }
            }

            /// The members, ascending.
            pub fn as_slice(&self) -> &[$item] {
                &self.0
            }

            /// Whether `text` is one of them.
            pub fn contains(&self, text: &str) -> bool {
                self.0.binary_search_by(|i| i.as_str().cmp(text)).is_ok()
            }

            /// Whether every member of this set is in `other`.
            pub fn is_subset(&self, other: &Self) -> bool {
                self.0.iter().all(|i| other.0.binary_search(i).is_ok())
            }
        }
    };
}

set!(
    /// One field or more.
    FieldSet of Field
);
set!(
    /// One condition or more, of which any suffices.
    ConditionSet of ConditionId
);
