//! The frame around every page: navigation, and the person who is signed in.

use super::assets::VERSION;

/// The frame of a page.
pub(super) struct Frame {
    pub(super) title: String,
    pub(super) version: &'static str,
    /// The person who is signed in.
    pub(super) viewer: Option<Profile>,
    pub(super) nav: Vec<Link>,
    /// The address for the browser's history, where the page is the response to a form.
    pub(super) address: Option<String>,
}

/// The name and the initials of the person who is signed in.
pub(super) struct Profile {
    pub(super) name: String,
    pub(super) email: String,
    pub(super) initials: String,
    /// The path of their profile, if there is such a page.
    pub(super) href: Option<&'static str>,
    /// Whether the session began on these pages, where it can be ended.
    pub(super) can_sign_out: bool,
}

/// A link of the navigation.
pub(super) struct Link {
    pub(super) href: &'static str,
    pub(super) name: &'static str,
    pub(super) icon: &'static str,
    pub(super) is_current: bool,
}

impl Frame {
    /// Returns the frame of a page that needs no session.
    pub(super) fn signed_out(title: &str) -> Self {
        Self { title: title.to_owned(), version: &VERSION, viewer: None, nav: Vec::new(), address: None }
    }

    /// Returns the frame of a page that needs a session.
    pub(super) fn signed_in(title: &str, viewer: Profile, nav: Vec<Link>) -> Self {
        Self { title: title.to_owned(), version: &VERSION, viewer: Some(viewer), nav, address: None }
    }

    /// Sets the address for the browser's history.
    pub(super) fn with_address(self, address: String) -> Self {
        Self { address: Some(address), ..self }
    }
}
