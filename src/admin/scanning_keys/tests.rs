//! Signatures of GitHub's documentation and of OpenSSL, and the times at which keys are loaded.

use super::*;
use crate::domain::Timestamp;
use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// The message, the signature and the key of an example in GitHub's documentation of the partner program (its version of 2023).
const MESSAGE: &[u8] = br#"[{"token":"some_token","type":"some_type","url":"some_url","source":"some_source"}]"#;
const SIGNATURE: &str =
    "MEUCIFLZzeK++IhS+y276SRk2Pe5LfDrfvTXu6iwKKcFGCrvAiEAhHN2kDOhy2I6eGkOFmxNkOJ+L2y8oQ9A2T9GGJo6WJY=";
const PEM: &str = "-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEsz9ugWDj5jK5ELBK42ynytbo38gP
HzZFI03Exwz8Lh/tCfL3YxwMdLjB+bMznsanlhK0RwcGP3IDb34kQDIo3Q==
-----END PUBLIC KEY-----";

fn key(pem: &str) -> VerifyingKey {
    parse("id", pem).expect("a key")
}

fn openssl(arguments: &[&str], input: &[u8]) -> Vec<u8> {
    let mut openssl = Command::new("openssl");
    let mut child = openssl.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("openssl runs");
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "openssl {arguments:?}");
    output.stdout
}

#[test]
fn signatures_of_githubs_documentation_are_verified() {
    let key = key(PEM);
    assert!(is_signed(&key, MESSAGE, SIGNATURE));
    for at in 0..MESSAGE.len() {
        let mut other = MESSAGE.to_vec();
        other[at] ^= 1;
        assert!(!is_signed(&key, &other, SIGNATURE), "byte {at}");
    }
    assert!(!is_signed(&key, &[MESSAGE, b"\n"].concat(), SIGNATURE));
    let text = SIGNATURE.as_bytes();
    for at in 0..text.len() - 1 {
        let mut other = text.to_vec();
        other[at] = if other[at] == b'A' { b'B' } else { b'A' };
        assert!(!is_signed(&key, MESSAGE, std::str::from_utf8(&other).unwrap()), "character {at}");
    }
    for bad in ["", " ", "=", "MEUC", &SIGNATURE[..95], &format!("{SIGNATURE} "), &"A".repeat(5_000), "AAAA", "é"] {
        assert!(parse_signature(bad).is_none(), "{bad}");
    }
    // A sequence of two zeros is DER, and no signature.
    assert!(parse_signature(&Base64::encode_string(&[0x30, 6, 2, 1, 0, 2, 1, 0])).is_none());
}

#[test]
fn signatures_of_openssl_are_verified() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("key.pem");
    let secret = openssl(&["ecparam", "-name", "prime256v1", "-genkey", "-noout"], b"");
    std::fs::write(&path, &secret).unwrap();
    let pem = String::from_utf8(openssl(&["ec", "-pubout"], &secret)).unwrap();
    for n in 0..12_usize {
        let message = vec![b'x'; n * n * 1_000];
        let signature = openssl(&["dgst", "-sha256", "-sign", path.to_str().unwrap()], &message);
        let signature = Base64::encode_string(&signature);
        assert!(is_signed(&key(&pem), &message, &signature), "{n}");
        assert!(!is_signed(&key(PEM), &message, &signature), "of another key");
        assert!(!is_signed(&key(&pem), MESSAGE, &signature), "of another message");
    }
    let other_hash = openssl(&["dgst", "-sha512", "-sign", path.to_str().unwrap()], MESSAGE);
    assert!(!is_signed(&key(&pem), MESSAGE, &Base64::encode_string(&other_hash)));
    let other_curve = openssl(&["ecparam", "-name", "secp384r1", "-genkey", "-noout"], b"");
    let other_curve = String::from_utf8(openssl(&["ec", "-pubout"], &other_curve)).unwrap();
    let pem_of_secret = String::from_utf8(secret).unwrap();
    for bad in ["", "key", other_curve.as_str(), pem_of_secret.as_str(), &PEM[..100]] {
        assert!(parse("id", bad).is_none(), "{bad}");
        let given = ScanningKeys::given([("a".to_owned(), PEM.to_owned()), ("b".to_owned(), bad.to_owned())]);
        assert_eq!(given.err(), Some(InvalidScanningKey("b".to_owned())));
    }
}

#[derive(Default)]
struct TestClock(AtomicU64);

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp(0)
    }

    fn moment(&self) -> MonotonicTime {
        MonotonicTime(self.0.load(Ordering::SeqCst))
    }
}

/// A source of keys that counts its calls. It has the key `old` before the call `new_from`, from then on `new`.
struct Source {
    keys: ScanningKeys,
    clock: Arc<TestClock>,
    calls: Arc<AtomicUsize>,
    fails: Arc<AtomicUsize>,
}

impl Source {
    fn new(answer: impl Fn(usize) -> KeyList + Send + Sync + 'static) -> Self {
        let (calls, fails) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let (counted, failing) = (calls.clone(), fails.clone());
        let load = move || {
            let n = counted.fetch_add(1, Ordering::SeqCst);
            let keys = if failing.load(Ordering::SeqCst) > 0 { Err("down".into()) } else { Ok(answer(n)) };
            Box::pin(async move {
                tokio::task::yield_now().await;
                keys
            }) as BoxFuture<'static, Result<KeyList, BoxError>>
        };
        Self { keys: ScanningKeys::loaded_by(Arc::new(load)), clock: Arc::default(), calls, fails }
    }

    async fn get(&self, id: &str) -> Result<(), NoKey> {
        let clock: Arc<dyn Clock> = self.clock.clone();
        self.keys.key(id, &clock).await.map(drop)
    }

    fn pass(&self, seconds: u64) {
        self.clock.0.fetch_add(seconds * 1_000_000_000, Ordering::SeqCst);
    }

    fn fail(&self, fails: bool) {
        self.fails.store(usize::from(fails), Ordering::SeqCst);
    }

    fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }
}

fn one(id: &str) -> KeyList {
    vec![("broken".to_owned(), "no key".to_owned()), (id.to_owned(), PEM.to_owned())]
}

#[tokio::test]
async fn keys_are_loaded_once_and_again_after_the_cache_time() {
    let source = Source::new(|_| one("a"));
    let asked = futures_util::future::join_all((0..50).map(|n| source.get(if n % 2 == 0 { "a" } else { "b" }))).await;
    assert!(asked.iter().step_by(2).all(Result::is_ok));
    assert!(asked.iter().skip(1).step_by(2).all(|asked| *asked == Err(NoKey::Unknown)));
    assert_eq!(source.calls(), 1, "one caller loads them for all");
    source.pass(3_599);
    assert_eq!((source.get("a").await, source.calls()), (Ok(()), 1));
    source.pass(1);
    assert_eq!((source.get("a").await, source.calls()), (Ok(()), 2));
}

#[tokio::test]
async fn unknown_keys_load_once_a_minute() {
    let source = Source::new(|n| one(if n < 2 { "old" } else { "new" }));
    assert_eq!(source.get("old").await, Ok(()));
    for n in 0..100 {
        assert_eq!(source.get(&format!("made up {n}")).await, Err(NoKey::Unknown));
        assert_eq!(source.get("new").await, Err(NoKey::Unknown));
    }
    assert_eq!(source.calls(), 1);
    source.pass(60);
    assert_eq!(source.get("new").await, Err(NoKey::Unknown));
    source.pass(60);
    assert_eq!(source.get("new").await, Ok(()), "the scanner has replaced its key");
    assert_eq!(source.get("old").await, Err(NoKey::Unknown));
    assert_eq!(source.calls(), 3);
}

#[tokio::test]
async fn known_keys_outlive_a_failing_source_for_a_day() {
    let source = Source::new(|_| one("a"));
    source.fail(true);
    for _ in 0..20 {
        assert_eq!(source.get("a").await, Err(NoKey::Unavailable), "not known yet");
    }
    assert_eq!(source.calls(), 1, "a failure is remembered");
    source.pass(10);
    source.fail(false);
    assert_eq!((source.get("a").await, source.calls()), (Ok(()), 2));
    source.fail(true);
    source.pass(3_600);
    for _ in 0..20 {
        assert_eq!(source.get("a").await, Ok(()));
        assert_eq!(source.get("b").await, Err(NoKey::Unavailable), "it may be a new key");
    }
    assert_eq!(source.calls(), 3);
    source.pass(24 * 3_600 - 3_600 - 1);
    assert_eq!(source.get("a").await, Ok(()));
    source.pass(1);
    assert_eq!(source.get("a").await, Err(NoKey::Unavailable));
    source.pass(10);
    source.fail(false);
    assert_eq!(source.get("a").await, Ok(()));
}

#[tokio::test]
async fn caller_who_hangs_up_does_not_stop_a_load() {
    let source = Source::new(|_| one("a"));
    for _ in 0..100 {
        // Polled once: the load has begun, and its caller is gone.
        assert!(futures_util::poll!(Box::pin(source.get("a"))).is_pending() || source.calls() == 1);
        tokio::task::yield_now().await;
    }
    assert_eq!((source.get("a").await, source.calls()), (Ok(()), 1));
}

#[tokio::test(start_paused = true)]
async fn load_ends_at_its_deadline() {
    let load = || Box::pin(std::future::pending()) as BoxFuture<'static, Result<KeyList, BoxError>>;
    let keys = ScanningKeys::loaded_by(Arc::new(load));
    let clock: Arc<dyn Clock> = Arc::new(TestClock::default());
    let began = tokio::time::Instant::now();
    assert_eq!(keys.key("a", &clock).await.err(), Some(NoKey::Unavailable));
    assert_eq!(began.elapsed(), Duration::from_secs(5));
    assert_eq!(keys.key("a", &clock).await.err(), Some(NoKey::Unavailable));
    assert_eq!(began.elapsed(), Duration::from_secs(5), "the failure is remembered");
}

#[tokio::test]
async fn source_without_valid_keys_is_a_failure() {
    let source = Source::new(|n| if n == 0 { vec![("a".to_owned(), "no key".to_owned())] } else { Vec::new() });
    assert_eq!(source.get("a").await, Err(NoKey::Unavailable));
    source.pass(10);
    assert_eq!(source.get("a").await, Err(NoKey::Unavailable));
    let many = (0..10_000).map(|n| (n.to_string(), PEM.to_owned())).collect::<Vec<_>>();
    let source = Source::new(move |_| many.clone());
    assert_eq!(source.get("0").await, Ok(()));
    assert_eq!(source.get("9999").await, Err(NoKey::Unknown), "no more keys than GitHub has are kept");
}

#[test]
fn debug_shows_no_key() {
    let given = ScanningKeys::given([("a".to_owned(), PEM.to_owned())]).unwrap();
    assert_eq!(format!("{given:?}"), "ScanningKeys { given: true, .. }");
}
