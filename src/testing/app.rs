//! Test requests in one line, with assertions on their responses.

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
    /// Wraps any service that responds as a router does, such as a gate with more layers around it.
    pub fn from_service<T, B>(service: T) -> Self
    where
        T: Service<Request<Body>, Response = http::Response<B>, Error = Infallible> + Clone + Send + Sync + 'static,
        T::Future: Send,
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<axum::BoxError>,
    {
        Self(BoxCloneSyncService::new(service.map_response(|response| response.map(Body::new))))
    }

    /// Starts a `GET` request.
    pub fn get(&self, uri: &str) -> TestRequest {
        self.request(Method::GET, uri)
    }

    /// Starts a `POST` request.
    pub fn post(&self, uri: &str) -> TestRequest {
        self.request(Method::POST, uri)
    }

    /// Starts a `PUT` request.
    pub fn put(&self, uri: &str) -> TestRequest {
        self.request(Method::PUT, uri)
    }

    /// Starts a `DELETE` request.
    pub fn delete(&self, uri: &str) -> TestRequest {
        self.request(Method::DELETE, uri)
    }

    /// Starts a request with any method.
    pub fn request(&self, method: Method, uri: &str) -> TestRequest {
        TestRequest { app: self.clone(), request: Request::builder().method(method).uri(uri).body(Body::empty()) }
    }
}

/// A test request, sent by awaiting it.
#[must_use = "a request is sent when it is awaited"]
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
    /// Sends this secret as a bearer token: a [`Secret`](crate::token::Secret), or text that came as JSON.
    pub fn bearer<T: BearerText + ?Sized>(self, secret: &T) -> Self {
        self.header(header::AUTHORIZATION, &format!("Bearer {}", secret.text()))
    }

    /// Sets the client's address, as a server would report it.
    pub fn peer(mut self, address: impl Into<IpAddr>) -> Self {
        if let Ok(request) = &mut self.request {
            request.extensions_mut().insert(ConnectInfo(SocketAddr::new(address.into(), 40_000)));
        }
        self
    }

    /// Appends a header.
    ///
    /// # Panics
    /// If the value is not a valid header value.
    #[expect(clippy::expect_used, reason = "documented: this is for tests")]
    pub fn header(mut self, name: HeaderName, value: &str) -> Self {
        let value = HeaderValue::from_str(value).expect("a header value");
        if let Ok(request) = &mut self.request {
            request.headers_mut().append(name, value);
        }
        self
    }

    /// Sets a JSON body.
    pub fn json(mut self, body: &serde_json::Value) -> Self {
        if let Ok(request) = &mut self.request {
            *request.body_mut() = Body::from(body.to_string());
        }
        self.header(header::CONTENT_TYPE, "application/json")
    }

    /// Sets this body, without a content type.
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        if let Ok(request) = &mut self.request {
            *request.body_mut() = Body::from(body.into());
        }
        self
    }

    /// Sets a form body with these fields.
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

/// The text of a secret.
pub trait BearerText {
    /// Returns the text.
    fn text(&self) -> &str;
}

impl BearerText for Secret {
    fn text(&self) -> &str {
        self.expose()
    }
}

impl BearerText for str {
    fn text(&self) -> &str {
        self
    }
}

impl BearerText for String {
    fn text(&self) -> &str {
        self
    }
}

impl IntoFuture for TestRequest {
    type Output = Answer;
    type IntoFuture = Pin<Box<dyn Future<Output = Answer> + Send>>;

    #[expect(clippy::expect_used, reason = "an invalid URI or a failing body is a mistake of the test")]
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let request = self.request.expect("a valid request");
            let line = format!("{} {}", request.method(), request.uri());
            let response = match self.app.0.oneshot(request).await {
                Ok(response) => response,
                Err(never) => match never {},
            };
            let (parts, body) = response.into_parts();
            let body = body.collect().await.expect("a complete body").to_bytes();
            let reason = parts.extensions.get::<Reason>().copied();
            Answer { line, status: parts.status, headers: parts.headers, body, reason }
        })
    }
}

/// The response to a test request.
#[derive(Clone)]
pub struct Answer {
    line: String,
    /// The status code.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The complete body.
    pub body: Bytes,
    /// The reason of a rejection; `None` if the request was admitted.
    pub reason: Option<Reason>,
}

impl Answer {
    /// Parses the body as JSON.
    ///
    /// # Panics
    /// If the body is not JSON.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        match serde_json::from_slice(&self.body) {
            Ok(json) => json,
            Err(error) => panic!("{self:?} is not JSON: {error}"),
        }
    }

    /// Asserts the status code.
    ///
    /// # Panics
    /// If the status differs.
    #[track_caller]
    pub fn assert_status(&self, status: u16) -> &Self {
        assert_eq!(self.status.as_u16(), status, "{self:?}");
        self
    }

    /// Asserts that the request was admitted and succeeded.
    ///
    /// # Panics
    /// If it was not.
    #[track_caller]
    pub fn assert_ok(&self) -> &Self {
        assert!(self.status.is_success() && self.reason.is_none(), "{self:?}");
        self
    }

    /// Asserts that the request was rejected for this reason.
    ///
    /// # Panics
    /// If it was admitted, or rejected for another reason.
    #[track_caller]
    pub fn assert_rejected(&self, reason: Reason) -> &Self {
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
