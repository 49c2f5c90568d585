//! Any text as a secret: none is genuine but those that were issued. And any text as a salt, a brand or a key: it is taken or refused.
//!
//! `$A`, `$C`, `$S`, `$I` and `$O` stand for an admin token's secret, a content token's, a session's, an invitation's, and one that was
//! issued under an old salt.

#![no_main]

use keyward::HashKey;
use keyward::store::Digest;
use keyward::testing::SeededEntropy;
use keyward::testing::{SecretFormat, TokenKinds, VerifyError};
use keyward::token::{EncryptionKeys, HashKeyRing, StrapiHashKey, TokenKind, TokenPrefix};
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;

const NEW: &str = "Vd3kQ9sLx0Zt7BpY2mHc8RfJ5wNgA1uE";
const OLD: &str = "old:4bX0qPz81hVnR7sYw2Lm5Kc9Tj3Ga6Fd";

struct Known {
    format: SecretFormat,
    secrets: Vec<(&'static str, Option<TokenKind>, String)>,
}

static KNOWN: LazyLock<Known> = LazyLock::new(|| {
    let (new, old) = (HashKey::parse(NEW).unwrap(), HashKey::parse(OLD).unwrap());
    let entropy = SeededEntropy::new(1);
    let former = SecretFormat::new(&TokenPrefix::default(), old.clone());
    let format = SecretFormat::new(&TokenPrefix::default(), HashKeyRing::new(new).and_old(old).unwrap())
        .with_reference(StrapiHashKey::new("saltysaltysaltysalty").unwrap());
    let issue = |f: &SecretFormat, kind| f.issue(kind, &entropy).unwrap().secret.expose().to_owned();
    let secrets = vec![
        ("$A", Some(TokenKind::Admin), issue(&format, TokenKind::Admin)),
        ("$C", Some(TokenKind::Content), issue(&format, TokenKind::Content)),
        ("$S", Some(TokenKind::Session), issue(&format, TokenKind::Session)),
        ("$O", Some(TokenKind::Admin), issue(&former, TokenKind::Admin)),
    ];
    Known { format, secrets }
});

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Known { format, secrets } = &*KNOWN;
    let text = secrets.iter().fold(text.to_owned(), |text, (sign, _, secret)| text.replace(sign, secret));
    let kind = secrets.iter().find(|(_, _, secret)| *secret == text).and_then(|(_, kind, _)| *kind);
    let of_the_reference = text.len() == 256 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    for asked in TokenKind::ALL {
        match format.verify(&text, TokenKinds::of(&[asked])) {
            Ok(credential) if of_the_reference => {
                assert_eq!(credential.kind, None);
                assert!(matches!(credential.digest, Digest::Strapi(_)));
            }
            Ok(credential) => {
                assert_eq!((credential.kind, kind), (Some(asked), Some(asked)), "{text:?}");
                assert_eq!(Digest::from_hex(&credential.digest.to_hex()).ok(), Some(credential.digest));
            }
            Err(why) => {
                assert!(!of_the_reference && kind != Some(asked), "{text:?}");
                assert!(kind.is_none() || why == VerifyError::WrongKind);
            }
        }
    }

    if let Ok(token_prefix) = TokenPrefix::new(&text) {
        assert!(token_prefix.as_str() == text && (1..=16).contains(&text.len()));
        let hash_key = HashKey::parse(NEW).unwrap();
        let issued =
            SecretFormat::new(&token_prefix, hash_key.clone()).issue(TokenKind::Admin, &SeededEntropy::new(2)).unwrap();
        assert!(SecretFormat::new(&token_prefix, hash_key).verify(issued.secret.expose(), TokenKinds::ADMIN).is_ok());
    }
    // An error repeats nothing of what may have been meant to be secret. What the error says of itself has no such word in it.
    const MARK: &str = "Zq7xW";
    let marked = format!("{text}{MARK}");
    let hides = |told: String| assert!(!told.contains(MARK), "{told}");
    if let Err(error) = HashKey::parse(&marked) {
        hides(format!("{error} {error:?}"));
    }
    if let Err(error) = HashKeyRing::parse(&marked) {
        hides(format!("{error} {error:?}"));
    }
    if let Err(error) = StrapiHashKey::new(&marked) {
        hides(format!("{error} {error:?}"));
    }
    if let Err(error) = EncryptionKeys::parse(&marked) {
        hides(format!("{error} {error:?}"));
    }
    // As it is, it may be a salt, or several: that is taken or refused.
    let _ = (HashKey::parse(&text), HashKeyRing::parse(&text));
    if let Ok(digest) = Digest::from_hex(&text) {
        assert_eq!(digest.to_hex(), text.to_ascii_lowercase());
    }
});
