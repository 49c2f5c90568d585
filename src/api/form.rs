//! Form bodies with a token, as RFC 7662 and RFC 7009 define them.

use super::failure::{Failure, Problem};
use crate::guard::BodyReader;
use axum::body::Body;
use axum::extract::{Form, FromRef, FromRequest, Request};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method};
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;
use zeroize::Zeroizing;

const FORM: &str = "application/x-www-form-urlencoded";

/// A form with a token. `token_type_hint` is accepted and ignored, as all that is unknown (RFC 6749 section 3.2).
pub(super) struct TokenForm {
    /// The secret.
    pub(super) token: Zeroizing<String>,
    /// How long the client would like to keep the answer.
    pub(super) max_age: Option<Duration>,
    /// The address of the client that presented the secret.
    pub(super) client_address: Option<IpAddr>,
}

impl<S: Send + Sync> FromRequest<S> for TokenForm
where
    BodyReader: FromRef<S>,
{
    type Rejection = Failure;

    async fn from_request(request: Request, state: &S) -> Result<Self, Failure> {
        let content_type = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
        let is_form = content_type.split(';').next().unwrap_or("").trim().eq_ignore_ascii_case(FORM);
        let received = BodyReader::from_ref(state).receive(request).await?;
        let unreadable = || Problem::at([""; 0], format!("Send a form, with Content-Type: {FORM}")).into();
        if !is_form {
            return Err(unreadable());
        }
        // axum parses the form from a request of its own, because the body was consumed.
        let mut whole = Request::new(Body::from(received.bytes));
        *whole.method_mut() = Method::POST;
        whole.headers_mut().insert(CONTENT_TYPE, const { HeaderValue::from_static(FORM) });
        let Ok(Form(fields)) = Form::<Vec<(String, String)>>::from_request(whole, &()).await else {
            return Err(unreadable());
        };
        Self::read(fields)
    }
}

impl TokenForm {
    fn read(fields: Vec<(String, String)>) -> Result<Self, Failure> {
        let (mut token, mut max_age, mut client_address, mut names) = (None, None, None, BTreeSet::new());
        for (name, value) in fields {
            let value = Zeroizing::new(value);
            match name.as_str() {
                // Parsers disagree about which of two counts.
                _ if names.contains(&name) => return Err(Problem::at([shorten(name)], "is there twice").into()),
                "token" => token = Some(value),
                "max_age" => {
                    let seconds = value.parse().ok().filter(|_| value.bytes().all(|b| b.is_ascii_digit()));
                    let seconds = seconds.ok_or_else(|| Problem::at(["max_age"], "must be a number of seconds"))?;
                    max_age = Some(Duration::from_secs(seconds));
                }
                "client_address" => {
                    let address =
                        value.parse().map_err(|_| Problem::at(["client_address"], "must be an IP address"))?;
                    client_address = Some(address);
                }
                _ => {}
            }
            names.insert(name);
        }
        // As it was in a file or a header.
        let token = token.map(|token| {
            let text = token.trim();
            let scheme = text.get(..7).filter(|scheme| scheme.eq_ignore_ascii_case("bearer "));
            Zeroizing::new(scheme.map_or(text, |scheme| text[scheme.len()..].trim_start()).to_owned())
        });
        match token.filter(|token| !token.is_empty()) {
            Some(token) => Ok(Self { token, max_age, client_address }),
            None => Err(Problem::at(["token"], "is required").into()),
        }
    }
}

/// Shortens a name that the client chose.
fn shorten(name: String) -> String {
    name.chars().take(100).collect()
}
