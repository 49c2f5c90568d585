//! The signal that there may be new commits, of this node or of another one.

use crate::sync::watch;

/// Wakes those who wait for commits. It is raised after each commit of this node, and when the log shows others. It is a hint: a
/// waiter also looks by itself from time to time.
pub(crate) struct CommitSignal(watch::Sender<()>);

impl Default for CommitSignal {
    fn default() -> Self {
        Self(watch::channel(()).0)
    }
}

impl CommitSignal {
    pub(crate) fn raise(&self) {
        self.0.send_replace(());
    }

    /// Returns a receiver that sees each signal from now on.
    pub(crate) fn subscribe(&self) -> watch::Receiver<()> {
        self.0.subscribe()
    }
}
