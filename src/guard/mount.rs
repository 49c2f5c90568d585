//! The paths at which the management API and the pages are mounted.

use super::base::Base;
#[cfg(feature = "ui")]
use super::cookie::SessionCookie;
use super::groups::InvalidGroups;

/// The path of the management API or of the pages, and how much of them is there. A path alone mounts everything.
///
/// ```
/// # tokio_test::block_on(async {
/// use keyward::guard::{Mount, SessionCookie};
/// use keyward::{HashKey, Keyward, MemoryStore, api, ui};
/// let (hash_key, _) = HashKey::generate()?;
/// let keyward = Keyward::builder(MemoryStore::default())
///     .hash_key(hash_key)
///     .api("/internal/keyward")
///     .ui(Mount::own_tokens("/settings/keys"), SessionCookie::default())
///     .build()?;
/// let app = keyward.guard(api::router(&keyward).merge(ui::router(&keyward)));
/// # let _ = app;
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mount {
    path: String,
    is_whole: bool,
    /// The sign-in page of the host, in place of one below the path.
    sign_in: Option<String>,
}

impl Mount {
    /// Mounts everything at this path, such as `/admin`.
    pub fn whole(path: impl Into<String>) -> Self {
        Self { path: path.into(), is_whole: true, sign_in: None }
    }

    /// Mounts the own admin tokens of a signed-in person at this path, and nothing else: no other person's tokens, also
    /// for super admins, no content tokens, users, roles and audit log.
    ///
    /// Only sessions open it. It requires no action: every person who can sign in may issue tokens, which can never do
    /// more than the person.
    pub fn own_tokens(path: impl Into<String>) -> Self {
        Self { path: path.into(), is_whole: false, sign_in: None }
    }

    /// Sends people without a session to this sign-in page of yours, for pages with the own tokens. They then have no
    /// sign-in and sign-out of their own. No effect on the API.
    ///
    /// The page gets the path to come back to in the query parameter `redirectTo`. It opens a session for the person
    /// whom you have authenticated, and sets the cookie:
    ///
    /// ```
    /// use keyward::admin::{NewSession, ServiceError};
    /// use keyward::guard::SessionCookie;
    /// use keyward::{Keyward, OwnerId};
    /// use std::time::Duration;
    ///
    /// async fn cookie(keyward: &Keyward, owner: OwnerId) -> Result<http::HeaderValue, ServiceError> {
    ///     let (idle, lifespan) = (Duration::from_secs(1800), Duration::from_secs(28_800));
    ///     let session = keyward.tokens().open_session(NewSession { owner, idle, lifespan }).await?;
    ///     Ok(SessionCookie::default().set(&session.secret))
    /// }
    /// ```
    #[must_use]
    pub fn sign_in(mut self, page: impl Into<String>) -> Self {
        self.sign_in = Some(page.into());
        self
    }

    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    pub(crate) fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// Returns the sign-in page of the host.
    #[cfg(feature = "ui")]
    pub(crate) fn sign_in_page(&self) -> Option<&str> {
        self.sign_in.as_deref()
    }

    /// Returns whether the path is like `/settings/keys`: it is a part of links and of other paths.
    fn is_valid(&self) -> bool {
        !self.path.ends_with('/') && Base::parse(&self.path).is_some_and(|path| !path.is_empty())
    }
}

impl<P: Into<String>> From<P> for Mount {
    fn from(path: P) -> Self {
        Self::whole(path)
    }
}

/// The mounts of an installation.
#[derive(Clone, Default)]
pub(crate) struct Mounts {
    #[cfg(feature = "api")]
    pub(crate) api: Vec<Mount>,
    #[cfg(feature = "ui")]
    pub(crate) pages: Vec<(Mount, SessionCookie)>,
}

impl Mounts {
    /// Checks the paths. The API and the pages may share one if both are whole: then no two routes are the same.
    pub(crate) fn check(&self) -> Result<(), InvalidGroups> {
        let all = self.list();
        if let Some((mount, _)) = all.iter().find(|(mount, _)| !mount.is_valid()) {
            return Err(InvalidGroups::Mount(mount.path.clone()));
        }
        if let Some((mount, _)) = all.iter().find(|(mount, _)| mount.is_whole && mount.sign_in.is_some()) {
            return Err(InvalidGroups::SignIn(mount.path.clone()));
        }
        for (i, (mount, is_api)) in all.iter().enumerate() {
            let conflicts = |(other, other_is_api): &(&Mount, bool)| {
                let are_whole = mount.is_whole && other.is_whole;
                mount.path == other.path && (is_api == other_is_api || !are_whole)
            };
            if all[..i].iter().any(conflicts) {
                return Err(InvalidGroups::MountedTwice(mount.path.clone()));
            }
        }
        Ok(())
    }

    /// Returns the path of the whole management API, if it is mounted.
    #[cfg(feature = "ui")]
    pub(crate) fn api_path(&self) -> Option<&str> {
        #[cfg(feature = "api")]
        return self.api.iter().find(|mount| mount.is_whole).map(Mount::path);
        #[cfg(not(feature = "api"))]
        None
    }

    /// Returns all mounts, each with whether it is of the API.
    fn list(&self) -> Vec<(&Mount, bool)> {
        let mut all = Vec::new();
        #[cfg(feature = "api")]
        all.extend(self.api.iter().map(|mount| (mount, true)));
        #[cfg(feature = "ui")]
        all.extend(self.pages.iter().map(|(mount, _)| (mount, false)));
        all
    }
}
