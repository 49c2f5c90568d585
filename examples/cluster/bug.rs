//! Stores that make a mistake, to show that the checker notices.

use crate::options::Bug;
use async_trait::async_trait;
use keyward::store::{
    Applied, ChangeLog, Following, Poll, Snapshot, Store, StoreError, Transaction, Use, View, WriteStore,
};
use keyward::{Digest, PostgresStore, Timestamp};

pub(crate) struct Flawed {
    pub(crate) inner: PostgresStore,
    pub(crate) bug: Option<Bug>,
}

#[async_trait]
impl Store for Flawed {
    async fn resolve(&self, digest: &Digest) -> Result<Snapshot, StoreError> {
        let mut snapshot = self.inner.resolve(digest).await?;
        if matches!(self.bug, Some(Bug::Overstated)) {
            snapshot = Snapshot { seq: u64::from(u32::MAX), op_id: None, ..snapshot };
        }
        Ok(snapshot)
    }

    async fn note_uses(&self, uses: &[Use]) -> Result<(), StoreError> {
        self.inner.note_uses(uses).await
    }

    fn following(&self) -> Following {
        match (self.inner.following(), self.bug) {
            (Following::Log(log), Some(Bug::Deaf)) => Following::Log(Box::new(Deaf(log))),
            (following, _) => following,
        }
    }
}

#[async_trait]
impl WriteStore for Flawed {
    async fn begin(&self) -> Result<Box<dyn Transaction>, StoreError> {
        self.inner.begin().await
    }

    async fn view(&self) -> Result<Box<dyn View>, StoreError> {
        self.inner.view().await
    }
}

/// Says after every poll but the first that nothing was changed.
#[derive(Debug)]
struct Deaf(Box<dyn ChangeLog>);

#[async_trait]
impl ChangeLog for Deaf {
    async fn poll(&mut self, applied: Option<&Applied>) -> Result<Poll, StoreError> {
        let poll = self.0.poll(applied).await?;
        // The head is told, or what look-ups see would contradict it and begin an era.
        let changes = poll.changes.into_iter().map(|change| match applied {
            Some(_) => keyward::store::Change { tags: Vec::new(), ..change },
            None => change,
        });
        Ok(Poll { changes: changes.collect(), ..poll })
    }

    async fn hint(&mut self) {
        self.0.hint().await;
    }

    async fn forget(&mut self, before: Timestamp) -> Result<u64, StoreError> {
        self.0.forget(before).await
    }
}
