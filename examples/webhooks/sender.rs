//! The queue: one message after the other, each until it is acknowledged or given up.

use super::files::Files;
use super::signature::SigningKey;
use futures_util::{Stream, StreamExt};
use http::{Request, StatusCode, Uri, header};
use http_body_util::Full;
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use keyward::admin::{Cursor, FollowError, LifecycleEvent};
use keyward::time::{Clock, SystemClock, Timestamp};
use serde_json::{Value, json};
use std::error::Error;
use std::time::Duration;

/// How often a message is sent, and how long after a failure.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Retries {
    /// The attempts in all.
    pub(crate) attempts: u32,
    /// The longest pause after the first attempt. It doubles with each, and the pause is a random part of it: receivers that come back
    /// are not met by all senders at once.
    pub(crate) first_pause: Duration,
    /// The longest pause.
    pub(crate) longest_pause: Duration,
    /// How long a receiver may take to answer.
    pub(crate) deadline: Duration,
}

impl Default for Retries {
    fn default() -> Self {
        Self {
            attempts: 12,
            first_pause: Duration::from_secs(1),
            longest_pause: Duration::from_secs(10 * 60),
            deadline: Duration::from_secs(15),
        }
    }
}

/// Sends the events of a log to one receiver, in order.
///
/// A message is acknowledged by a status of 2xx. Then the position is stored, so a crash repeats one message at most, with the same
/// `webhook-id`: receivers drop what they have handled. A message that is not acknowledged after all attempts becomes a dead letter, and
/// the queue goes on.
#[derive(Debug)]
pub(crate) struct Sender {
    // `http` only. For receivers elsewhere, use a connector with TLS: the signature proves the sender, and hides nothing.
    client: Client<HttpConnector, Full<Bytes>>,
    receiver: Uri,
    key: SigningKey,
    files: Files,
    retries: Retries,
}

/// A message for the receiver.
struct Message {
    id: String,
    kind: String,
    body: Value,
}

impl Sender {
    pub(crate) fn new(receiver: Uri, key: SigningKey, files: Files, retries: Retries) -> Self {
        let client = Client::builder(TokioExecutor::new()).build_http();
        Self { client, receiver, key, files, retries }
    }

    /// Returns the position to follow the log from.
    pub(crate) fn cursor(&self) -> std::io::Result<Cursor> {
        self.files.cursor()
    }

    /// Sends events until there are no more, because the installation shuts down. It may be dropped at any await.
    pub(crate) async fn run(
        &mut self,
        mut events: impl Stream<Item = Result<LifecycleEvent, FollowError>> + Unpin,
    ) -> Result<(), Box<dyn Error>> {
        while let Some(next) = events.next().await {
            let (message, cursor) = match next {
                Ok(event) => (Message::of(&event), event.cursor),
                // The receiver has to learn that it must read anew what it keeps.
                Err(FollowError::Gap { cursor }) => (Message::gap(cursor), cursor),
                Err(error) => return Err(error.into()),
            };
            self.deliver(&message).await?;
            self.files.store_cursor(cursor)?;
        }
        Ok(())
    }

    /// Sends a message until it is acknowledged, or has become a dead letter.
    async fn deliver(&self, message: &Message) -> std::io::Result<()> {
        let body = Bytes::from(message.body.to_string());
        let mut pause = self.retries.first_pause;
        let mut failure = String::new();
        for attempt in 1..=self.retries.attempts.max(1) {
            let (why, asked) = match self.attempt(message, body.clone()).await {
                Ok(()) => return Ok(()),
                Err(failed) => failed,
            };
            failure = why;
            tracing::warn!(id = message.id, attempt, failure, "a webhook was not acknowledged");
            if attempt < self.retries.attempts {
                let random = pause.mul_f64(fastrand::f64());
                tokio::time::sleep(random.max(asked).min(self.retries.longest_pause)).await;
                pause = (pause * 2).min(self.retries.longest_pause);
            }
        }
        tracing::error!(id = message.id, failure, "a webhook is given up, and kept as a dead letter");
        self.files.add_dead_letter(&json!({
            "id": message.id,
            "type": message.kind,
            "failure": failure,
            "attempts": self.retries.attempts.max(1),
            "at": SystemClock.now().to_string(),
            "message": message.body,
        }))
    }

    /// Sends a message once. An error is why it was not acknowledged, and the pause that the receiver asks for.
    async fn attempt(&self, message: &Message, body: Bytes) -> Result<(), (String, Duration)> {
        let without_pause = |why: String| (why, Duration::ZERO);
        let timestamp = SystemClock.now().0 / 1_000;
        let request = Request::post(self.receiver.clone())
            .header(header::CONTENT_TYPE, "application/json")
            .header("webhook-id", &message.id)
            .header("webhook-timestamp", timestamp)
            .header("webhook-signature", self.key.sign(&message.id, timestamp, &body))
            .body(Full::new(body));
        let request = request.map_err(|error| without_pause(error.to_string()))?;
        // The body of a response does not matter, and could be endless.
        let response = match tokio::time::timeout(self.retries.deadline, self.client.request(request)).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => return Err(without_pause(with_causes(&error))),
            Err(_) => return Err(without_pause("no response in time".to_owned())),
        };
        if response.status().is_success() {
            return Ok(());
        }
        let asked = match response.status() {
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                let seconds =
                    response.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
                Duration::from_secs(seconds.unwrap_or(0))
            }
            _ => Duration::ZERO,
        };
        Err((format!("status {}", response.status()), asked))
    }
}

fn with_causes(error: &dyn Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {}", with_causes(cause)),
        None => error.to_string(),
    }
}

impl Message {
    /// Makes the message of an event. It has the facts of the log, which contain no secret.
    fn of(event: &LifecycleEvent) -> Self {
        let raw = &event.event;
        let data = json!({
            "id": event.id,
            "actor": raw.origin.actor,
            "target": raw.target,
            "cause": raw.cause,
            "details": raw.details,
        });
        Self::new(format!("keyward-{}", event.id), &json!(raw.what), raw.at, data)
    }

    /// Makes the message that events are missing.
    fn gap(cursor: Cursor) -> Self {
        Self::new(format!("keyward-gap-{cursor}"), &json!("gap"), SystemClock.now(), json!({}))
    }

    fn new(id: String, kind: &Value, at: Timestamp, data: Value) -> Self {
        let body = json!({"type": kind, "timestamp": at.to_string(), "data": data});
        Self { id, kind: kind.as_str().unwrap_or_default().to_owned(), body }
    }
}
