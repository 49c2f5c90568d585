//! Tags: numbers for what a change modifies and a cached principal depends on.

use super::{Digest, OwnerId, RoleId};

/// A record that a change modifies, or that a cached principal depends on. A change makes every principal with one of
/// its tags stale.
///
/// Two records may share a tag by chance; that costs a look-up and nothing else.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Tag(pub u64);

const CLASS: u32 = 62;

impl Tag {
    /// Everything.
    pub const ALL: Tag = Tag(0);

    /// Returns the tag of the token with this digest, or of its absence.
    pub fn token(digest: &Digest) -> Self {
        Self(3 << CLASS | digest.prefix() >> 2)
    }

    /// Returns the tag of an owner's state and roles.
    pub fn owner(id: OwnerId) -> Self {
        Self(1 << CLASS | id.0.cast_unsigned())
    }

    /// Returns the tag of a role's permissions.
    pub fn role(id: RoleId) -> Self {
        Self(2 << CLASS | id.0.cast_unsigned())
    }

    /// Returns the slot among 2^`bits`. Two tags in one slot only cost a look-up.
    pub(crate) fn slot(self, bits: u32) -> usize {
        (self.0.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (64 - bits)) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(prefix: u64) -> Tag {
        let mut bytes = [0; 27];
        bytes[..8].copy_from_slice(&prefix.to_be_bytes());
        Tag::token(&Digest::Native(bytes))
    }

    /// A tag that two records share costs a look-up; one shared with everything would cost one for each change.
    #[test]
    fn tags_of_different_things_differ() {
        let (first, last) = (1, i64::MAX >> 2);
        let mut tags = vec![Tag::ALL, Tag::owner(OwnerId(first)), Tag::owner(OwnerId(last))];
        tags.extend([Tag::role(RoleId(first)), Tag::role(RoleId(last)), token(0), token(4), token(u64::MAX)]);
        tags.extend((2..64).map(|bit| token(u64::MAX ^ (1 << bit))));
        for (i, tag) in tags.iter().enumerate() {
            assert!(!tags[i + 1..].contains(tag), "{tag:?}");
        }
    }
}
