//! Event streams of the server. Their messages are filtered, and a stream ends when its credential does.

use super::event::{Events, data, with_data};
use super::list::{Filter, FilterOutcome};
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
    events: Events,
    filter: Filter,
    auth: AuthContext,
    /// The requests that have no answer yet. Each gets an error if the stream ends early.
    ids: Vec<Value>,
    revoked: Pin<Box<dyn Future<Output = ()> + Send>>,
}

/// The last events of a stream that ends early.
struct LastEvents(Vec<u8>);

impl MessageStream {
    pub(super) fn new(body: Body, auth: AuthContext, filter: Filter, ids: Vec<Value>) -> Self {
        let watched = auth.clone();
        let revoked = Box::pin(async move { watched.revoked().await });
        Self { frames: body.into_data_stream(), events: Events::default(), filter, auth, ids, revoked }
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
                    () = &mut state.revoked => return Some((Ok(state.errors(REVOKED).into()), None)),
                    frame = state.frames.next() => match frame? {
                        Ok(frame) => match state.pass(&frame).await {
                            Ok(events) if events.is_empty() => {}
                            Ok(events) => return Some((Ok(events.into()), Some(state))),
                            Err(LastEvents(events)) => return Some((Ok(events.into()), None)),
                        }
                        Err(error) => return Some((Err(error), None)),
                    }
                }
            }
        })
    }

    /// Returns the filtered events that this frame completes.
    async fn pass(&mut self, frame: &[u8]) -> Result<Vec<u8>, LastEvents> {
        self.events.push(frame);
        let mut events = Vec::new();
        while let Some(event) = self.events.next().map(<[u8]>::to_vec) {
            // A stream may be open for days: the current permissions decide, not those of its request.
            let Ok(auth) = self.auth.current().await else {
                events.extend(self.errors(REVOKED));
                return Err(LastEvents(events));
            };
            self.write(event, &auth, &mut events);
        }
        if self.events.incomplete_len() > self.filter.tools.answer_limit {
            tracing::error!("an MCP server sent an event above the limit of answers: the stream is ended");
            events.extend(self.errors("The server's answer is too large"));
            return Err(LastEvents(events));
        }
        Ok(events)
    }

    /// Filters one event, and writes it unless it is withheld.
    fn write(&mut self, event: Vec<u8>, auth: &AuthContext, to: &mut Vec<u8>) {
        let data = data(&event);
        let mut message = match serde_json::from_slice::<Value>(&data) {
            Ok(message) => message,
            // A comment, or an event without data.
            Err(_) if data.iter().all(u8::is_ascii_whitespace) => return to.extend(event),
            // A client may be able to read this text, but unread text cannot be filtered.
            Err(_) => return tracing::error!("an MCP server sent an event that is not JSON: withheld"),
        };
        if message.get("method").is_none() {
            self.ids.retain(|id| message.get("id") != Some(id));
        }
        match self.filter.apply(&mut message, auth) {
            FilterOutcome::Unchanged => to.extend(event),
            FilterOutcome::Changed => to.extend(with_data(&event, &message.to_string())),
            FilterOutcome::Withheld => {}
        }
    }

    /// Returns an error for each request without an answer.
    fn errors(&self, text: &str) -> Vec<u8> {
        let error = RpcError::new(-32000, text);
        self.ids.iter().map(|id| format!("data: {}\n\n", error.answer(id))).collect::<String>().into()
    }
}

const REVOKED: &str = "The credential no longer allows this";
