//! An installation with people, and helpers of its tests.

use keyward::admin::{
    Actor, AuditAction, AuditEvent, Invitation, Owner, Password, Registration, ServiceError, SignedIn,
};
use keyward::store::SqliteOptions;
use keyward::store::{EventQuery, Paging, WriteStore};
use keyward::testing::SecretFormat;
use keyward::testing::TokenKinds;
use keyward::testing::{HASH_KEY, ManualClock, SeededEntropy};
use keyward::token::{Secret, TokenPrefix};
use keyward::{Builder, HashKey, Keyward, MemoryStore, NewOwner, NewRole, OwnerId, Permission, RoleId, SqliteStore};
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

pub(crate) const PASSWORD: &str = "Passw0rd!";

pub(crate) struct Setup {
    pub(crate) keyward: Keyward,
    pub(crate) clock: Arc<ManualClock>,
}

pub(crate) fn in_memory() -> Setup {
    let clock = Arc::new(ManualClock::default());
    Setup::on(MemoryStore::with_clock(clock.clone()), clock, |b| b)
}

pub(crate) async fn in_file(dir: &Path) -> Setup {
    let clock = Arc::new(ManualClock::default());
    let options = SqliteOptions::default().clock(clock.clone());
    Setup::on(SqliteStore::open_with(dir.join("keyward.db"), options).await.unwrap(), clock, |b| {
        // The only handle, with a clock that jumps: without this option each jump would end the lease.
        b.store_is_exclusive()
    })
}

#[cfg(feature = "postgres")]
pub(crate) async fn in_postgres() -> Option<Setup> {
    let clock = Arc::new(ManualClock::default());
    let store = crate::connect_store_with(clock.clone()).await?;
    Some(Setup::on(store, clock, |b| b.store_is_exclusive()))
}

pub(crate) fn password(text: &str) -> Password {
    Password::new(text)
}

pub(crate) fn ip(n: u8) -> Option<IpAddr> {
    Some(IpAddr::from([192, 0, 2, n]))
}

/// Returns the paths of the invalid fields.
pub(crate) fn paths<T>(answer: Result<T, ServiceError>) -> Vec<String> {
    match answer {
        Err(ServiceError::Invalid(problems) | ServiceError::Exceeds(problems)) => {
            assert!(problems.iter().all(|p| !p.message.is_empty()));
            problems.into_iter().map(|p| p.path.to_string()).collect()
        }
        Err(other) => panic!("no field is named: {other:?}"),
        Ok(_) => panic!("it should be refused"),
    }
}

/// Asserts that a call fails with this error.
macro_rules! assert_rejected {
    ($call:expr, $error:pat) => {
        match $call {
            Err($error) => {}
            other => panic!("not rejected as {}: {other:?}", stringify!($error)),
        }
    };
}
pub(crate) use assert_rejected;

impl Setup {
    pub(crate) fn on(store: impl WriteStore, clock: Arc<ManualClock>, with: impl FnOnce(Builder) -> Builder) -> Self {
        let builder = Keyward::builder(store).hash_key(HashKey::parse(HASH_KEY).unwrap()).clock(clock.clone());
        let builder = builder.entropy(Arc::new(SeededEntropy::new(7))).admin("/admin").content("/api");
        Self { keyward: with(builder).build().unwrap(), clock }
    }

    pub(crate) async fn role(&self, name: &str, permissions: impl IntoIterator<Item = Permission>) -> RoleId {
        self.keyward.roles().create(NewRole::new(name).permissions(permissions)).await.unwrap().id
    }

    /// Creates an active person who signs in with [`PASSWORD`].
    pub(crate) async fn person(&self, email: &str, roles: &[RoleId]) -> OwnerId {
        let new = NewOwner::new(email).roles(roles.iter().copied());
        let id = self.keyward.owners().create(new).await.unwrap().id;
        self.keyward.owners().set_password(id, password(PASSWORD)).await.unwrap();
        id
    }

    pub(crate) async fn super_admin(&self) -> OwnerId {
        self.person("root@example.test", &[RoleId::SUPER_ADMIN]).await
    }

    pub(crate) async fn try_sign_in(
        &self,
        email: &str,
        typed: &str,
        from: Option<IpAddr>,
    ) -> Result<SignedIn, ServiceError> {
        self.keyward.sessions().acting_as(Actor::Visitor).from_address(from).sign_in(email, &password(typed)).await
    }

    pub(crate) async fn sign_in(&self, email: &str) -> SignedIn {
        self.try_sign_in(email, PASSWORD, None).await.unwrap()
    }

    /// Returns whether the store finds this secret.
    pub(crate) async fn lives(&self, secret: &Secret) -> bool {
        let format = SecretFormat::new(&TokenPrefix::default(), HashKey::parse(HASH_KEY).unwrap());
        let digest = format.verify(secret.expose(), TokenKinds::of(&keyward::token::TokenKind::ALL)).unwrap().digest;
        self.keyward.store().resolve(&digest).await.unwrap().record.is_some()
    }

    pub(crate) async fn owner(&self, id: OwnerId) -> Owner {
        self.keyward.owners().read(id).await.unwrap()
    }

    /// Returns every event, oldest first.
    pub(crate) async fn events(&self) -> Vec<AuditEvent> {
        let all = EventQuery::all(Paging { page: 1, page_size: 1000 });
        let page = self.keyward.audit().list(&all).await.unwrap();
        page.items.into_iter().rev().map(|(_, event)| event).collect()
    }

    /// Returns the result of a call and the events that it wrote.
    pub(crate) async fn during<T>(&self, call: impl Future<Output = T>) -> (T, Vec<AuditEvent>) {
        let before = self.events().await.len();
        let answer = call.await;
        (answer, self.events().await.split_off(before))
    }

    /// Returns the result of a call and asserts the actions of its events.
    pub(crate) async fn does<T>(&self, what: &[AuditAction], call: impl Future<Output = Result<T, ServiceError>>) -> T {
        let (answer, events) = self.during(call).await;
        assert_eq!(events.iter().map(|e| e.what).collect::<Vec<_>>(), what);
        answer.unwrap()
    }

    pub(crate) async fn invite(&self, email: &str, roles: &[RoleId]) -> Invitation {
        self.keyward.owners().invite(NewOwner::new(email).roles(roles.iter().copied())).await.unwrap()
    }

    pub(crate) async fn accept(&self, secret: &Secret) -> Result<SignedIn, ServiceError> {
        self.keyward.sessions().acting_as(Actor::Visitor).register(registration(secret)).await
    }
}

pub(crate) fn registration(secret: &Secret) -> Registration {
    Registration {
        invitation: secret.expose().to_owned(),
        firstname: "New".into(),
        lastname: "Comer".into(),
        username: None,
        password: password(PASSWORD),
    }
}
