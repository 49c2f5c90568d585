//! The sender of webhooks in the examples, with a receiver.

#[path = "../../../examples/webhooks/files.rs"]
mod files;
#[path = "../../../examples/webhooks/sender.rs"]
mod sender;
#[path = "../../../examples/webhooks/signature.rs"]
mod signature;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use files::Files;
use keyward::NewRole;
use keyward::admin::Notices;
use keyward::testing::World;
use keyward::time::{Clock, SystemClock};
use sender::{Retries, Sender};
use serde_json::Value;
use signature::SigningKey;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;
use tokio::sync::mpsc;

const KEY: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// A receiver that verifies each message, and answers as the test says.
struct Receiver {
    address: std::net::SocketAddr,
    state: Arc<Received>,
    arrived: mpsc::UnboundedReceiver<(String, u16)>,
}

struct Received {
    /// The statuses of the next responses; 204 after them.
    statuses: Mutex<VecDeque<u16>>,
    messages: Mutex<Vec<(String, Value)>>,
    arrived: mpsc::UnboundedSender<(String, u16)>,
}

async fn receive(State(state): State<Arc<Received>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let text = |name: &str| headers[name].to_str().unwrap().to_owned();
    let (id, timestamp, now) =
        (text("webhook-id"), text("webhook-timestamp").parse().unwrap(), SystemClock.now().0 / 1_000);
    let key = SigningKey::parse(KEY).unwrap();
    assert!(key.verify(&id, timestamp, &text("webhook-signature"), &body, now));
    let status = state.statuses.lock().unwrap().pop_front().unwrap_or(204);
    if status < 300 {
        state.messages.lock().unwrap().push((id.clone(), serde_json::from_slice(&body).unwrap()));
    }
    _ = state.arrived.send((id, status));
    StatusCode::from_u16(status).unwrap()
}

impl Receiver {
    async fn start() -> Self {
        let (sender, arrived) = mpsc::unbounded_channel();
        let state = Arc::new(Received { statuses: Mutex::default(), messages: Mutex::default(), arrived: sender });
        let router = Router::new().route("/hook", post(receive)).with_state(state.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, state, arrived }
    }

    fn answer(&self, statuses: &[u16]) {
        self.state.statuses.lock().unwrap().extend(statuses);
    }

    fn messages(&self) -> Vec<(String, Value)> {
        self.state.messages.lock().unwrap().clone()
    }
}

/// The files of a queue, and senders that share them one after the other.
struct Queue {
    directory: TempDir,
    address: std::net::SocketAddr,
}

impl Queue {
    fn files(&self) -> Files {
        Files::new(self.directory.path().join("cursor"), self.directory.path().join("dead.ndjson"))
    }

    fn sender(&self) -> Sender {
        let retries = Retries {
            attempts: 3,
            first_pause: Duration::from_millis(1),
            longest_pause: Duration::from_millis(4),
            deadline: Duration::from_secs(10),
        };
        let receiver = format!("http://{}/hook", self.address).parse().unwrap();
        Sender::new(receiver, SigningKey::parse(KEY).unwrap(), self.files(), retries)
    }

    fn dead_letters(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.directory.path().join("dead.ndjson")).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Sends all events that the log has, and stops then.
    async fn drain(&self, world: &World) {
        let (end, mut sender) = (world.keyward.audit().last_cursor().await.unwrap(), self.sender());
        let events = world.keyward.audit().follow(sender.cursor().unwrap());
        let running = sender.run(events);
        let stored = async {
            while self.files().cursor().unwrap() != end {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::select! {
            ended = running => panic!("{ended:?}"),
            () = stored => {}
        }
    }
}

async fn role(world: &World, name: &str) {
    world.keyward.roles().create(NewRole::new(name)).await.unwrap();
}

fn names(messages: &[(String, Value)]) -> Vec<&str> {
    messages.iter().map(|(_, message)| message["data"]["details"]["name"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn webhooks_are_signed_retried_and_resumed_and_dead_letters_are_kept() {
    let mut receiver = Receiver::start().await;
    let queue = Queue { directory: TempDir::new().unwrap(), address: receiver.address };
    let world = World::new();
    role(&world, "one").await;
    role(&world, "two").await;
    // The first is retried, the second arrives at once.
    receiver.answer(&[500, 429]);
    queue.drain(&world).await;
    let messages = receiver.messages();
    assert_eq!(names(&messages), ["one", "two"]);
    let (id, message) = &messages[0];
    assert_eq!(
        (message["type"].as_str(), message["timestamp"].as_str()),
        (Some("role-created"), Some("2026-01-01T00:00:00.000Z"))
    );
    assert_eq!((id.as_str(), &message["data"]["target"]), ("keyward-1", &serde_json::json!({"role": 2})));
    let mut attempts = Vec::new();
    while let Ok(attempt) = receiver.arrived.try_recv() {
        attempts.push(attempt);
    }
    let of = |id: &str, status| (id.to_owned(), status);
    let expected = [of("keyward-1", 500), of("keyward-1", 429), of("keyward-1", 204), of("keyward-2", 204)];
    assert_eq!(attempts, expected, "all attempts of a message have the same id");
    assert!(queue.dead_letters().is_empty());

    // After a restart it goes on behind the last one. A message that is refused too often is kept, and others follow.
    role(&world, "three").await;
    role(&world, "four").await;
    receiver.answer(&[500, 400, 503]);
    queue.drain(&world).await;
    assert_eq!(names(&receiver.messages()), ["one", "two", "four"]);
    let [dead] = &queue.dead_letters()[..] else { panic!("one dead letter") };
    assert_eq!(
        (&dead["message"]["data"]["details"]["name"], &dead["failure"]),
        (&"three".into(), &"status 503 Service Unavailable".into())
    );
    assert_eq!(
        (&dead["id"], &dead["attempts"], &dead["type"]),
        (&"keyward-3".into(), &3.into(), &"role-created".into())
    );
}

/// A crash between the acknowledgement and the stored position repeats one message, with the same id.
#[tokio::test]
async fn crash_repeats_one_message_at_most() {
    let mut receiver = Receiver::start().await;
    let queue = Queue { directory: TempDir::new().unwrap(), address: receiver.address };
    let world = World::new();
    for n in 0..6 {
        role(&world, &format!("{n}")).await;
    }
    for _ in 0..5 {
        let mut sender = queue.sender();
        let events = world.keyward.audit().follow(sender.cursor().unwrap());
        // Dropped when a message has arrived, before its response has.
        tokio::select! {
            biased;
            _ = receiver.arrived.recv() => {}
            ended = sender.run(events) => panic!("{ended:?}"),
        }
    }
    queue.drain(&world).await;
    let messages = receiver.messages();
    let mut ids: Vec<&str> = messages.iter().map(|(id, _)| id.as_str()).collect();
    assert!(ids.is_sorted() && ids.len() <= 6 + 5, "{ids:?}");
    ids.dedup();
    assert_eq!(ids.len(), 6, "in order, and none is lost");
}

#[tokio::test]
async fn receiver_that_is_not_there_gets_its_messages_later() {
    let queue = Queue { directory: TempDir::new().unwrap(), address: ([127, 0, 0, 1], 9).into() };
    let world = World::with(|builder| builder.policy(super::policy(Some(Notices::default()))));
    role(&world, "one").await;
    queue.drain(&world).await;
    let [dead] = &queue.dead_letters()[..] else { panic!("one dead letter") };
    assert!(dead["failure"].as_str().unwrap().contains("Connect"), "{dead}");
    // A gap is a message too.
    role(&world, "two").await;
    world.clock.advance(super::DAY);
    world.keyward.audit().delete_older_than(Duration::from_secs(1)).await.unwrap();
    let receiver = Receiver::start().await;
    let queue = Queue { address: receiver.address, ..queue };
    queue.drain(&world).await;
    let kinds: Vec<String> = receiver.messages().iter().map(|(_, m)| m["type"].as_str().unwrap().to_owned()).collect();
    assert_eq!(kinds, ["gap", "events-deleted"]);
}

#[test]
fn signatures_are_those_of_the_specification() {
    let key = SigningKey::parse(KEY).unwrap();
    let (id, timestamp, body) = ("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
    let signature = key.sign(id, timestamp, body);
    // The example of the libraries of Standard Webhooks.
    assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    let several = format!("v1,AAAA v2,x {signature}");
    assert!(key.verify(id, timestamp, &several, body, timestamp + 300));
    for (id, time, signature, body, now) in [
        ("other", timestamp, signature.as_str(), &body[..], timestamp),
        (id, timestamp + 1, &signature, body, timestamp),
        (id, timestamp, &signature, b"{}", timestamp),
        (id, timestamp, &signature, body, timestamp + 301),
        (id, timestamp, &signature, body, timestamp - 301),
        (id, timestamp, &signature[1..], body, timestamp),
        (id, timestamp, "", body, timestamp),
    ] {
        assert!(!key.verify(id, time, signature, body, now));
    }
    for malformed in
        ["", "whsec_", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLa", "whsec_!"]
    {
        assert!(SigningKey::parse(malformed).is_err(), "{malformed}");
    }
    assert_eq!(format!("{key:?}"), "SigningKey(..)");
}
