//! Requests in one line, and what to expect of their answers.

use crate::domain::{Reason, Secret};
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, header};
use http_body_util::BodyExt;
use std::convert::Infallible;
use std::fmt;
use std::future::IntoFuture;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use tower::util::BoxCloneSyncService;
use tower::{Service, ServiceExt};

/// A service that takes requests without a network.
#[derive(Clone, Debug)]
pub struct App(BoxCloneSyncService<Request<Body>, Response, Infallible>);

impl App {
    /// Any service that answers as a router does: a gate with more layers around it, say.
    pub fn from_service<T, B>(service: T) -> Self
    where
        T: Service<Request<Body>, Response = http::Response<B>, Error = Infallible> + Clone + Send + Sync + 'static,
        T::Future: Send,
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<axum::BoxError>,
    {
        Self(BoxCloneSyncService::new(service.map_response(|response| response.map(Body::new))))
    }

    /// A `GET` request.
    pub fn get(&self, uri: &str) -> TestRequest {
        self.request(Method::GET, uri)
    }

    /// A `POST` request.
    pub fn post(&self, uri: &str) -> TestRequest {
        self.request(Method::POST, uri)
    }

    /// A `PUT` request.
    pub fn put(&self, uri: &str) -> TestRequest {
        self.request(Method::PUT, uri)
    }

    /// A `DELETE` request.
    pub fn delete(&self, uri: &str) -> TestRequest {
        self.request(Method::DELETE, uri)
    }

    /// A request of any method.
    pub fn request(&self, method: Method, uri: &str) -> TestRequest {
        TestRequest { app: self.clone(), request: Request::builder().method(method).uri(uri).body(Body::empty()) }
    }
}

/// A request to be sent by awaiting it.
#[must_use = "it is sent when it is awaited"]
pub struct TestRequest {
    app: App,
    request: http::Result<Request<Body>>,
}

impl fmt::Debug for TestRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = self.request.as_ref().map(|r| (r.method(), r.uri()));
        f.debug_struct("TestRequest").field("request", &line).finish_non_exhaustive()
    }
}

impl TestRequest {
    /// With this secret.
    pub fn bearer(self, secret: &Secret) -> Self {
        self.header(header::AUTHORIZATION, &format!("Bearer {}", secret.expose()))
    }

    /// From this address, as the server would say it.
    pub fn peer(mut self, address: impl Into<IpAddr>) -> Self {
        if let Ok(request) = &mut self.request {
            request.extensions_mut().insert(ConnectInfo(SocketAddr::new(address.into(), 40_000)));
        }
        self
    }

    /// With one more header.
    ///
    /// # Panics
    /// If the value cannot be in a header.
    #[expect(clippy::expect_used, reason = "documented: this is for tests")]
    pub fn header(mut self, name: HeaderName, value: &str) -> Self {
        let value = HeaderValue::from_str(value).expect("a header value");
        if let Ok(request) = &mut self.request {
            request.headers_mut().append(name, value);
        }
        self
    }

    /// With a JSON body.
    pub fn json(mut self, body: &serde_json::Value) -> Self {
        if let Ok(request) = &mut self.request {
            *request.body_mut() = Body::from(body.to_string());
        }
        self.header(header::CONTENT_TYPE, "application/json")
    }

    /// With the fields of a form.
    pub fn form(mut self, fields: &[(&str, &str)]) -> Self {
        let encoded = |text: &str| -> String {
            let byte = |byte: u8| match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte).to_string(),
                _ => format!("%{byte:02X}"),
            };
            text.bytes().map(byte).collect()
        };
        let fields: Vec<String> = fields.iter().map(|(name, value)| encoded(name) + "=" + &encoded(value)).collect();
        if let Ok(request) = &mut self.request {
            *request.body_mut() = Body::from(fields.join("&"));
        }
        self.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
    }
}

impl IntoFuture for TestRequest {
    type Output = Answer;
    type IntoFuture = Pin<Box<dyn Future<Output = Answer> + Send>>;

    #[expect(clippy::expect_used, reason = "a URI that is none, or a body that breaks, is the test's own doing")]
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let request = self.request.expect("a request that can be");
            let line = format!("{} {}", request.method(), request.uri());
            let response = match self.app.0.oneshot(request).await {
                Ok(response) => response,
                Err(never) => match never {},
            };
            let (parts, body) = response.into_parts();
            let body = body.collect().await.expect("a whole body").to_bytes();
            let reason = parts.extensions.get::<Reason>().copied();
            Answer { line, status: parts.status, headers: parts.headers, body, reason }
        })
    }
}

/// The answer to a test request.
#[derive(Clone)]
pub struct Answer {
    line: String,
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body, whole.
    pub body: Bytes,
    /// Why it was refused; `None` if it was not.
    pub reason: Option<Reason>,
}

impl Answer {
    /// The body as JSON.
    ///
    /// # Panics
    /// If it is none.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        match serde_json::from_slice(&self.body) {
            Ok(json) => json,
            Err(error) => panic!("{self:?} is no JSON: {error}"),
        }
    }

    /// It has this status.
    ///
    /// # Panics
    /// If not.
    #[track_caller]
    pub fn assert_status(&self, status: u16) -> &Self {
        assert_eq!(self.status.as_u16(), status, "{self:?}");
        self
    }

    /// It was let in and went well.
    ///
    /// # Panics
    /// If not.
    #[track_caller]
    pub fn assert_ok(&self) -> &Self {
        assert!(self.status.is_success() && self.reason.is_none(), "{self:?}");
        self
    }

    /// It was refused, and for this reason.
    ///
    /// # Panics
    /// If not.
    #[track_caller]
    pub fn assert_refused(&self, reason: Reason) -> &Self {
        assert_eq!(self.reason, Some(reason), "{self:?}");
        self
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let body = String::from_utf8_lossy(&self.body);
        write!(f, "{} answered {} ({:?}): {body}", self.line, self.status, self.reason)
    }
}
