//! Refusals as pages for people: what happened, what to do, and a way back. Nothing of the request is in them.

use super::refusal::Refusal;
use crate::domain::Reason;
use bytes::Bytes;
use http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, HeaderValue, Response};
use std::sync::Arc;

const NOTHING: &str = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

/// In the extensions of requests whose refusals people see: where the way back leads.
#[derive(Clone, Debug)]
#[cfg_attr(not(feature = "axum"), allow(dead_code, reason = "only the router reads it"))]
pub(super) struct ForPeople(pub(super) Arc<str>);

/// What a page says.
pub(super) struct Words {
    pub(super) heading: &'static str,
    /// What to do.
    pub(super) advice: &'static str,
}

impl Words {
    fn of(reason: Reason) -> Self {
        let (heading, advice) = match reason {
            Reason::CrossOrigin => {
                ("Not accepted", "This form was sent from another site. Open its page here, and send it again.")
            }
            Reason::NotAllowed | Reason::Unguarded => {
                ("Not allowed", "Your roles do not allow this. Ask a super admin if you need it.")
            }
            Reason::AmbiguousPath(_) => {
                ("No such address", "This address can be read in more than one way. Check it, or go back.")
            }
            Reason::NoGroup => ("Not found", "There is no such page. Check the address, or go back."),
            Reason::Unavailable(_) => ("Not now", "Nothing was changed. Try again in a moment."),
            Reason::NoCredential | Reason::Invalid(_) | Reason::Expired | Reason::OwnerInactive => {
                ("Not signed in", "Sign in, and try again.")
            }
        };
        Self { heading, advice }
    }

    /// The page, with a way back to `start`, which a group has made sure is a plain path.
    pub(super) fn html(&self, start: &str) -> Bytes {
        let Self { heading, advice } = self;
        Bytes::from(format!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n<title>{heading}</title>\n</head>\n\
             <body>\n<main>\n<h1>{heading}</h1>\n<p>{advice}</p>\n<p><a href=\"{start}\">Back to the start</a></p>\n\
             </main>\n</body>\n</html>\n"
        ))
    }
}

impl Refusal {
    /// The same as a page.
    pub(super) fn as_page<B: From<Bytes>>(&self, start: &str) -> Response<B> {
        let mut response = self.answer(B::from(Words::of(self.reason()).html(start)));
        harden(response.headers_mut());
        response
    }
}

/// The headers of a page that loads nothing, sends nothing and is shown in no other.
pub(super) fn harden(headers: &mut HeaderMap) {
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(NOTHING));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
}
