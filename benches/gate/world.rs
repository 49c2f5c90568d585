//! An installation with many tokens, and requests as a server delivers them.

use async_trait::async_trait;
use axum::extract::ConnectInfo;
use bytes::BytesMut;
use http::header::{ACCEPT, AUTHORIZATION, HOST, USER_AGENT};
use http::{HeaderValue, Request, Uri};
use keyward::authz::{Ceiling, ConditionClause, Fields, Scope};
use keyward::guard::Limits;
use keyward::store::{Snapshot, Transaction, Use, View};
use keyward::store::{Store, StoreError, WriteStore};
use keyward::token::{LastUse, TokenAuthority};
use keyward::{Builder, Grant, HashKey, Keyward, MemoryStore, NewAdminToken, NewOwner, NewRole, Permission};
use std::net::SocketAddr;

pub(crate) const PATH: &str = "/admin/content-manager/articles";
pub(crate) const ACTION: &str = "admin::webhooks.read";

const HASH_KEY: &str = "q8Zr2Lk5Xv9Bn3Wm7Tc1Yh6Pd4Js0GfA";
const OWNERS: usize = 100;
const ROLES: usize = 10;

/// A memory store whose records share no names, as with a store that reads rows.
#[derive(Clone, Default)]
pub(crate) struct Rows(MemoryStore);

pub(crate) fn keyward(store: Rows, tokens: usize) -> Keyward {
    builder(store, tokens).build().unwrap()
}

pub(crate) fn builder(store: Rows, tokens: usize) -> Builder {
    let mut limits = Limits::default();
    limits.cache_bytes = tokens as u64 * 2048;
    Keyward::builder(store)
        .hash_key(HashKey::parse(HASH_KEY).unwrap())
        .limits(limits)
        .store_is_exclusive()
        .admin("/admin")
}

/// Issues this many tokens with three grants each, to a hundred owners of ten roles.
pub(crate) async fn issue(keyward: &Keyward, tokens: usize) -> Vec<String> {
    let mut roles = Vec::new();
    for i in 0..ROLES {
        let mut permissions: Vec<Permission> = grants().iter().map(permission).collect();
        permissions.extend((0..5).map(|j| Permission::new(format!("admin::other-{j}.read"))));
        let role = NewRole::new(format!("role {i}")).permissions(permissions);
        roles.push(keyward.roles().create(role).await.unwrap().id);
    }
    let mut owners = Vec::new();
    for i in 0..OWNERS {
        let new = NewOwner::new(format!("owner-{i}@example.test")).roles([roles[i % ROLES]]);
        owners.push(keyward.owners().create(new).await.unwrap().id);
    }
    let mut secrets = Vec::with_capacity(tokens);
    for i in 0..tokens {
        let new = NewAdminToken::new(format!("token {i}"), owners[i % OWNERS]).grants(grants());
        secrets.push(keyward.tokens().issue_admin(new).await.unwrap().secret.expose().to_owned());
    }
    secrets
}

fn grants() -> Vec<Grant> {
    vec![
        Grant::new("plugin::content-manager.explorer.read")
            .on("api::article.article")
            .fields(Fields::only(["title", "body", "slug"]).unwrap()),
        Grant::new("plugin::content-manager.explorer.update")
            .on("api::article.article")
            .fields(Fields::only(["title", "body"]).unwrap()),
        Grant::new(ACTION),
    ]
}

fn permission(grant: &Grant) -> Permission {
    let (action, resource, fields) = (grant.scope.action.clone(), grant.scope.resource.clone(), Fields::All);
    Permission { scope: Scope { action, resource, fields }, when: ConditionClause::Always }
}

/// Returns a request with the usual headers, as slices of one buffer as in a server, and with the extension that a
/// server adds.
pub(crate) fn request<B: Default>(credential: Option<&str>) -> Request<B> {
    let mut head = BytesMut::with_capacity(512);
    let mut read = |text: &[&str]| {
        text.iter().for_each(|t| head.extend_from_slice(t.as_bytes()));
        head.split().freeze()
    };
    let mut request = Request::new(B::default());
    *request.uri_mut() = Uri::from_maybe_shared(read(&[PATH])).unwrap();
    let value = |bytes| HeaderValue::from_maybe_shared(bytes).unwrap();
    let headers = request.headers_mut();
    headers.insert(HOST, value(read(&["api.example.test"])));
    headers.insert(USER_AGENT, value(read(&["keyward-bench/1.0"])));
    headers.insert(ACCEPT, value(read(&["application/json"])));
    if let Some(secret) = credential {
        headers.insert(AUTHORIZATION, value(read(&["Bearer ", secret])));
    }
    request.extensions_mut().insert(ConnectInfo(SocketAddr::from(([192, 0, 2, 7], 40_000))));
    request
}

/// Returns a function that builds requests with these credentials in turn.
pub(crate) fn cycle<B: Default>(credentials: Vec<String>) -> impl FnMut() -> Request<B> {
    let mut next = 0;
    move || {
        let credential = &credentials[next];
        next = (next + 1) % credentials.len();
        request(Some(credential))
    }
}

#[async_trait]
impl Store for Rows {
    async fn resolve(&self, digest: &keyward::store::Digest) -> Result<Snapshot, StoreError> {
        let mut snapshot = self.0.resolve(digest).await?;
        if let Some(record) = &mut snapshot.record {
            // The token was used just now, so that no use is noted, which would add to the bytes of a principal.
            record.token.secret_used = Some(LastUse { at: record.now, address: None });
            if let TokenAuthority::Admin { grants, .. } = &mut record.token.authority {
                for grant in grants {
                    *grant = Grant {
                        scope: Scope {
                            action: grant.scope.action.as_str().into(),
                            resource: grant.scope.resource.as_ref().map(|resource| resource.as_str().into()),
                            fields: copy(&grant.scope.fields),
                        },
                        chosen: grant.chosen.clone(),
                        may_delegate: grant.may_delegate,
                    };
                }
            }
            if let Some((_, Ceiling::Of(permissions))) = &mut record.owner {
                for permission in permissions {
                    permission.scope.action = permission.scope.action.as_str().into();
                    permission.scope.fields = copy(&permission.scope.fields);
                }
            }
        }
        Ok(snapshot)
    }

    fn following(&self) -> keyward::store::Following {
        keyward::store::Following::Blind
    }

    async fn note_uses(&self, uses: &[Use]) -> Result<(), StoreError> {
        self.0.note_uses(uses).await
    }

    async fn key_checks(&self) -> Result<Option<Vec<keyward::store::KeyCheck>>, StoreError> {
        Ok(None)
    }

    async fn close(&self) {}
}

fn copy(fields: &Fields) -> Fields {
    match fields {
        Fields::All => Fields::All,
        Fields::Only(set) => Fields::only(set.as_slice().iter().map(|f| f.as_str())).unwrap(),
    }
}

#[async_trait]
impl WriteStore for Rows {
    async fn begin(&self) -> Result<Box<dyn Transaction>, StoreError> {
        self.0.begin().await
    }

    async fn view(&self) -> Result<Box<dyn View>, StoreError> {
        self.0.view().await
    }

    async fn sign_in_candidate(
        &self,
        email: &str,
    ) -> Result<Option<(keyward::OwnerId, keyward::store::PasswordHash)>, StoreError> {
        self.0.sign_in_candidate(email).await
    }
}
