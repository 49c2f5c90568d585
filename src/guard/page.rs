//! Rejections as pages: the problem, the next step, and a link back. They show nothing of the request.

use super::base::Base;
use crate::domain::Reason;
use bytes::Bytes;
use http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, HeaderValue};
use std::sync::Arc;

/// The policy of a page that loads nothing, sends nothing and is shown in no frame.
const POLICY: &str = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

/// Request extension of page groups.
#[derive(Clone, Debug)]
#[cfg_attr(not(feature = "axum"), allow(dead_code, reason = "only the router reads it"))]
pub(super) struct PageContext {
    /// The path of the link back, as the browser sees it.
    pub(super) start: Arc<str>,
    /// The base path under which the browser sees the pages.
    pub(super) base: Base,
}

/// The text of a page.
pub(super) struct PageText {
    pub(super) heading: &'static str,
    /// The next step.
    pub(super) advice: &'static str,
}

impl PageText {
    pub(super) fn of(reason: Reason) -> Self {
        let (heading, advice) = match reason {
            Reason::CrossOrigin => {
                ("Not accepted", "This form was sent from another site. Open its page here, and send it again.")
            }
            Reason::Forbidden | Reason::Unguarded | Reason::NoRule | Reason::NotForwarded => {
                ("Not allowed", "Your roles do not allow this. Ask a super admin if you need it.")
            }
            Reason::AmbiguousPath(_) => {
                ("No such address", "This address can be read in more than one way. Check it, or go back.")
            }
            Reason::SeveralCredentials => {
                ("Not accepted", "The request has several credentials that differ. Send one of them.")
            }
            Reason::NoGroup => ("Not found", "There is no such page. Check the address, or go back."),
            Reason::Unavailable(_) => ("Not now", "Nothing was changed. Try again in a moment."),
            Reason::NetworkNotAllowed => ("Not allowed", "Your network is none of those from which this is accepted."),
            Reason::RateExceeded(_) => ("Not now", "There were too many requests. Try again in a moment."),
            Reason::NoCredential | Reason::Invalid(_) | Reason::Expired | Reason::OwnerInactive | Reason::Disabled => {
                ("Not signed in", "Sign in, and try again.")
            }
        };
        Self { heading, advice }
    }

    /// Returns the text for a form whose session ended while it was filled in.
    pub(super) fn of_ended_session() -> Self {
        let advice = "You are not signed in any more, and nothing was saved. Sign in again in a new tab. Then come back to this tab, go \
                      back to the form, and send it again.";
        Self { heading: "Your session has ended", advice }
    }

    /// Returns the text for a form whose `Origin` and `Host` differ, perhaps because of a proxy.
    pub(super) fn of_another_host() -> Self {
        let advice = "This form was sent from another site, or through a proxy that does not pass on the address which your browser \
                      asked for. Open the form's page here, and send it again. If that does not help, tell the operator: the proxy has \
                      to leave the Host header as it is (nginx: proxy_set_header Host $http_host).";
        Self { heading: "Not accepted", advice }
    }

    /// Renders the page with a link back to `start`, and one to sign in if there is such a path. Paths of groups need
    /// no escaping: they were checked when the gate was built.
    pub(super) fn html(&self, start: &str, sign_in: Option<&str>) -> Bytes {
        let Self { heading, advice } = self;
        let link =
            |path| format!("<p><a href=\"{path}\" target=\"_blank\" rel=\"noopener\">Sign in in a new tab</a></p>\n");
        let more = sign_in.map(link).unwrap_or_default();
        Bytes::from(format!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n<title>{heading}</title>\n</head>\n\
             <body>\n<main>\n<h1>{heading}</h1>\n<p>{advice}</p>\n{more}<p><a href=\"{start}\">Back to the start</a></p>\n\
             </main>\n</body>\n</html>\n"
        ))
    }
}

/// Sets the headers of a page.
pub(super) fn set_page_headers(headers: &mut HeaderMap) {
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
}
