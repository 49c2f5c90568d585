//! Verifies arbitrary texts as secrets: only issued ones are genuine. Also parses them as hash keys, prefixes and
//! encryption keys, which accept or reject each text without a panic.
//!
//! `$A`, `$C`, `$S` and `$O` are replaced by the secrets of an admin token, a content token, a session, and an admin
//! token that was issued with an old hash key.

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

struct Issuer {
    format: SecretFormat,
    secrets: Vec<(&'static str, Option<TokenKind>, String)>,
}

static ISSUER: LazyLock<Issuer> = LazyLock::new(|| {
    let (new, old) = (HashKey::parse(NEW).unwrap(), HashKey::parse(OLD).unwrap());
    let entropy = SeededEntropy::new(1);
    let former = SecretFormat::new(&TokenPrefix::default(), old.clone());
    let format = SecretFormat::new(&TokenPrefix::default(), HashKeyRing::new(new).and_old(old).unwrap())
        .with_strapi(StrapiHashKey::new("saltysaltysaltysalty").unwrap());
    let issue = |f: &SecretFormat, kind| f.issue(kind, &entropy).unwrap().secret.expose().to_owned();
    let secrets = vec![
        ("$A", Some(TokenKind::Admin), issue(&format, TokenKind::Admin)),
        ("$C", Some(TokenKind::Content), issue(&format, TokenKind::Content)),
        ("$S", Some(TokenKind::Session), issue(&format, TokenKind::Session)),
        ("$O", Some(TokenKind::Admin), issue(&former, TokenKind::Admin)),
    ];
    Issuer { format, secrets }
});

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Issuer { format, secrets } = &*ISSUER;
    let text = secrets.iter().fold(text.to_owned(), |text, (placeholder, _, secret)| text.replace(placeholder, secret));
    let kind = secrets.iter().find(|(_, _, secret)| *secret == text).and_then(|(_, kind, _)| *kind);
    let is_strapi = text.len() == 256 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    for accepted in TokenKind::ALL {
        match format.verify(&text, TokenKinds::of(&[accepted])) {
            Ok(credential) if is_strapi => {
                assert_eq!(credential.kind, None);
                assert!(matches!(credential.digest, Digest::Strapi(_)));
            }
            Ok(credential) => {
                assert_eq!((credential.kind, kind), (Some(accepted), Some(accepted)), "{text:?}");
                assert_eq!(Digest::from_hex(&credential.digest.to_hex()).ok(), Some(credential.digest));
            }
            Err(error) => {
                assert!(!is_strapi && kind != Some(accepted), "{text:?}");
                assert!(kind.is_none() || error == VerifyError::WrongKind);
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
    // An error must not contain the rejected text, which may be a secret. No message contains this mark by itself.
    const MARK: &str = "Zq7xW";
    let marked = format!("{text}{MARK}");
    let assert_hidden = |message: String| assert!(!message.contains(MARK), "{message}");
    if let Err(error) = HashKey::parse(&marked) {
        assert_hidden(format!("{error} {error:?}"));
    }
    if let Err(error) = HashKeyRing::parse(&marked) {
        assert_hidden(format!("{error} {error:?}"));
    }
    if let Err(error) = StrapiHashKey::new(&marked) {
        assert_hidden(format!("{error} {error:?}"));
    }
    if let Err(error) = EncryptionKeys::parse(&marked) {
        assert_hidden(format!("{error} {error:?}"));
    }
    // The text itself may be a valid hash key or ring.
    let _ = (HashKey::parse(&text), HashKeyRing::parse(&text));
    if let Ok(digest) = Digest::from_hex(&text) {
        assert_eq!(digest.to_hex(), text.to_ascii_lowercase());
    }
});
