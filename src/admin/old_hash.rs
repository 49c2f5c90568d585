//! Hashes that came with an import: of bcrypt, as the reference makes them. The next sign-in replaces them.

#[cfg(feature = "strapi")]
pub(super) use with::{is_one, verify};
#[cfg(not(feature = "strapi"))]
pub(super) use without::{is_one, verify};

/// A hash of the reference's cost that no password has: verified where there is another one, or none.
pub(super) const NOBODYS: &str = "$2b$10$.....................................................";

fn looks_like_one(hash: &str) -> bool {
    ["$2a$", "$2b$", "$2y$"].iter().any(|version| hash.starts_with(version))
}

#[cfg(feature = "strapi")]
mod with {
    use super::looks_like_one;
    use bcrypt::HashParts;

    /// Takes about a second. The reference's is 10.
    const DEAREST: u32 = 14;

    /// Whether this is one, and no dearer than a sign-in can be.
    pub(in crate::admin) fn is_one(hash: &str) -> bool {
        looks_like_one(hash) && hash.parse::<HashParts>().is_ok_and(|parts| (4..=DEAREST).contains(&parts.get_cost()))
    }

    /// Whether it is this password. Of a long one only the first 72 bytes count, as for the reference.
    pub(in crate::admin) fn verify(text: &str, hash: &str) -> bool {
        bcrypt::verify(text, hash).unwrap_or(false)
    }

    #[cfg(test)]
    mod tests {
        use super::super::NOBODYS;
        use super::*;

        #[test]
        fn what_is_verified_is_what_is_well_formed_and_not_too_dear() {
            let kept = bcrypt::hash("Passw0rd!", 4).unwrap();
            for version in ["$2a$", "$2b$", "$2y$"] {
                let hash = kept.replace("$2b$", version);
                assert!(is_one(&hash) && verify("Passw0rd!", &hash) && !verify("passw0rd!", &hash), "{hash}");
            }
            assert!(is_one(NOBODYS) && !verify("", NOBODYS), "nobody's is a real one");
            for wrong in ["$2x$", "$3b$"].map(|version| kept.replace("$2b$", version)).into_iter().chain([
                String::new(),
                "$2b$10$abc".to_owned(),
                kept.replace("$04$", "$15$"),
                kept.replace("$04$", "$03$"),
                format!("{kept}a"),
                format!("$2b$10${}é", &kept[7..58]),
            ]) {
                assert!(!is_one(&wrong), "{wrong}");
            }
        }
    }
}

#[cfg(not(feature = "strapi"))]
mod without {
    use super::looks_like_one;
    use std::sync::Once;

    static SAID: Once = Once::new();

    /// None is, without the feature that brings bcrypt.
    pub(in crate::admin) fn is_one(hash: &str) -> bool {
        if looks_like_one(hash) {
            SAID.call_once(|| {
                tracing::warn!(
                    "a password came with an import and cannot be verified: build with the feature `strapi`"
                );
            });
        }
        false
    }

    pub(in crate::admin) fn verify(_text: &str, _hash: &str) -> bool {
        false
    }
}
