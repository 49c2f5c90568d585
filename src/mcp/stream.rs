//! Event streams of the server: their answers are filtered, and they end when the credential does.

use super::list::Filter;
use super::message::RpcError;
use crate::guard::AuthContext;
use axum::body::{Body, BodyDataStream};
use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use serde_json::Value;
use std::pin::Pin;

/// A stream of events to one caller.
pub(super) struct MessageStream {
    frames: BodyDataStream,
    filter: Option<Filter>,
    /// The bytes of an event that is not complete.
    rest: Vec<u8>,
    /// The requests that have no answer yet. A caller whose credential ends gets an error in its place.
    ids: Vec<Value>,
    revoked: Pin<Box<dyn Future<Output = ()> + Send>>,
    started: bool,
}

impl MessageStream {
    pub(super) fn new(body: Body, auth: AuthContext, filter: Option<Filter>, ids: Vec<Value>) -> Self {
        let revoked = Box::pin(async move { auth.revoked().await });
        Self { frames: body.into_data_stream(), filter, rest: Vec::new(), ids, revoked, started: false }
    }

    pub(super) fn into_body(self) -> Body {
        Body::from_stream(self.into_stream())
    }

    fn into_stream(self) -> impl Stream<Item = Result<Bytes, axum::Error>> {
        stream::unfold(Some(self), |state| async {
            let mut state = state?;
            loop {
                tokio::select! {
                    biased;
                    () = &mut state.revoked => return Some((Ok(state.errors()), None)),
                    frame = state.frames.next() => match frame? {
                        Ok(frame) => {
                            let events = state.events(&frame);
                            if !events.is_empty() {
                                return Some((Ok(events.into()), Some(state)));
                            }
                        }
                        Err(error) => return Some((Err(error), None)),
                    }
                }
            }
        })
    }

    /// Returns the events that this frame completes.
    fn events(&mut self, frame: &[u8]) -> Vec<u8> {
        self.rest.extend_from_slice(frame);
        if !self.started {
            let mark = "\u{feff}".as_bytes();
            // A mark may come in several frames. Its event would not be read if a part of it stayed.
            if self.rest.len() < mark.len() && mark.starts_with(&self.rest) {
                return Vec::new();
            }
            self.started = true;
            if self.rest.starts_with(mark) {
                self.rest.drain(..mark.len());
            }
        }
        let mut events = Vec::new();
        let mut done = 0;
        while let Some(length) = event_length(&self.rest[done..]) {
            self.event(done..done + length, &mut events);
            done += length;
        }
        self.rest.drain(..done);
        events
    }

    /// Writes one event as it may leave.
    fn event(&mut self, range: std::ops::Range<usize>, to: &mut Vec<u8>) {
        let event = &self.rest[range];
        let mut message = match serde_json::from_slice::<Value>(&data(event)) {
            Ok(message) => message,
            // A comment, or an event without data.
            Err(_) if data(event).iter().all(u8::is_ascii_whitespace) => return to.extend_from_slice(event),
            // A client may read what this reader does not, and what cannot be read cannot be filtered.
            Err(_) => return tracing::error!("an MCP server sent an event that is not JSON: withheld"),
        };
        if message.get("method").is_none() {
            self.ids.retain(|id| message.get("id") != Some(id));
        }
        if !self.filter.as_ref().is_some_and(|filter| filter.apply(&mut message)) {
            return to.extend_from_slice(event);
        }
        for line in lines(event).filter(|line| !line.is_empty() && field(line).0 != b"data") {
            to.extend_from_slice(line);
            to.push(b'\n');
        }
        to.extend_from_slice(format!("data: {message}\n\n").as_bytes());
    }

    /// Returns the last events of a stream whose credential has ended.
    fn errors(&self) -> Bytes {
        let error = RpcError::new(-32000, "The credential no longer allows this");
        self.ids.iter().map(|id| format!("data: {}\n\n", error.answer(id))).collect::<String>().into()
    }
}

/// Returns the length of the first event, with the empty line after it; `None` if it is not complete.
fn event_length(bytes: &[u8]) -> Option<usize> {
    let mut start = 0;
    loop {
        let end = start + bytes[start..].iter().position(|b| matches!(b, b'\n' | b'\r'))?;
        // A line feed that follows in the next frame is an event without data.
        let next = match (bytes[end], bytes.get(end + 1)) {
            (b'\r', Some(b'\n')) => end + 2,
            _ => end + 1,
        };
        if end == start {
            return Some(next);
        }
        start = next;
    }
}

/// Returns the lines of an event.
fn lines(event: &[u8]) -> impl Iterator<Item = &[u8]> {
    event.split(|b| matches!(b, b'\n' | b'\r'))
}

/// Returns the name and the value of a field.
fn field(line: &[u8]) -> (&[u8], &[u8]) {
    let Some(colon) = line.iter().position(|b| *b == b':') else { return (line, b"") };
    let value = &line[colon + 1..];
    (&line[..colon], value.strip_prefix(b" ").unwrap_or(value))
}

/// Returns the data of an event.
fn data(event: &[u8]) -> Vec<u8> {
    let values: Vec<&[u8]> = lines(event).map(field).filter(|(name, _)| *name == b"data").map(|(_, v)| v).collect();
    values.join(&b'\n')
}
