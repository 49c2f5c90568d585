//! Reusable memory for password hashes.
//!
//! A hash needs 19 MiB. If each hash allocated its own memory, the allocator would keep the freed blocks, and the process would
//! grow to hundreds of megabytes. So a buffer is allocated when it is first needed, wiped after each use, and reused. There are
//! never more buffers than hashes that run at the same time.

use crate::sync::{Arc, Mutex, MutexGuard, PoisonError};
use argon2::Block;
use zeroize::Zeroize;

/// The buffers that are not in use, each full of zeros.
#[derive(Default)]
pub(super) struct HashMemory(Mutex<Vec<Vec<Block>>>);

/// A buffer for one hash. When it is dropped, it is wiped and returned for reuse.
pub(super) struct HashBuffer {
    blocks: Vec<Block>,
    pool: Arc<HashMemory>,
}

impl HashMemory {
    /// Returns a buffer of `blocks` KiB; `None` if the system has no memory for it.
    pub(super) fn buffer(self: &Arc<Self>, blocks: usize) -> Option<HashBuffer> {
        let kept = self.lock().pop();
        let mut buffer = HashBuffer { blocks: kept.unwrap_or_default(), pool: self.clone() };
        if buffer.blocks.len() < blocks {
            buffer.blocks.try_reserve_exact(blocks - buffer.blocks.len()).ok()?;
            buffer.blocks.resize(blocks, Block::new());
        }
        Some(buffer)
    }

    #[cfg(test)]
    pub(super) fn unused(&self) -> MutexGuard<'_, Vec<Vec<Block>>> {
        self.lock()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Vec<Block>>> {
        // Poisoning is ignored: no code panics while it changes the list.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HashBuffer {
    pub(super) fn blocks(&mut self) -> &mut [Block] {
        &mut self.blocks
    }
}

impl Drop for HashBuffer {
    fn drop(&mut self) {
        if self.blocks.is_empty() {
            return;
        }
        self.blocks.iter_mut().for_each(Zeroize::zeroize);
        self.pool.lock().push(std::mem::take(&mut self.blocks));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffer_is_wiped_and_reused() {
        let memory = Arc::new(HashMemory::default());
        let mut first = memory.buffer(8).unwrap();
        let at = first.blocks().as_ptr();
        first.blocks().iter_mut().for_each(|block| block.as_mut().fill(0x5ec2e7));
        let other = memory.buffer(8).unwrap();
        assert!(memory.lock().is_empty());
        drop(first);
        let mut again = memory.buffer(8).unwrap();
        assert_eq!(again.blocks().as_ptr(), at);
        assert!(again.blocks().iter().all(|block| block.as_ref().iter().all(|word| *word == 0)));
        drop((again, other));
        assert_eq!(memory.lock().len(), 2, "as many as were in use at the same time");
    }

    #[test]
    fn missing_memory_does_not_panic() {
        let memory = Arc::new(HashMemory::default());
        assert!(memory.buffer(usize::MAX / 1024).is_none() && memory.buffer(usize::MAX).is_none());
        assert!(memory.lock().is_empty());
    }
}
