//! The background tasks of an installation, which `shutdown` stops and waits for.

use crate::sync::{Mutex, MutexGuard, PoisonError, watch};
use tokio::sync::mpsc;

/// The running background tasks. Each selects on [`Stop`] wherever it may be interrupted, and there only.
pub(crate) struct Tasks {
    stop: watch::Sender<bool>,
    stopped: watch::Receiver<bool>,
    /// Each task holds a clone. `None` after `stop`: no task starts any more.
    running: Mutex<Option<mpsc::Sender<()>>>,
    ended: Mutex<Option<mpsc::Receiver<()>>>,
}

/// The stop signal of a task.
#[derive(Clone)]
pub(crate) struct Stop(watch::Receiver<bool>);

impl Default for Tasks {
    fn default() -> Self {
        let (stop, stopped) = watch::channel(false);
        let (running, ended) = mpsc::channel(1);
        Self { stop, stopped, running: Mutex::new(Some(running)), ended: Mutex::new(Some(ended)) }
    }
}

impl Tasks {
    /// Starts a task, unless `stop` was called.
    pub(crate) fn spawn<F>(&self, task: impl FnOnce(Stop) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let Some(running) = lock(&self.running).clone() else { return };
        let task = task(Stop(self.stopped.clone()));
        tokio::spawn(async move {
            task.await;
            drop(running);
        });
    }

    /// Returns the stop signal, for work that no task does.
    pub(crate) fn stop_signal(&self) -> Stop {
        Stop(self.stopped.clone())
    }

    /// Signals all tasks to stop, and waits until they have.
    pub(crate) async fn stop(&self) {
        drop(lock(&self.running).take());
        let _ = self.stop.send(true);
        let ended = lock(&self.ended).take();
        if let Some(mut ended) = ended {
            // No message is ever sent: the channel ends with the last sender.
            while ended.recv().await.is_some() {}
        }
    }
}

impl Stop {
    /// Returns whether the task has to stop.
    pub(crate) fn is_requested(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until the task has to stop: `stop` was called, or the [`Tasks`] were dropped.
    pub(crate) async fn requested(&mut self) {
        while !*self.0.borrow_and_update() {
            if self.0.changed().await.is_err() {
                return;
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // No code in here panics half-way through a change.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use tokio::sync::oneshot;

    #[tokio::test]
    async fn stop_waits_for_work_that_may_not_be_interrupted() {
        let tasks = Arc::new(Tasks::default());
        let (go, gone) = oneshot::channel::<()>();
        let (end, ended) = oneshot::channel();
        tasks.spawn(|mut stop| async move {
            stop.requested().await;
            gone.await.unwrap();
            end.send(()).unwrap();
        });
        let stopping = tokio::spawn({
            let tasks = tasks.clone();
            async move { tasks.stop().await }
        });
        tokio::task::yield_now().await;
        assert!(!stopping.is_finished());
        go.send(()).unwrap();
        stopping.await.unwrap();
        ended.await.unwrap();
        tasks.spawn(|_| async { panic!("no task starts after stop") });
        tasks.stop().await;
    }

    #[tokio::test]
    async fn a_task_stops_when_its_owner_is_dropped() {
        let tasks = Tasks::default();
        let (end, ended) = oneshot::channel();
        tasks.spawn(|mut stop| async move {
            stop.requested().await;
            end.send(()).unwrap();
        });
        drop(tasks);
        ended.await.unwrap();
    }
}
