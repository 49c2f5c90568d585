//! For mistakes about whose a task is: what runs in nobody's hands is ended when somebody hangs up.

use crate::made;
use shuttle::current::{TaskId, me};
use std::cell::RefCell;
use tokio::task::{AbortHandle, JoinError, JoinHandle};

std::thread_local! {
    static HELD: RefCell<Vec<(TaskId, AbortHandle)>> = const { RefCell::new(Vec::new()) };
}

/// `tokio::spawn`, or with this mistake a future that does nothing unless its caller waits for it.
pub(crate) async fn spawn<T: Send + 'static>(
    mistake: &str,
    work: impl Future<Output = T> + Send + 'static,
) -> Result<T, JoinError> {
    if made(mistake) { Ok(work.await) } else { tokio::spawn(work).await }
}

/// The task lives as long as the hands of the present one.
pub(crate) fn hold<T>(task: JoinHandle<T>) {
    HELD.with_borrow_mut(|held| held.push((me(), task.abort_handle())));
}

/// Whatever the present task holds is ended with this.
pub(crate) struct Hands(TaskId);

impl Hands {
    pub(crate) fn of_this_task() -> Self {
        Self(me())
    }
}

impl Drop for Hands {
    fn drop(&mut self) {
        let held = HELD.take();
        for (task, held) in held {
            if task == self.0 {
                held.abort();
            }
        }
    }
}
