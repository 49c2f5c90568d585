//! HMAC-SHA-256 (RFC 2104), for the messages that every request brings: so short that message and padding are one block.
//!
//! The key's two blocks are compressed beforehand, so a hash is two compressions and nothing else: a third less time than
//! copying and finishing a general state, which longer messages still do.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use sha2::block_api::compress256;

/// A key, ready to hash.
#[derive(Clone)]
pub(super) struct Keyed {
    inner: [u32; 8],
    outer: [u32; 8],
    general: Hmac<Sha256>,
}

const BLOCK: usize = 64;
/// A block holds this and its padding: one byte, and the length in 8.
const SHORT: usize = BLOCK - 9;

impl Keyed {
    pub(super) fn new(key: &[u8]) -> Self {
        #[expect(clippy::expect_used, reason = "HMAC takes keys of every length, RFC 2104 section 2")]
        let general = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes any key");
        let mut padded = [0; BLOCK];
        match padded.get_mut(..key.len()) {
            Some(start) => start.copy_from_slice(key),
            None => padded[..32].copy_from_slice(&<Sha256 as sha2::Digest>::digest(key)),
        }
        let state = |pad: u8| {
            let mut state = INITIAL;
            compress256(&mut state, &[padded.map(|b| b ^ pad)]);
            state
        };
        Self { inner: state(0x36), outer: state(0x5c), general }
    }

    pub(super) fn hash(&self, message: &[u8]) -> [u8; 32] {
        if message.len() > SHORT {
            return self.general.clone().chain_update(message).finalize().into_bytes().into();
        }
        finish(self.outer, &finish(self.inner, message))
    }
}

/// The hash of a short message, after a first block that has led to `state`.
fn finish(mut state: [u32; 8], message: &[u8]) -> [u8; 32] {
    let mut block = [0; BLOCK];
    block[..message.len()].copy_from_slice(message);
    block[message.len()] = 0x80;
    let bits = 8 * (BLOCK + message.len()) as u64;
    block[BLOCK - 8..].copy_from_slice(&bits.to_be_bytes());
    compress256(&mut state, &[block]);
    let mut hash = [0; 32];
    for (bytes, word) in hash.chunks_exact_mut(4).zip(state) {
        bytes.copy_from_slice(&word.to_be_bytes());
    }
    hash
}

/// FIPS 180-4, section 5.3.3.
const INITIAL: [u32; 8] =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn hmac(key: &[u8], message: &[u8]) -> [u8; 32] {
        Hmac::<Sha256>::new_from_slice(key).unwrap().chain_update(message).finalize().into_bytes().into()
    }

    proptest! {
        #[test]
        fn it_is_hmac(key in prop::collection::vec(any::<u8>(), 0..200), text in prop::collection::vec(any::<u8>(), 0..150)) {
            prop_assert_eq!(Keyed::new(&key).hash(&text), hmac(&key, &text));
        }
    }

    #[test]
    fn the_lengths_around_a_block_too() {
        for length in 0..=2 * BLOCK {
            let (key, message) = (vec![7; length], vec![9; length]);
            assert_eq!(Keyed::new(&key).hash(&message), hmac(&key, &message), "{length}");
        }
    }
}
