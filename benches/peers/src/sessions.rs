//! axum-login with the memory store of tower-sessions: people who are signed in by a cookie.
//!
//! Included: the session is read from its store and the user from the backend, the session's hash is compared with the
//! user's, and the backend checks the route's permission (`permission_required!`). Not included: keys for machines, and
//! keys with fewer permissions than the user. Cheaper than documented: the user is shared, not copied; `has_perm` uses
//! the set of the role instead of building one for each request; the hash has 32 bytes, while a password hash has some
//! 100.

use crate::OTHER_ACTION;
use crate::by_hand::ACTIONS;
use crate::harness::call;
use crate::world::{self, ACTION};
use axum::Router;
use axum::body::Body;
use axum::routing::post;
use axum_login::{AuthManagerLayer, AuthManagerLayerBuilder, AuthSession, AuthUser, AuthnBackend, AuthzBackend};
use axum_login::{UserId, permission_required};
use http::header::{COOKIE, SET_COOKIE};
use http::{HeaderValue, Request, StatusCode};
use std::collections::{HashMap, HashSet};
use std::convert::Infallible;
use std::sync::Arc;
use tower_sessions::{MemoryStore, SessionManagerLayer};

const USERS: usize = 100;
const ROLES: usize = 10;

#[derive(Clone, Debug)]
struct User(Arc<Account>);

#[derive(Debug)]
struct Account {
    id: i64,
    hash: [u8; 32],
    role: usize,
}

#[derive(Clone)]
struct People(Arc<Tables>);

struct Tables {
    users: HashMap<i64, User>,
    roles: Vec<HashSet<&'static str>>,
}

impl AuthUser for User {
    type Id = i64;

    fn id(&self) -> i64 {
        self.0.id
    }

    fn session_auth_hash(&self) -> &[u8] {
        &self.0.hash
    }
}

impl AuthnBackend for People {
    type User = User;
    type Credentials = i64;
    type Error = Infallible;

    async fn authenticate(&self, id: i64) -> Result<Option<User>, Infallible> {
        self.get_user(&id).await
    }

    async fn get_user(&self, id: &UserId<Self>) -> Result<Option<User>, Infallible> {
        Ok(self.0.users.get(id).cloned())
    }
}

impl AuthzBackend for People {
    type Permission = &'static str;

    async fn has_perm(&self, user: &User, permission: &'static str) -> Result<bool, Infallible> {
        Ok(self.0.roles[user.0.role].contains(permission))
    }
}

pub(crate) struct Sessions {
    layer: AuthManagerLayer<People, MemoryStore>,
    cookies: Vec<HeaderValue>,
}

impl Sessions {
    /// Signs in this number of sessions of a hundred people with ten roles.
    pub(crate) fn new(n: usize) -> Self {
        let user = |id| User(Arc::new(Account { id, hash: [id as u8; 32], role: id as usize % ROLES }));
        let users = (0..USERS as i64).map(|id| (id, user(id))).collect();
        let roles = vec![HashSet::from(ACTIONS); ROLES];
        let people = People(Arc::new(Tables { users, roles }));
        let layer = AuthManagerLayerBuilder::new(people, SessionManagerLayer::new(MemoryStore::default())).build();
        let mut login = Router::new().route("/login", post(start_session)).layer(layer.clone()).with_state(());
        let cookies = (0..n).map(|i| sign_in(&mut login, i % USERS)).collect();
        Self { layer, cookies }
    }

    pub(crate) fn wrap(&self, routes: Router, action: &'static str) -> Router {
        // The macro needs a constant.
        let routes = match action {
            ACTION => routes.route_layer(permission_required!(People, ACTION)),
            _ => routes.route_layer(permission_required!(People, OTHER_ACTION)),
        };
        routes.layer(self.layer.clone()).with_state(())
    }

    pub(crate) fn cycle(&self) -> impl FnMut() -> Request<Body> + use<> {
        let cookies = self.cookies.clone();
        let mut next = 0;
        move || {
            let mut request = world::request(None);
            request.headers_mut().insert(COOKIE, cookies[next].clone());
            next = (next + 1) % cookies.len();
            request
        }
    }
}

async fn start_session(mut session: AuthSession<People>, id: String) -> StatusCode {
    let user = session.authenticate(id.parse().unwrap()).await.unwrap().unwrap();
    session.login(&user).await.unwrap();
    StatusCode::NO_CONTENT
}

fn sign_in(login: &mut Router, id: usize) -> HeaderValue {
    let request = Request::post("/login").body(Body::from(id.to_string())).unwrap();
    let response = call(login, request);
    let cookie = response.headers()[SET_COOKIE].to_str().unwrap();
    HeaderValue::from_str(cookie.split(';').next().unwrap()).unwrap()
}
