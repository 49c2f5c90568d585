//! The management API and the pages at other paths than `/admin`, and their part for the own tokens of a person.

use http::header::{AUTHORIZATION, COOKIE, HOST, HeaderName, LOCATION, SET_COOKIE};
use keyward::admin::Password;
use keyward::authz::{ActionEntry, Catalogue};
use keyward::guard::{InvalidGroups, Mount, Reason, SessionCookie};
use keyward::testing::{Answer, App, Key, World};
use keyward::token::{ContentAccess, EncryptionKeys, TokenId};
use keyward::{BuildError, Builder, Grant, Group, HashKey, Keyward, MemoryStore, NewAdminToken, NewOwner, RoleId};
use keyward::{action, api, ui};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

const SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const PASSWORD: &str = "Passw0rd!";
const KEYS: &str = "first:8f1c07d2b64e93a5507be1c98d3f62a4c1e9704b5d28f6a30e7c94b1d8256f3a";

fn bare(settings: impl FnOnce(Builder) -> Builder) -> World {
    let catalogue = Catalogue::default().action(ActionEntry::settings("orders.read", "Orders", "Read"));
    let keys = EncryptionKeys::parse(KEYS).unwrap();
    World::bare(|builder| settings(builder.catalogue(catalogue).encryption(keys)))
}

fn text(answer: &Answer) -> &str {
    std::str::from_utf8(&answer.body).unwrap()
}

fn location(answer: &Answer) -> &str {
    answer.assert_status(303).headers[LOCATION].to_str().unwrap()
}

/// A browser that has one cookie.
struct Browser<'a> {
    app: &'a App,
    cookie: String,
}

impl Browser<'_> {
    async fn open(&self, path: &str) -> Answer {
        self.app.get(path).header(COOKIE, &self.cookie).await
    }

    async fn send(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        self.app.post(path).header(COOKIE, &self.cookie).header(SITE, "same-origin").form(fields).await
    }

    /// Returns the value of a hidden field of a page.
    async fn version(&self, path: &str) -> String {
        let page = self.open(path).await;
        attributes(text(page.assert_ok()), "name=\"version\" value")[0].to_owned()
    }

    /// Follows all links from a page, and returns the pages by address, and the addresses of all forms.
    async fn follow(&self, start: &str) -> (BTreeMap<String, String>, BTreeSet<String>) {
        let (mut pages, mut forms) = (BTreeMap::new(), BTreeSet::new());
        let mut open = vec![start.to_owned()];
        while let Some(address) = open.pop() {
            if pages.contains_key(&address) {
                continue;
            }
            let answer = self.open(&address).await;
            let (body, mut links) = match answer.status.as_u16() {
                303 => (String::new(), vec![location(&answer).to_owned()]),
                _ => (text(answer.assert_ok()).to_owned(), Vec::new()),
            };
            for name in ["href", "src", "data-session", "data-sign-in", "data-address"] {
                let found = attributes(&body, &format!(" {name}"));
                links.extend(found.iter().filter(|link| !link.starts_with('#')).map(|link| link.replace("&amp;", "&")));
            }
            let tags = body.split('<').filter(|tag| tag.starts_with("form") && tag.contains("method=\"post\""));
            forms.extend(tags.flat_map(|tag| attributes(tag, " action")).map(ToString::to_string));
            forms.extend(attributes(&body, " data-action").iter().map(ToString::to_string));
            pages.insert(address, body);
            open.extend(links.into_iter().map(|link| link.replace("&#38;", "&")));
        }
        (pages, forms)
    }
}

/// Returns the values of an attribute.
fn attributes<'p>(page: &'p str, name: &str) -> Vec<&'p str> {
    page.split(&format!("{name}=\"")).skip(1).map(|rest| rest.split('"').next().unwrap()).collect()
}

fn assert_below<'a>(path: &str, addresses: impl Iterator<Item = &'a String>) {
    for address in addresses {
        let below = address.strip_prefix(path);
        assert!(below.is_some_and(|below| below.is_empty() || below.starts_with(['/', '?'])), "{address}");
    }
}

async fn person(world: &World, email: &str, role: Option<RoleId>) -> keyward::OwnerId {
    let id = world.keyward.owners().create(NewOwner::new(email).roles(role)).await.unwrap().id;
    world.keyward.owners().set_password(id, Password::new(PASSWORD)).await.unwrap();
    id
}

/// Signs in on the page to which an address redirects, and follows the redirects back.
async fn sign_in<'a>(app: &'a App, address: &str, email: &str, sign_in_page: &str) -> Browser<'a> {
    let redirect = app.get(address).await;
    let to = location(&redirect);
    assert!(to.starts_with(&format!("{sign_in_page}?redirectTo=")), "{to}");
    let page = app.get(to).await;
    assert_eq!(attributes(text(page.assert_ok()), " action"), [sign_in_page]);
    let back = attributes(text(&page), "name=\"redirectTo\" value")[0];
    let fields = [("email", email), ("password", PASSWORD), ("redirectTo", back)];
    let signed_in = app.post(sign_in_page).header(SITE, "same-origin").form(&fields).await;
    let set = signed_in.headers[SET_COOKIE].to_str().unwrap();
    // The cookie is sent to the pages: to every mount, or below the base path.
    let path = set.split_once("; Path=").unwrap().1.split(';').next().unwrap();
    assert!(address.starts_with(path), "{set}");
    let browser = Browser { app, cookie: set.split(';').next().unwrap().to_owned() };
    let check = browser.open(location(&signed_in)).await;
    assert_eq!(location(&check), address);
    browser
}

#[tokio::test]
async fn api_is_served_at_its_path_only() {
    let world = bare(|builder| builder.api("/internal/access"));
    let app = world.guard(api::router(&world.keyward));
    let (root, weak) = (world.super_admin().sign_in().await, world.editor().sign_in().await);
    let content = world.content(ContentAccess::FullAccess).await;
    for path in ["/users", "/roles", "/admin-tokens", "/api-tokens", "/audit-logs", "/permissions"] {
        let at = format!("/internal/access{path}");
        app.get(&at).bearer(&root.secret).await.assert_ok();
        app.get(&at).await.assert_rejected(Reason::NoCredential);
        let forbidden = app.get(&at).bearer(&weak.secret).await;
        assert_eq!(forbidden.assert_rejected(Reason::Forbidden).json()["error"]["name"], "PolicyError");
        app.get(&at).bearer(&content.secret).await.assert_status(401);
        app.get(&format!("/admin{path}")).bearer(&root.secret).await.assert_rejected(Reason::NoGroup);
        app.get(path).bearer(&root.secret).await.assert_rejected(Reason::NoGroup);
    }
    person(&world, "ada@example.test", None).await;
    let login = json!({"email": "ada@example.test", "password": PASSWORD});
    app.post("/internal/access/login").json(&login).await.assert_ok();
    app.post("/admin/login").json(&login).await.assert_rejected(Reason::NoGroup);
    app.get("/internal/access/login").await.assert_rejected(Reason::NoCredential);
    app.get("/internal/access/none").bearer(&root.secret).await.assert_status(404);
    app.put("/internal/access/users").bearer(&root.secret).await.assert_status(405);
}

#[tokio::test]
async fn openapi_has_the_paths_of_each_mount() {
    let paths = async |base: &str| {
        let own = Mount::own_tokens("/settings/keys");
        let world = bare(|builder| builder.api("/one").api("/two/api").api(own).base_path(base));
        let app = world.guard(api::router(&world.keyward));
        let mut all = BTreeMap::new();
        for mount in ["/one", "/two/api", "/settings/keys"] {
            let document = app.get(&format!("{base}{mount}/openapi.json")).await.assert_ok().json();
            let servers = if base.is_empty() { Value::Null } else { json!([{"url": base}]) };
            assert_eq!(document["servers"], servers);
            let credential = document["components"]["securitySchemes"]["bearer"]["description"].as_str().unwrap();
            assert_eq!(credential.contains("admin token"), mount != "/settings/keys", "{credential}");
            let paths: Vec<_> = document["paths"].as_object().unwrap().keys().cloned().collect();
            let below = paths.iter().map(|path| path.strip_prefix(mount).unwrap().to_owned()).collect::<Vec<_>>();
            // Each described path is served.
            for path in paths.iter().filter(|path| path.as_str() != format!("{mount}/openapi.json")) {
                let answer = app.get(&format!("{base}{}", path.replace("{id}", "1"))).await;
                answer.assert_rejected(Reason::NoCredential);
            }
            all.insert(mount, (below, document["components"]["schemas"].clone()));
        }
        all
    };
    let all = paths("").await;
    assert_eq!(all, paths("/base").await);
    assert_eq!(all["/one"].0, all["/two/api"].0);
    assert!(all["/one"].0.contains(&"/users/{id}".to_owned()) && all["/one"].0.len() > 25);
    let (own, schemas) = &all["/settings/keys"];
    assert_eq!(own, &["", "/openapi.json", "/{id}", "/{id}/end-grace", "/{id}/regenerate"]);
    for other in ["User", "Role", "ContentToken", "Event"] {
        assert!(schemas.get(other).is_none() && all["/one"].1.get(other).is_some(), "{other}");
    }
}

/// All links, forms, redirects and assets of the pages lead below their path.
#[tokio::test]
async fn links_of_pages_stay_below_their_path() {
    for base in ["", "/keys"] {
        let world = bare(|builder| builder.ui("/team/access", SessionCookie::default()).base_path(base));
        let app = world.guard(ui::router(&world.keyward));
        person(&world, "ada@example.test", Some(RoleId::SUPER_ADMIN)).await;
        let owner = world.editor().issue().await;
        world.content(ContentAccess::ReadOnly).await;
        let at = format!("{base}/team/access");
        let browser =
            sign_in(&app, &format!("{at}/settings/users"), "ada@example.test", &format!("{at}/auth/login")).await;
        let (pages, forms) = browser.follow(&at).await;
        assert_below(&at, pages.keys().chain(&forms));
        let users = format!("{at}/settings/users/{}", owner.owner());
        for page in
            [&users, &format!("{at}/me"), &format!("{at}/settings/roles/create"), &format!("{at}/settings/audit-logs")]
        {
            assert!(pages.contains_key(page), "{page}: {:?}", pages.keys());
        }
        assert!(pages.keys().any(|address| address.contains("/assets/keyward.js?v=")));
        assert!(forms.len() > 8, "{forms:?}");
        for form in forms.iter().filter(|form| !form.ends_with("/auth/logout")) {
            let status = browser.send(form, &[]).await.status.as_u16();
            assert!(matches!(status, 200 | 303 | 400), "{form}: {status}");
        }
        // A form sent from the page of an invitation leads here too.
        let fields = [("email", "bob@example.test"), ("roles", "1")];
        let invited = browser.send(&format!("{at}/settings/users/create"), &fields).await;
        assert!(text(&invited).contains(&format!("{at}/auth/register?registrationToken=")), "{invited:?}");
        // A new password ends the session; the sign-in leads back to the profile.
        let me = format!("{at}/me");
        let version = browser.version(&me).await;
        let fields = [("version", version.as_str()), ("currentPassword", PASSWORD), ("password", "Passw0rd!!")];
        let changed = browser.send(&format!("{me}/password"), &fields).await;
        let back = me.replace('/', "%2F");
        assert_eq!(location(&changed), format!("{at}/auth/login?redirectTo={back}&done=password"));
        let fields = [("email", "ada@example.test"), ("password", "Passw0rd!!"), ("redirectTo", &me)];
        let signed_in = app.post(&format!("{at}/auth/login")).header(SITE, "same-origin").form(&fields).await;
        assert_eq!(location(&signed_in), format!("{at}/auth/login?check=1&redirectTo={back}"));
        let set = signed_in.headers[SET_COOKIE].to_str().unwrap();
        let browser = Browser { app: &app, cookie: set.split(';').next().unwrap().to_owned() };
        let signed_out = browser.send(&format!("{at}/auth/logout"), &[]).await;
        assert_eq!(location(&signed_out), format!("{at}/auth/login"));
        assert_eq!(
            location(&browser.open(&format!("{at}/settings")).await),
            format!("{at}/auth/login?redirectTo={at}/settings")
        );
        app.get(&format!("{base}/admin/settings")).await.assert_rejected(Reason::NoGroup);
    }
}

#[tokio::test]
async fn new_installations_register_at_the_path_of_the_pages() {
    let world = bare(|builder| builder.ui("/team/access", SessionCookie::default()).allow_open_setup());
    let app = world.guard(ui::router(&world.keyward));
    assert_eq!(location(&app.get("/team/access/auth/login").await), "/team/access/auth/register-admin");
    let fields = [("email", "ada@example.test"), ("firstname", "Ada"), ("password", PASSWORD)];
    let form = app.post("/team/access/auth/register-admin").header(HOST, "localhost").header(SITE, "same-origin");
    let registered = form.form(&fields).await;
    assert!(location(&registered).starts_with("/team/access/auth/login?check=1&redirectTo="), "{registered:?}");
}

/// The API and the pages may share a path, and a session is valid at each mount of pages.
#[tokio::test]
async fn mounts_live_side_by_side() {
    let world = bare(|builder| {
        builder
            .api("/manage")
            .ui("/manage", SessionCookie::default())
            .api(Mount::own_tokens("/manage/my/api"))
            .ui(Mount::own_tokens("/account/keys"), SessionCookie::default())
    });
    let app = world.guard(api::router(&world.keyward).merge(ui::router(&world.keyward)));
    person(&world, "ada@example.test", Some(RoleId::SUPER_ADMIN)).await;
    let browser = sign_in(&app, "/account/keys", "ada@example.test", "/account/keys/auth/login").await;
    browser.open("/manage/settings/users").await.assert_ok();
    let root = world.super_admin().sign_in().await;
    app.get("/manage/users").bearer(&root.secret).await.assert_ok();
    app.get("/manage/my/api").bearer(&root.secret).await.assert_ok();
    // The cookie opens pages only.
    browser.open("/manage/users").await.assert_rejected(Reason::NoCredential);
    browser.open("/manage/my/api").await.assert_rejected(Reason::NoCredential);
    let made = browser.send("/account/keys/create", &[("name", "a"), ("lifespan", "unlimited")]).await;
    assert!(text(made.assert_ok()).contains("http://localhost/manage/users/me/permissions"), "{made:?}");
}

/// Tokens of others do not exist there, for super admins neither.
#[tokio::test]
async fn own_tokens_of_the_api_are_those_of_the_caller() {
    let world = bare(|builder| builder.admin("/v1").api(Mount::own_tokens("/settings/keys")));
    let app = world.guard(api::router(&world.keyward));
    let (root, other) = (world.super_admin().sign_in().await, world.editor().issue().await);
    let ada = world.editor().holds("orders.read").sign_in().await;
    let call = async |who: &Key, method: &str, path: &str, body: Value, status: u16| {
        let request = app.request(method.parse().unwrap(), &format!("/settings/keys{path}"));
        let request = if body.is_null() { request } else { request.json(&body) };
        let answer = request.bearer(&who.secret).await;
        answer.assert_status(status).json()
    };
    let permissions = json!([{"action": "orders.read"}]);
    let new = json!({"name": "deploy", "adminPermissions": permissions});
    let made = call(&ada, "POST", "", new, 201).await;
    let (id, secret) = (made["data"]["id"].to_string(), made["data"]["accessKey"].as_str().unwrap().to_owned());
    // A lifespan that is left out is 30 days here, and unlimited only in Strapi's API.
    assert_eq!(made["data"]["lifespan"], "2592000000");
    let unlimited = call(&ada, "POST", "", json!({"name": "unlimited", "lifespan": null}), 201).await;
    assert_eq!(unlimited["data"]["lifespan"], Value::Null);
    call(&ada, "DELETE", &format!("/{}", unlimited["data"]["id"]), Value::Null, 200).await;
    let too_much = json!({"name": "more", "adminPermissions": [{"action": "admin::users.read"}]});
    call(&ada, "POST", "", too_much, 400).await;
    let listed = call(&ada, "GET", "", Value::Null, 200).await;
    assert_eq!(listed["meta"]["pagination"]["total"], 1);
    let shown = call(&ada, "GET", &format!("/{id}"), Value::Null, 200).await;
    assert_eq!(shown["data"]["accessKey"], secret);
    let renamed = call(&ada, "PUT", &format!("/{id}"), json!({"name": "ship"}), 200).await;
    assert_eq!(renamed["data"]["name"], "ship");
    // The super admin may see all tokens elsewhere, and here the own ones.
    assert_eq!(call(&root, "GET", "", Value::Null, 200).await["meta"]["pagination"]["total"], 0);
    for (who, id) in [(&root, id.as_str()), (&root, &other.id.to_string()), (&ada, &other.id.to_string())] {
        for (method, below, body) in [
            ("GET", "", Value::Null),
            ("PUT", "", json!({"name": "taken"})),
            ("POST", "/regenerate", Value::Null),
            ("DELETE", "", Value::Null),
        ] {
            call(who, method, &format!("/{id}{below}"), body, 404).await;
        }
    }
    let filtered = format!("?filters[adminUserOwner][$eq]={}", ada.owner());
    assert_eq!(call(&root, "GET", &filtered, Value::Null, 200).await["meta"]["pagination"]["total"], 0);
    let new = call(&ada, "POST", &format!("/{id}/regenerate"), Value::Null, 201).await;
    let token = new["data"]["accessKey"].as_str().unwrap().to_owned();
    assert_ne!(token, secret);
    // A token does not manage tokens here, nor does a visitor.
    app.get("/settings/keys").header(AUTHORIZATION, &format!("Bearer {token}")).await.assert_status(401);
    app.get("/settings/keys").await.assert_rejected(Reason::NoCredential);
    call(&ada, "DELETE", &format!("/{id}"), Value::Null, 200).await;
    assert!(world.keyward.tokens().read(TokenId(id.parse().unwrap())).await.is_err());
    // There is nothing else.
    for path in ["/users", "/roles", "/audit-logs", "/admin-tokens", "/api-tokens", "/login", "/users/me"] {
        call(&root, "GET", path, Value::Null, 404).await;
    }
}

#[tokio::test]
async fn own_tokens_in_a_group_with_a_floor_need_the_action() {
    let own = Mount::own_tokens("/settings/keys");
    let floor = Group::sessions("/settings/keys").floor(action("keys.use"));
    let world = World::bare(|builder| builder.group(floor).api(own));
    let app = world.guard(api::router(&world.keyward));
    let (may, may_not) = (world.editor().holds("keys.use").sign_in().await, world.editor().sign_in().await);
    app.get("/settings/keys").bearer(&may.secret).await.assert_ok();
    let rejected = app.get("/settings/keys").bearer(&may_not.secret).await;
    assert_eq!(rejected.assert_rejected(Reason::Forbidden).json()["error"]["status"], 403);
}

#[tokio::test]
async fn own_tokens_of_the_pages_are_those_of_the_viewer() {
    for base in ["", "/app"] {
        let at = format!("{base}/settings/keys");
        let own = Mount::own_tokens("/settings/keys");
        let world = bare(|builder| builder.ui(own, SessionCookie::default()).base_path(base));
        let app = world.guard(ui::router(&world.keyward));
        // The first account is registered elsewhere.
        app.get(&format!("{at}/auth/login")).await.assert_ok();
        let ada = person(&world, "ada@example.test", None).await;
        let root = person(&world, "root@example.test", Some(RoleId::SUPER_ADMIN)).await;
        let sign_in_page = format!("{at}/auth/login");
        let browser = sign_in(&app, &at, "ada@example.test", &sign_in_page).await;
        let made = browser.send(&format!("{at}/create"), &[("name", "mine"), ("lifespan", "unlimited")]).await;
        let secret = attributes(text(made.assert_ok()), "id=\"key\" readonly value")[0].to_owned();
        let address = attributes(text(&made), " data-address")[0].to_owned();
        assert!(address.starts_with(&format!("{at}/")), "{address}");
        let (pages, forms) = browser.follow(&at).await;
        assert_below(&at, pages.keys().chain(&forms));
        let listed = ["", "/create", "/auth/session", "/auth/login"].map(|below| format!("{at}{below}"));
        let beside = |address: &&String| !address.contains("/assets/") && !address.contains('?');
        let expected: BTreeSet<_> = listed.iter().chain([&address]).collect();
        assert_eq!(pages.keys().filter(beside).collect::<BTreeSet<_>>(), expected);
        let viewed = browser.send(&format!("{address}/view"), &[]).await;
        assert!(text(viewed.assert_ok()).contains(&secret));
        let version = browser.version(&address).await;
        let fields = [("version", version.as_str()), ("name", "renamed"), ("description", "")];
        assert_eq!(location(&browser.send(&address, &fields).await), format!("{address}?done=saved"));
        let version = browser.version(&address).await;
        let regenerated = browser.send(&format!("{address}/regenerate"), &[("version", &version)]).await;
        assert!(text(regenerated.assert_ok()).contains("The new key") && !text(&regenerated).contains(&secret));

        // The super admin sees the own ones alone.
        let over = sign_in(&app, &at, "root@example.test", &sign_in_page).await;
        let version = browser.version(&address).await;
        assert!(!text(over.open(&at).await.assert_ok()).contains("renamed"));
        over.open(&address).await.assert_status(404);
        for below in ["", "/view", "/regenerate", "/delete"] {
            over.send(&format!("{address}{below}"), &[("version", &version), ("name", "x")]).await.assert_status(404);
        }
        let theirs = NewAdminToken::new("of root", root).grants([Grant::new("orders.read")]);
        let theirs = world.keyward.tokens().issue_admin(theirs).await.unwrap().token.id;
        browser.open(&format!("{at}/{theirs}")).await.assert_status(404);
        assert!(text(over.open(&at).await.assert_ok()).contains("of root"));
        let deleted = browser.send(&format!("{address}/delete"), &[("version", &version)]).await;
        assert_eq!(location(&deleted), format!("{at}?done=deleted"));
        let none = keyward::store::TokenQuery {
            owner: Some(ada),
            ..keyward::store::TokenQuery::of(keyward::token::TokenKind::Admin)
        };
        assert_eq!(world.keyward.tokens().list(&none).await.unwrap().total, 0);

        // Other pages do not exist, and a stranger's form changes nothing.
        for path in ["/settings/users", "/me", "/auth/register", "/settings/audit-logs"] {
            over.open(&format!("{at}{path}")).await.assert_status(404);
        }
        let stranger = app.post(&format!("{at}/create")).header(COOKIE, &browser.cookie).header(SITE, "cross-site");
        stranger.form(&[("name", "x"), ("lifespan", "unlimited")]).await.assert_rejected(Reason::CrossOrigin);
        assert_eq!(location(&browser.send(&format!("{at}/auth/logout"), &[]).await), sign_in_page);
    }
}

/// An application with users of its own signs them in.
#[tokio::test]
async fn own_tokens_send_people_to_the_sign_in_of_the_host() {
    for base in ["", "/app"] {
        let own = Mount::own_tokens("/settings/keys").sign_in("/login");
        let world = bare(|builder| builder.ui(own, SessionCookie::default()).base_path(base));
        let app = world.guard(ui::router(&world.keyward));
        let at = format!("{base}/settings/keys");
        assert_eq!(location(&app.get(&at).await), format!("{base}/login?redirectTo={at}"));
        let ended = app.post(&format!("{at}/create")).header(SITE, "same-origin").form(&[]).await;
        assert!(text(ended.assert_status(401)).contains(&format!("href=\"{base}/login\"")), "{ended:?}");
        // The host has opened a session, and set its cookie.
        let ada = world.editor().sign_in().await;
        let set = SessionCookie::default().set(&ada.secret);
        let cookie = set.to_str().unwrap().split(';').next().unwrap().to_owned();
        let browser = Browser { app: &app, cookie };
        let page = browser.open(&at).await;
        assert_eq!(attributes(text(page.assert_ok()), " data-sign-in"), [format!("{base}/login")]);
        assert!(!text(&page).contains("/auth/log"), "{page:?}");
        for below in ["/auth/login", "/auth/logout"] {
            browser.send(&format!("{at}{below}"), &[]).await.assert_status(404);
        }
        browser.open(&format!("{at}/auth/session")).await.assert_status(204);
    }
}

#[tokio::test]
async fn mistakes_in_mounts_fail_at_the_start() {
    let error = |settings: fn(Builder) -> Builder| {
        let builder = Keyward::builder(MemoryStore::default()).hash_key(HashKey::generate().unwrap().0);
        match settings(builder).build() {
            Err(BuildError::Groups(error)) => error,
            other => panic!("{other:?}"),
        }
    };
    let invalid = |path: &str| InvalidGroups::Mount(path.to_owned());
    let twice = |path: &str| InvalidGroups::MountedTwice(path.to_owned());
    assert_eq!(error(|b| b.api("keys")), invalid("keys"));
    assert_eq!(error(|b| b.ui("keys", SessionCookie::default())), invalid("keys"));
    for (path, found) in [
        ("", error(|b| b.api(""))),
        ("/", error(|b| b.api("/"))),
        ("/keys/", error(|b| b.api("/keys/"))),
        ("//keys", error(|b| b.api("//keys"))),
        ("/{id}", error(|b| b.api("/{id}"))),
        ("/a/../b", error(|b| b.ui(Mount::own_tokens("/a/../b"), SessionCookie::default()))),
        ("/\"><script>", error(|b| b.ui("/\"><script>", SessionCookie::default()))),
    ] {
        assert_eq!(found, invalid(path));
        assert!(found.to_string().contains(&format!("`{path}`: start it with one `/`")), "{found}");
    }
    assert_eq!(error(|b| b.api("/a").api("/a")), twice("/a"));
    assert_eq!(error(|b| b.api("/a").api(Mount::own_tokens("/a"))), twice("/a"));
    assert_eq!(error(|b| b.api(Mount::own_tokens("/a")).ui("/a", SessionCookie::default())), twice("/a"));
    let both = |b: Builder| b.ui("/a", SessionCookie::default()).ui("/a", SessionCookie::default());
    assert_eq!(error(both), twice("/a"));
    let sign_in = error(|b| b.ui(Mount::whole("/a").sign_in("/login"), SessionCookie::default()));
    assert_eq!(sign_in, InvalidGroups::SignIn("/a".to_owned()));
    let sign_in = error(|b| b.ui(Mount::own_tokens("/a").sign_in("//evil.test"), SessionCookie::default()));
    assert_eq!(sign_in, InvalidGroups::Pages("/a".to_owned()));
    // A group of another kind is at the path already.
    assert_eq!(error(|b| b.content("/a").api("/a")), InvalidGroups::Twice("/a".to_owned()));
    assert_eq!(error(|b| b.admin("/a").api(Mount::own_tokens("/a"))), InvalidGroups::Twice("/a".to_owned()));
    let shadowed = error(|b| b.public("/settings").ui(Mount::own_tokens("/settings/keys"), SessionCookie::default()));
    assert!(shadowed.to_string().contains("`/settings` shadows the protected `/settings/keys`"), "{shadowed}");
}

#[tokio::test]
#[should_panic(expected = "the management API is mounted nowhere: add `.api(\"/admin\")` to the builder")]
async fn routes_of_an_api_that_is_mounted_nowhere_are_a_mistake() {
    let _ = api::router(&World::new().keyward);
}

#[tokio::test]
#[should_panic(expected = "the pages are mounted nowhere: add `.ui(\"/admin\", ..)` to the builder")]
async fn routes_of_pages_that_are_mounted_nowhere_are_a_mistake() {
    let _ = ui::router(&World::new().keyward);
}
