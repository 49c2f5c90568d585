//! Tags: what a change touches and what a cached principal rests on, as numbers.

use super::{Digest, OwnerId, RoleId};

/// What a change touches, or what a cached principal rests on. A change makes every principal stale that shares a tag.
///
/// Two different things may have one tag, with little chance; that costs a look-up and nothing else.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Tag(pub u64);

const CLASS: u32 = 62;

impl Tag {
    /// Everything.
    pub const ALL: Tag = Tag(0);

    /// The token with this digest, or its absence.
    pub fn token(digest: &Digest) -> Self {
        Self(3 << CLASS | digest.prefix() >> 2)
    }

    /// An owner: state and roles.
    pub fn owner(id: OwnerId) -> Self {
        Self(1 << CLASS | id.0.cast_unsigned())
    }

    /// A role's permissions.
    pub fn role(id: RoleId) -> Self {
        Self(2 << CLASS | id.0.cast_unsigned())
    }

    /// Its place among 2^16.
    pub(crate) fn slot(self) -> usize {
        (self.0.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 48) as usize
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

    /// A tag that two things share is a look-up too many; one that a thing shares with everything would be one for each change.
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
