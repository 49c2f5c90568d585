//! Guarded bodies. For a request, the gate judges the credential when the head arrives, and again before each frame and at
//! the end. A response that is a stream ends when the credential does.
//!
//! A client may send a body slowly, and a handler may act before the end: a format such as multipart or lines of JSON says
//! itself where it ends. So each frame is held back until the credential and its requirements are known to be valid still.
//! Otherwise the body ends with an error, and the gate answers 401, 403 or 503 in place of the route (invariant
//! valid-at-commit).

use super::mark::Mark;
use super::revalidate::{NoLongerValid, is_still_valid, judge_again, wait_until_revoked};
use crate::sync::StrongArc;
use bytes::{Buf, Bytes};
use http_body::{Body, Frame, SizeHint};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{Empty, Full};
use pin_project_lite::pin_project;
use std::any::Any;
#[cfg(feature = "axum")]
use std::any::TypeId;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A body that the gate can guard. If the caller's credential is no longer valid, a request body ends with an error.
///
/// Implemented for the bodies of axum, for `UnsyncBoxBody` of `http-body-util`, and for bodies that are complete from
/// the start. For another streaming body, wrap the guarded one:
///
/// ```
/// use keyward::guard::{BodyGuard, GuardableBody};
/// use http_body_util::combinators::UnsyncBoxBody;
///
/// struct MyBody(UnsyncBoxBody<bytes::Bytes, Box<dyn std::error::Error + Send + Sync>>);
///
/// impl GuardableBody for MyBody {
///     fn guard(&mut self, guard: BodyGuard) {
///         self.0.guard(guard);
///     }
/// }
/// ```
pub trait GuardableBody {
    /// Puts the guard around the body.
    fn guard(&mut self, guard: BodyGuard);

    /// Returns whether the body is complete, as in a request without a body. A complete body is not guarded.
    fn is_complete(&self) -> bool {
        false
    }
}

/// Returns the body of a response if its length is unknown and the gate can end a body of its type: axum's type, or
/// `UnsyncBoxBody`.
pub(super) fn as_stream<B: 'static>(body: &mut B) -> Option<&mut dyn GuardableBody> {
    fn stream<B: Body + GuardableBody + 'static>(body: &mut dyn Any) -> Option<&mut dyn GuardableBody> {
        let body = body.downcast_mut::<B>().filter(|body| body.size_hint().exact().is_none())?;
        Some(body)
    }
    #[cfg(feature = "axum")]
    if TypeId::of::<B>() == TypeId::of::<axum::body::Body>() {
        return stream::<axum::body::Body>(body);
    }
    stream::<UnsyncBoxBody<Bytes, BoxError>>(body)
}

/// A guard that judges the caller's credential again while a body is read or sent.
#[derive(Clone)]
pub struct BodyGuard {
    mark: StrongArc<Mark>,
    of_response: bool,
}

impl fmt::Debug for BodyGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BodyGuard").finish_non_exhaustive()
    }
}

impl BodyGuard {
    /// Creates the guard of a request body.
    pub(super) fn of_request(mark: StrongArc<Mark>) -> Self {
        Self { mark, of_response: false }
    }

    /// Creates the guard of a response body, which ends with the credential.
    pub(super) fn of_response(mark: StrongArc<Mark>) -> Self {
        Self { mark, of_response: true }
    }

    /// Returns a body with the same frames, as long as the credential is valid.
    pub fn wrap<B: Body>(self, body: B) -> GuardedBody<B> {
        let state = match self.of_response {
            false => State::Reading(self),
            true => State::Streaming(Box::pin(async move { wait_until_revoked(self.mark.entry(), &self.mark).await })),
        };
        GuardedBody { body, state }
    }

    async fn judge(self) -> Result<(), NoLongerValid> {
        let judged = judge_again(self.mark.entry(), &self.mark, &self.mark.requirements()).await.map(drop);
        judged.map_err(|loss| loss.record(&self.mark))
    }
}

pin_project! {
    /// A guarded body, made by [`BodyGuard::wrap`]. It holds each frame of a request back until the credential has been
    /// judged again. A response ends when its credential does.
    pub struct GuardedBody<B: Body> {
        #[pin]
        body: B,
        state: State<B::Data>,
    }
}

/// The state of a guarded body.
enum State<D> {
    /// Sends a response until this future is ready: then the credential has ended.
    Streaming(Pin<Box<dyn Future<Output = ()> + Send>>),
    /// Reads a request.
    Reading(BodyGuard),
    /// Holds a frame of a request back; `None` at the end of the body.
    Judging(BodyGuard, Pin<Box<dyn Future<Output = Result<(), NoLongerValid>> + Send>>, Option<Frame<D>>),
    Done,
}

impl<B: Body> fmt::Debug for GuardedBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GuardedBody").finish_non_exhaustive()
    }
}

impl<B> Body for GuardedBody<B>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    type Data = B::Data;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<B::Data>, BoxError>>> {
        let mut this = self.project();
        loop {
            match this.state {
                State::Streaming(revoked) => {
                    if revoked.as_mut().poll(cx).is_ready() {
                        *this.state = State::Done;
                        continue;
                    }
                    return this.body.poll_frame(cx).map_err(Into::into);
                }
                State::Reading(guard) => {
                    let frame = match ready!(this.body.as_mut().poll_frame(cx)) {
                        Some(Err(error)) => return Poll::Ready(Some(Err(error.into()))),
                        Some(Ok(frame)) => Some(frame),
                        None => None,
                    };
                    if is_still_valid(guard.mark.entry()) {
                        if frame.is_none() || this.body.is_end_stream() {
                            *this.state = State::Done;
                        }
                        return Poll::Ready(frame.map(Ok));
                    }
                    *this.state = State::Judging(guard.clone(), Box::pin(guard.clone().judge()), frame);
                }
                State::Judging(guard, judging, frame) => {
                    let judged = ready!(judging.as_mut().poll(cx));
                    let frame = frame.take();
                    *this.state = match judged.is_ok() && frame.is_some() && !this.body.is_end_stream() {
                        true => State::Reading(guard.clone()),
                        false => State::Done,
                    };
                    return Poll::Ready(match judged {
                        Ok(()) => frame.map(Ok),
                        Err(invalid) => Some(Err(invalid.into())),
                    });
                }
                State::Done => return Poll::Ready(None),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self.state {
            State::Streaming(_) => self.body.is_end_stream(),
            State::Reading(_) | State::Judging(..) => false,
            State::Done => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        let withheld = match &self.state {
            State::Judging(.., Some(frame)) => frame.data_ref().map_or(0, |data| data.remaining() as u64),
            State::Judging(.., None) | State::Reading(_) => 0,
            // The response may end at any time.
            State::Streaming(_) => return SizeHint::default(),
            State::Done => return SizeHint::with_exact(0),
        };
        let mut hint = self.body.size_hint();
        if let Some(upper) = hint.upper() {
            hint.set_upper(upper.saturating_add(withheld));
        }
        hint.set_lower(hint.lower().saturating_add(withheld));
        hint
    }
}

#[cfg(feature = "axum")]
impl GuardableBody for axum::body::Body {
    fn guard(&mut self, guard: BodyGuard) {
        *self = Self::new(guard.wrap(std::mem::take(self)));
    }

    fn is_complete(&self) -> bool {
        self.is_end_stream()
    }
}

impl<D: Buf + Send + 'static> GuardableBody for UnsyncBoxBody<D, BoxError> {
    fn guard(&mut self, guard: BodyGuard) {
        *self = Self::new(guard.wrap(std::mem::take(self)));
    }

    fn is_complete(&self) -> bool {
        self.is_end_stream()
    }
}

/// Implements the trait for bodies that are complete when their request arrives.
macro_rules! complete {
    ($($body:ty $(, $parameter:ident)?;)+) => {
        $(impl$(<$parameter>)? GuardableBody for $body {
            fn guard(&mut self, _: BodyGuard) {}

            fn is_complete(&self) -> bool {
                true
            }
        })+
    };
}

complete! {
    ();
    String;
    &'static str;
    Bytes;
    Vec<u8>;
    Full<D>, D;
    Empty<D>, D;
}
