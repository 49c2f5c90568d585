//! Any text as a secret: none is genuine but those that were issued. And any text as a salt, a brand or a key: it is taken or refused.
//!
//! `$A`, `$C`, `$S`, `$I` and `$O` stand for an admin token's secret, a content token's, a session's, an invitation's, and one that was
//! issued under an old salt.

#![no_main]

use keyward::testing::SeededEntropy;
use keyward::{Brand, Digest, EncryptionKeys, Kind, KindSet, ReferenceSalt, Salt, SaltRing, SecretFormat, Unverified};
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;

const NEW: &str = "Vd3kQ9sLx0Zt7BpY2mHc8RfJ5wNgA1uE";
const OLD: &str = "old:4bX0qPz81hVnR7sYw2Lm5Kc9Tj3Ga6Fd";

struct Known {
    format: SecretFormat,
    secrets: Vec<(&'static str, Option<Kind>, String)>,
}

static KNOWN: LazyLock<Known> = LazyLock::new(|| {
    let (new, old) = (Salt::parse(NEW).unwrap(), Salt::parse(OLD).unwrap());
    let entropy = SeededEntropy::new(1);
    let former = SecretFormat::new(&Brand::default(), old.clone());
    let format = SecretFormat::new(&Brand::default(), SaltRing::new(new).and_old(old).unwrap())
        .with_reference(ReferenceSalt::new("saltysaltysaltysalty").unwrap());
    let issue = |f: &SecretFormat, kind| f.issue(kind, &entropy).unwrap().secret.expose().to_owned();
    let secrets = vec![
        ("$A", Some(Kind::Admin), issue(&format, Kind::Admin)),
        ("$C", Some(Kind::Content), issue(&format, Kind::Content)),
        ("$S", Some(Kind::Session), issue(&format, Kind::Session)),
        ("$O", Some(Kind::Admin), issue(&former, Kind::Admin)),
    ];
    Known { format, secrets }
});

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Known { format, secrets } = &*KNOWN;
    let text = secrets.iter().fold(text.to_owned(), |text, (sign, _, secret)| text.replace(sign, secret));
    let kind = secrets.iter().find(|(_, _, secret)| *secret == text).and_then(|(_, kind, _)| *kind);
    let of_the_reference = text.len() == 256 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    for asked in Kind::ALL {
        match format.verify(&text, KindSet::of(&[asked])) {
            Ok(credential) if of_the_reference => {
                assert_eq!(credential.kind, None);
                assert!(matches!(credential.digest, Digest::Reference(_)));
            }
            Ok(credential) => {
                assert_eq!((credential.kind, kind), (Some(asked), Some(asked)), "{text:?}");
                assert_eq!(Digest::from_hex(&credential.digest.to_hex()).ok(), Some(credential.digest));
            }
            Err(why) => {
                assert!(!of_the_reference && kind != Some(asked), "{text:?}");
                assert!(kind.is_none() || why == Unverified::WrongKind);
            }
        }
    }

    if let Ok(brand) = Brand::new(&text) {
        assert!(brand.as_str() == text && (1..=16).contains(&text.len()));
        let salt = Salt::parse(NEW).unwrap();
        let issued = SecretFormat::new(&brand, salt.clone()).issue(Kind::Admin, &SeededEntropy::new(2)).unwrap();
        assert!(SecretFormat::new(&brand, salt).verify(issued.secret.expose(), KindSet::ADMIN).is_ok());
    }
    // An error repeats nothing of what may have been meant to be secret. What the error says of itself has no such word in it.
    const MARK: &str = "Zq7xW";
    let marked = format!("{text}{MARK}");
    let hides = |told: String| assert!(!told.contains(MARK), "{told}");
    if let Err(error) = Salt::parse(&marked) {
        hides(format!("{error} {error:?}"));
    }
    if let Err(error) = SaltRing::parse(&marked) {
        hides(format!("{error} {error:?}"));
    }
    if let Err(error) = ReferenceSalt::new(&marked) {
        hides(format!("{error} {error:?}"));
    }
    if let Err(error) = EncryptionKeys::parse(&marked) {
        hides(format!("{error} {error:?}"));
    }
    // As it is, it may be a salt, or several: that is taken or refused.
    let _ = (Salt::parse(&text), SaltRing::parse(&text));
    if let Ok(digest) = Digest::from_hex(&text) {
        assert_eq!(digest.to_hex(), text.to_ascii_lowercase());
    }
});
