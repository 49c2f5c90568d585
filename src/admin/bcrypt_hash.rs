//! Imported bcrypt hashes, as Strapi makes them. The next sign-in replaces them.

#[cfg(feature = "strapi")]
pub(super) use with::{is_valid, verify};
#[cfg(not(feature = "strapi"))]
pub(super) use without::{is_valid, verify};

/// A hash with Strapi's cost that no password has. A failed sign-in verifies it, so that its time tells nothing about the account.
pub(super) const DUMMY: &str = "$2b$10$.....................................................";

fn has_bcrypt_prefix(hash: &str) -> bool {
    ["$2a$", "$2b$", "$2y$"].iter().any(|version| hash.starts_with(version))
}

#[cfg(feature = "strapi")]
mod with {
    use super::has_bcrypt_prefix;
    use bcrypt::HashParts;

    /// The highest cost that is verified, which takes about a second. Strapi's is 10.
    const MAX_COST: u32 = 14;

    /// Returns whether this is a bcrypt hash whose cost a sign-in can bear.
    pub(in crate::admin) fn is_valid(hash: &str) -> bool {
        has_bcrypt_prefix(hash)
            && hash.parse::<HashParts>().is_ok_and(|parts| (4..=MAX_COST).contains(&parts.get_cost()))
    }

    /// Returns whether the hash is of this password. Only the first 72 bytes count, as in Strapi.
    pub(in crate::admin) fn verify(text: &str, hash: &str) -> bool {
        bcrypt::verify(text, hash).unwrap_or(false)
    }

    #[cfg(test)]
    mod tests {
        use super::super::DUMMY;
        use super::*;

        #[test]
        fn only_well_formed_hashes_of_bearable_cost_are_valid() {
            let kept = bcrypt::hash("Passw0rd!", 4).unwrap();
            for version in ["$2a$", "$2b$", "$2y$"] {
                let hash = kept.replace("$2b$", version);
                assert!(is_valid(&hash) && verify("Passw0rd!", &hash) && !verify("passw0rd!", &hash), "{hash}");
            }
            assert!(is_valid(DUMMY) && !verify("", DUMMY), "the dummy is a valid hash");
            for wrong in ["$2x$", "$3b$"].map(|version| kept.replace("$2b$", version)).into_iter().chain([
                String::new(),
                "$2b$10$abc".to_owned(),
                kept.replace("$04$", "$15$"),
                kept.replace("$04$", "$03$"),
                format!("{kept}a"),
                format!("$2b$10${}é", &kept[7..58]),
            ]) {
                assert!(!is_valid(&wrong), "{wrong}");
            }
        }
    }
}

#[cfg(not(feature = "strapi"))]
mod without {
    use super::has_bcrypt_prefix;
    use crate::sync::atomic::{AtomicBool, Ordering};

    static WARNED: AtomicBool = AtomicBool::new(false);

    /// Returns false, as bcrypt comes with the feature `strapi`.
    pub(in crate::admin) fn is_valid(hash: &str) -> bool {
        if has_bcrypt_prefix(hash) && !WARNED.swap(true, Ordering::Relaxed) {
            tracing::warn!("an imported password cannot be verified: build with the feature `strapi`");
        }
        false
    }

    pub(in crate::admin) fn verify(_text: &str, _hash: &str) -> bool {
        false
    }
}
