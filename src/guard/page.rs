//! Refusals as pages for people: what happened, what to do, and a way back. Nothing of the request is in them.

use super::base::Base;
use super::rejection::Rejection;
use crate::domain::Reason;
use bytes::Bytes;
use http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, HeaderValue, Response};
use std::sync::Arc;

const NOTHING: &str = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

/// In the extensions of requests whose refusals people see.
#[derive(Clone, Debug)]
#[cfg_attr(not(feature = "axum"), allow(dead_code, reason = "only the router reads it"))]
pub(super) struct ForPeople {
    /// Where the way back leads, as the browser sees it.
    pub(super) start: Arc<str>,
    /// The base path under which it sees all of it.
    pub(super) base: Base,
}

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
            Reason::Forbidden | Reason::Unguarded => {
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

    /// A session that ended while a form was filled in.
    fn of_ended_session() -> Self {
        let advice = "You are not signed in any more, and nothing was saved. Sign in again in a new tab. Then come back to this tab, go \
                      back to the form, and send it again.";
        Self { heading: "Your session has ended", advice }
    }

    /// A form that came through a proxy which asks for another host, as far as can be told.
    fn of_another_host() -> Self {
        let advice = "This form was sent from another site, or through a proxy that does not pass on the address which your browser \
                      asked for. Open the form's page here, and send it again. If that does not help, tell the operator: the proxy has \
                      to leave the Host header as it is (nginx: proxy_set_header Host $http_host).";
        Self { heading: "Not accepted", advice }
    }

    /// The page, with a way back to `start`, which a group has made sure is a plain path.
    pub(super) fn html(&self, start: &str) -> Bytes {
        self.html_with(start, "")
    }

    fn html_with(&self, start: &str, more: &str) -> Bytes {
        let Self { heading, advice } = self;
        Bytes::from(format!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n<title>{heading}</title>\n</head>\n\
             <body>\n<main>\n<h1>{heading}</h1>\n<p>{advice}</p>\n{more}<p><a href=\"{start}\">Back to the start</a></p>\n\
             </main>\n</body>\n</html>\n"
        ))
    }
}

impl Rejection {
    /// The same as a page.
    pub(super) fn as_page<B: From<Bytes>>(&self, start: &str) -> Response<B> {
        let html = match (self.sign_in_again(), self.is_by_another_host()) {
            (Some(sign_in), _) => {
                // As plain as the start, and checked where that is.
                let more = format!(
                    "<p><a href=\"{sign_in}\" target=\"_blank\" rel=\"noopener\">Sign in in a new tab</a></p>\n"
                );
                Words::of_ended_session().html_with(start, &more)
            }
            (None, true) => Words::of_another_host().html(start),
            (None, false) => Words::of(self.reason()).html(start),
        };
        let mut response = self.answer(B::from(html));
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
