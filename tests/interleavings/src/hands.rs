//! Task ownership for seeded mistakes: a task that should be detached ends with the task that started it.

use crate::made;
use shuttle::current::{TaskId, me};
use std::cell::RefCell;
use tokio::task::{AbortHandle, JoinError, JoinHandle};

std::thread_local! {
    static OWNED: RefCell<Vec<(TaskId, AbortHandle)>> = const { RefCell::new(Vec::new()) };
}

/// Spawns a task. With this mistake it runs the future in the caller's task instead, so that it ends with it.
pub(crate) async fn spawn<T: Send + 'static>(
    mistake: &str,
    work: impl Future<Output = T> + Send + 'static,
) -> Result<T, JoinError> {
    if made(mistake) { Ok(work.await) } else { tokio::spawn(work).await }
}

/// Makes the current task own this one: it is aborted when the [`Hands`] of the current task are dropped.
pub(crate) fn hold<T>(task: JoinHandle<T>) {
    OWNED.with_borrow_mut(|owned| owned.push((me(), task.abort_handle())));
}

/// The tasks that a task owns. Dropping this aborts them.
pub(crate) struct Hands(TaskId);

impl Hands {
    pub(crate) fn of_this_task() -> Self {
        Self(me())
    }
}

impl Drop for Hands {
    fn drop(&mut self) {
        for (owner, task) in OWNED.take() {
            if owner == self.0 {
                task.abort();
            }
        }
    }
}
