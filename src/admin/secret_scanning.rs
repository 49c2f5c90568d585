//! Reports of secrets that a scanner found in public.

use super::scanning_keys::{InvalidScanningKey, NoKey, ScanningKeys};
use super::unit_of_work::{UnitOfWork, was_adopted};
use super::{ServiceError, Tokens};
use crate::domain::{AuditAction, AuditTarget, Clock, Digest, OwnerId, SecretFormat, TokenKind, TokenKinds};
use crate::store::{EventQuery, Paging, View};
use crate::sync::Arc;
use futures_util::FutureExt;
use p256::ecdsa::VerifyingKey;
use serde_json::{Value, json};
use std::collections::HashSet;
use std::error::Error;
use std::fmt;
use std::time::Duration;
use zeroize::Zeroizing;

/// The most parts of one reported text that are looked up.
const MOST_PARTS: usize = 8;
/// The most leaks that one transaction handles.
const BATCH: usize = 100;
/// The most characters of a reported address or word that are kept.
const LONGEST_FACT: usize = 500;

/// How reports of secrets found in public are taken: GitHub's secret scanning partner program, for
/// [`Builder::secret_scanning`](crate::Builder::secret_scanning).
///
/// A message is read only if it is signed by one of the scanner's keys. Tokens whose secrets it reports are revoked, sessions ended and
/// invitations withdrawn, each with the cause [`Leaked`](crate::admin::AuditCause::Leaked) in the audit log;
/// [`report_only`](Self::report_only) leaves them.
#[derive(Clone)]
pub struct SecretScanning {
    keys: ScanningKeys,
    revokes: bool,
}

impl fmt::Debug for SecretScanning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretScanning").field("keys", &self.keys).field("revokes", &self.revokes).finish()
    }
}

impl SecretScanning {
    /// Takes messages that are signed by one of these keys: identifiers, and public keys of P-256 in PEM. They do not change: with keys
    /// that the scanner replaces, use [`keys_from`](Self::keys_from).
    ///
    /// # Errors
    /// Returns [`InvalidScanningKey`] for the first key that is none.
    pub fn keys<I: Into<String>, P: Into<String>>(
        keys: impl IntoIterator<Item = (I, P)>,
    ) -> Result<Self, InvalidScanningKey> {
        Ok(Self::new(ScanningKeys::given(keys.into_iter().map(|(id, pem)| (id.into(), pem.into())))?))
    }

    /// Takes messages that are signed by one of the keys that this function loads: identifiers, and public keys of P-256 in PEM. GitHub
    /// has them at `https://api.github.com/meta/public_keys/secret_scanning`.
    ///
    /// Keys are loaded when the first message arrives, and again after [`cache_for`](Self::cache_for), by one caller at a time, each time
    /// within a [`deadline`](Self::deadline). An unknown identifier loads them once a minute at most. After a failure the next attempt is
    /// 10 s later, and keys that are known stay valid for a day.
    ///
    /// ```
    /// use keyward::admin::SecretScanning;
    /// # async fn get(_: &str) -> Result<String, std::io::Error> { Ok(String::new()) }
    /// let scanning = SecretScanning::keys_from(|| async {
    ///     let answer = get("https://api.github.com/meta/public_keys/secret_scanning").await?;
    ///     let answer: serde_json::Value = serde_json::from_str(&answer)?;
    ///     let text = |key: &serde_json::Value, name| key[name].as_str().unwrap_or_default().to_owned();
    ///     let keys = answer["public_keys"].as_array().into_iter().flatten();
    ///     let keys = keys.map(|key| (text(key, "key_identifier"), text(key, "key"))).collect();
    ///     Ok::<_, std::io::Error>(keys)
    /// });
    /// # drop(scanning);
    /// ```
    pub fn keys_from<F, R, E>(load: F) -> Self
    where
        F: Fn() -> R + Send + Sync + 'static,
        R: Future<Output = Result<Vec<(String, String)>, E>> + Send + 'static,
        E: Into<Box<dyn Error + Send + Sync>> + 'static,
    {
        Self::new(ScanningKeys::loaded_by(Arc::new(move || load().map(|keys| keys.map_err(Into::into)).boxed())))
    }

    fn new(keys: ScanningKeys) -> Self {
        Self { keys, revokes: true }
    }

    /// Leaves tokens, sessions and invitations whose secrets are reported. The audit log has an event
    /// [`SecretLeaked`](crate::admin::AuditAction::SecretLeaked) for each, once for each place.
    #[must_use]
    pub fn report_only(mut self) -> Self {
        self.revokes = false;
        self
    }

    /// Sets how long loaded keys are used before they are loaded again. Default one hour.
    #[must_use]
    pub fn cache_for(mut self, span: Duration) -> Self {
        self.keys.cache_for = span;
        self
    }

    /// Sets the deadline for loading keys. Default 5 s; GitHub waits 30 s for an answer.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.keys.deadline = deadline;
        self
    }

    /// Returns the key with this identifier.
    pub(crate) async fn key(&self, id: &str, clock: &Arc<dyn Clock>) -> Result<VerifyingKey, NoKey> {
        self.keys.key(id, clock).await
    }

    pub(crate) fn revokes(&self) -> bool {
        self.revokes
    }
}

/// A report that a secret was found in public.
pub(crate) struct LeakReport {
    pub(crate) secret: Zeroizing<String>,
    /// Where it was found, as reported.
    pub(crate) url: String,
    /// The kind of place, as reported: `commit`.
    pub(crate) source: String,
}

/// A secret that a report contains.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Leaked {
    Token(Digest),
    Invitation(Digest),
}

/// A secret to act on, with the facts for the audit log.
struct Leak {
    leaked: Leaked,
    url: String,
    source: String,
}

impl Tokens {
    /// Acts on reports of secrets found in public. Returns for each, in this order, whether its text has a secret of this installation,
    /// valid or not.
    ///
    /// A report that arrives again changes nothing more.
    pub(crate) async fn handle_leaks(&self, reports: &[LeakReport], revokes: bool) -> Result<Vec<bool>, ServiceError> {
        self.ensure_keys_fit().await?;
        let (mut view, format) = (self.context.view().await?, &self.context.state.format);
        let (mut labels, mut leaks) = (Vec::with_capacity(reports.len()), Vec::new());
        let (mut present, mut absent) = (HashSet::new(), HashSet::new());
        for report in reports {
            let mut is_genuine = false;
            for (leaked, is_checked) in leaked_in(format, &report.secret) {
                let was_present = present.contains(&leaked);
                if !was_present && !absent.contains(&leaked) && is_stored(&mut *view, leaked).await? {
                    present.insert(leaked);
                    let fact = |text: &str| clean(format, reports, text);
                    leaks.push(Leak { leaked, url: fact(&report.url), source: fact(&report.source) });
                }
                let is_present = present.contains(&leaked);
                if !is_present {
                    absent.insert(leaked);
                }
                is_genuine |= is_checked || is_present || was_revoked(&mut *view, leaked).await?;
            }
            labels.push(is_genuine);
        }
        drop(view);
        while !leaks.is_empty() {
            let batch: Vec<Leak> = leaks.drain(..leaks.len().min(BATCH)).collect();
            self.context.transact(move |unit| Box::pin(handle(unit, batch, revokes))).await?;
        }
        Ok(labels)
    }
}

async fn handle(unit: &mut UnitOfWork<'_>, leaks: Vec<Leak>, revokes: bool) -> Result<(), ServiceError> {
    let mut changed = false;
    for leak in leaks {
        changed |= handle_leak(unit, leak, revokes).await?;
    }
    if !changed {
        unit.skip_commit();
    }
    Ok(())
}

/// Acts on a leak. Returns whether there was anything to do.
async fn handle_leak(unit: &mut UnitOfWork<'_>, leak: Leak, revokes: bool) -> Result<bool, ServiceError> {
    let Leak { leaked, url, source } = leak;
    let (target, details) = match leaked {
        Leaked::Token(digest) => {
            // It may have been revoked since it was looked up.
            let Some(record) = unit.view().record(&digest).await? else { return Ok(false) };
            let token = record.token;
            let details = json!({"name": token.name, "owner": token.owner(), "url": url, "source": source});
            // A secret that was replaced and has ended does no harm.
            if revokes && token.digests().any(|admitted| admitted == digest) {
                unit.revoke_leaked(&token, details).await?;
                return Ok(true);
            }
            (AuditTarget::Token(token.id, token.kind()), details)
        }
        Leaked::Invitation(digest) => {
            let Some((owner, _)) = unit.view().invitation(&digest).await? else { return Ok(false) };
            let details = invitation_details(unit, owner, &url, &source).await?;
            if revokes {
                unit.withdraw_leaked_invitation(owner, details).await?;
                return Ok(true);
            }
            (AuditTarget::Owner(owner), details)
        }
    };
    let query = EventQuery {
        actions: Some(vec![AuditAction::SecretLeaked]),
        target: Some(target),
        ..EventQuery::all(Paging::FIRST)
    };
    let earlier = unit.view().events(&query).await?;
    if earlier.items.iter().any(|(_, event)| event.details == details) {
        return Ok(false);
    }
    unit.record_leak(target, details).await?;
    Ok(true)
}

async fn invitation_details(
    unit: &mut UnitOfWork<'_>,
    owner: OwnerId,
    url: &str,
    source: &str,
) -> Result<Value, ServiceError> {
    let email = unit.load_owner(owner).await?.email;
    Ok(json!({"email": email, "invitation": true, "url": url, "source": source}))
}

/// Returns the secrets in a text, without a read of the store. Each with whether its check characters prove that this installation made
/// it, as those of its own format do.
fn leaked_in(format: &SecretFormat, text: &str) -> Vec<(Leaked, bool)> {
    let kinds = TokenKinds::of(&TokenKind::ALL);
    let secret = |part: &[u8]| match format.verify_bytes(part, kinds) {
        Ok(verified) => Some((Leaked::Token(verified.digest), verified.kind.is_some())),
        Err(_) => {
            let invitation = std::str::from_utf8(part).ok().and_then(|text| format.verify_invitation(text).ok());
            invitation.map(|digest| (Leaked::Invitation(digest), true))
        }
    };
    let mut found: Vec<(Leaked, bool)> = Vec::new();
    for leaked in format.candidates(text.as_bytes()).into_iter().filter_map(secret) {
        if found.len() < MOST_PARTS && !found.contains(&leaked) {
            found.push(leaked);
        }
    }
    found
}

async fn is_stored(view: &mut dyn View, leaked: Leaked) -> Result<bool, ServiceError> {
    Ok(match leaked {
        Leaked::Token(digest) => view.record(&digest).await?.is_some(),
        Leaked::Invitation(digest) => view.invitation(&digest).await?.is_some(),
    })
}

/// Returns whether this is an adopted key whose token is gone.
async fn was_revoked(view: &mut dyn View, leaked: Leaked) -> Result<bool, ServiceError> {
    match leaked {
        Leaked::Token(digest @ Digest::Legacy(_)) => Ok(was_adopted(view, &digest).await?),
        _ => Ok(false),
    }
}

/// Returns a reported text for the audit log: short, printable, and without a secret.
fn clean(format: &SecretFormat, reports: &[LeakReport], text: &str) -> String {
    let mut decoded = Zeroizing::new(text.to_owned());
    // Encoded more than once, it is an odd address.
    for _ in 0..3 {
        decoded = Zeroizing::new(percent_decoded(&decoded));
    }
    let has_secret = |text: &str| {
        leaked_in(format, text).iter().any(|(_, is_checked)| *is_checked)
            || reports.iter().any(|report| !report.secret.trim().is_empty() && text.contains(report.secret.trim()))
    };
    if has_secret(text) || has_secret(&decoded) {
        return "withheld, as it has a secret in it".to_owned();
    }
    text.chars().take(LONGEST_FACT).map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '?' }).collect()
}

/// Decodes `%2F` and the like, and leaves what is no such encoding.
fn percent_decoded(text: &str) -> String {
    let (mut bytes, mut decoded) = (text.as_bytes(), Vec::with_capacity(text.len()));
    while let Some((first, rest)) = bytes.split_first() {
        let byte = rest.get(..2).filter(|_| *first == b'%').and_then(|digits| hex::decode(digits).ok()?.pop());
        decoded.push(byte.unwrap_or(*first));
        bytes = if byte.is_some() { &rest[2..] } else { rest };
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{HashKey, OsEntropy, TokenPrefix};

    #[test]
    fn reported_facts_are_short_printable_and_without_secrets() {
        let format = SecretFormat::new(&TokenPrefix::default(), HashKey::generate().unwrap().0);
        let issue = |kind| format.issue(kind, &OsEntropy).unwrap().secret;
        let (own, other) = (issue(TokenKind::Admin), issue(TokenKind::Content));
        let invitation = format.issue_invitation(&OsEntropy).unwrap().secret;
        let report = |text: &str| LeakReport {
            secret: Zeroizing::new(text.to_owned()),
            url: String::new(),
            source: String::new(),
        };
        let reports = [report(own.expose()), report(" foreign-key "), report("")];
        let clean = |text: &str| clean(&format, &reports, text);
        let url = "https://github.com/octocat/Hello-World/blob/12345600b9cbe38a219f39a9941c9319b600c002/foo/bar.txt";
        assert_eq!(clean(url), url);
        assert_eq!(clean("a\u{0}b\nc\u{202e}d"), "a?b?c?d");
        assert_eq!(clean(&"x".repeat(5_000)).len(), LONGEST_FACT);
        let encoded = own.expose().replace('_', "%5F");
        let twice = own.expose().replace('_', "%255f");
        for secret in
            [own.expose(), other.expose(), invitation.expose(), "foreign-key", &encoded, &twice, "foreign%2Dkey"]
        {
            let cleaned = clean(&format!("https://x.test/{secret}?q"));
            assert_eq!(cleaned, "withheld, as it has a secret in it", "{secret}");
        }
        assert_eq!(percent_decoded("a%2Fb%zz%4"), "a/b%zz%4");
    }
}
