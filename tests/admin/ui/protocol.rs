//! The settings pages over HTTP: which credential opens which page, and the headers of every response.

use http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_SECURITY_POLICY, COOKIE, HeaderName, LOCATION, SET_COOKIE};
use http::{HeaderMap, Method};
use keyward::admin::{OwnerUpdate, Password};
use keyward::guard::{Reason, SessionCookie};
use keyward::testing::{Answer, App, Key, World};
use keyward::token::ContentAccess;
use keyward::{NewAdminToken, NewOwner, Permission, RoleId, api, ui};

const COOKIE_NAME: &str = "__Host-keyward";
const SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const SIGN_IN: &str = "/admin/auth/login";

/// Pages for a session, each with its required actions as `section.verb` or `section.verb+verb`; empty for any session.
const PAGES: [(&str, &str); 17] = [
    ("/admin/settings", ""),
    ("/admin/me", ""),
    ("/admin/settings/admin-tokens", "admin-tokens.access+read"),
    ("/admin/settings/admin-tokens/create", "admin-tokens.access+read+create"),
    ("/admin/settings/admin-tokens/7", "admin-tokens.access+read"),
    ("/admin/settings/api-tokens", "api-tokens.access+read"),
    ("/admin/settings/api-tokens/create", "api-tokens.access+read+create"),
    ("/admin/settings/api-tokens/7", "api-tokens.access+read"),
    ("/admin/settings/roles", "roles.read"),
    ("/admin/settings/roles/create", "roles.read+create"),
    ("/admin/settings/roles/7", "roles.read"),
    ("/admin/settings/users", "users.read"),
    ("/admin/settings/users/create", "users.read+create"),
    ("/admin/settings/users/7", "users.read"),
    ("/admin/settings/audit-logs", "audit-logs.read"),
    ("/admin/settings/audit-logs?what=token-issued&page=2", "audit-logs.read"),
    ("/admin/settings/admin-tokens?q=a&sort=-name", "admin-tokens.access+read"),
];

/// Forms for a session, likewise.
const FORMS: [(&str, &str); 25] = [
    ("/admin/auth/logout", ""),
    ("/admin/me", ""),
    ("/admin/me/email", ""),
    ("/admin/me/password", ""),
    ("/admin/me/sessions/7/end", ""),
    ("/admin/settings/admin-tokens/create", "admin-tokens.access+read+create"),
    ("/admin/settings/admin-tokens/7", "admin-tokens.access+read+update"),
    ("/admin/settings/admin-tokens/7/view", "admin-tokens.access+read"),
    ("/admin/settings/admin-tokens/7/regenerate", "admin-tokens.access+read+regenerate"),
    ("/admin/settings/admin-tokens/7/end-grace", "admin-tokens.access+read+regenerate"),
    ("/admin/settings/admin-tokens/7/delete", "admin-tokens.access+read+delete"),
    ("/admin/settings/api-tokens/create", "api-tokens.access+read+create"),
    ("/admin/settings/api-tokens/7", "api-tokens.access+read+update"),
    ("/admin/settings/api-tokens/7/view", "api-tokens.access+read"),
    ("/admin/settings/api-tokens/7/regenerate", "api-tokens.access+read+regenerate"),
    ("/admin/settings/api-tokens/7/end-grace", "api-tokens.access+read+regenerate"),
    ("/admin/settings/api-tokens/7/delete", "api-tokens.access+read+delete"),
    ("/admin/settings/roles/create", "roles.read+create"),
    ("/admin/settings/roles/7", "roles.read+update"),
    ("/admin/settings/roles/7/delete", "roles.read+delete"),
    ("/admin/settings/users/create", "users.read+create"),
    ("/admin/settings/users/7", "users.read+update"),
    ("/admin/settings/users/7/state", "users.read+update"),
    ("/admin/settings/users/7/invitation", "users.read+create"),
    ("/admin/settings/users/7/delete", "users.read+delete"),
];

/// Pages and forms for signed-out visitors.
const OPEN: [&str; 3] = [SIGN_IN, "/admin/auth/register-admin", "/admin/auth/register"];
const FILES: [&str; 3] = ["/admin/assets/keyward.css", "/admin/assets/keyward.js", "/admin/assets/keyward.svg"];

/// Pages and API, as in the example platform.
fn app() -> (World, App) {
    let world = World::with(|builder| builder.api("/admin").ui("/admin", SessionCookie::default()));
    let app = world.guard(api::router(&world.keyward).merge(ui::router(&world.keyward)));
    (world, app)
}

fn actions(asked: &str) -> Vec<String> {
    let Some((section, deeds)) = asked.split_once('.') else { return Vec::new() };
    deeds.split('+').map(|deed| format!("admin::{section}.{deed}")).collect()
}

fn cookie(key: &Key) -> String {
    format!("theme=dark; {COOKIE_NAME}={}", key.secret.expose())
}

async fn open(app: &App, who: &Key, path: &str) -> Answer {
    app.get(path).header(COOKIE, &cookie(who)).await
}

async fn send(app: &App, who: &Key, path: &str) -> Answer {
    app.post(path).header(COOKIE, &cookie(who)).header(SITE, "same-origin").form(&[]).await
}

fn text(answer: &Answer) -> &str {
    std::str::from_utf8(&answer.body).unwrap()
}

/// A new page that is missing here would not be tested.
#[test]
fn every_route_is_covered_here() {
    let mut declared = 0;
    for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src/ui")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|ending| ending == "rs") {
            let source = std::fs::read_to_string(&path).unwrap();
            let routes = source.lines().filter(|line| line.contains(".route(") || line.contains(".public("));
            let named = routes.map(|line| line.matches("get(").count() + line.matches("post(").count()).sum::<usize>();
            // Token pages exist for two kinds.
            declared += if path.ends_with("tokens.rs") { 2 * named } else { named };
        }
    }
    // `/admin`, `/admin/auth/session`, and two addresses that differ in their query only.
    assert_eq!(declared, PAGES.len() + FORMS.len() + 2 * OPEN.len() + FILES.len() + 2 - 2);
}

#[tokio::test]
async fn signed_out_visitor_is_redirected_to_sign_in_and_back() {
    let (world, app) = app();
    let over = world.super_admin().sign_in().await;
    world.keyward.tokens().revoke(over.id).await.unwrap();
    for (path, _) in PAGES {
        for answer in [app.get(path).await, open(&app, &over, path).await] {
            let to = answer.assert_status(303).headers[LOCATION].to_str().unwrap().to_owned();
            let encoded = path.replace('?', "%3F").replace('=', "%3D").replace('&', "%26");
            assert_eq!(to, format!("{SIGN_IN}?redirectTo={encoded}"));
            // The form passes it on.
            let form = app.get(&to).await;
            let field = format!("name=\"redirectTo\" value=\"{}\"", path.replace('&', "&#38;"));
            assert!(text(&form).contains(&field), "{field} in {}", text(&form));
        }
    }
    for (path, _) in FORMS {
        let answer = app.post(path).header(SITE, "same-origin").form(&[]).await;
        // The browser keeps the form and explains how to continue.
        let page = text(answer.assert_status(401));
        assert!(page.contains("Your session has ended"), "{path}: {page}");
        assert!(page.contains("<a href=\"/admin/auth/login\" target=\"_blank\""), "{path}: {page}");
    }
    assert_eq!(app.get("/admin").await.assert_status(303).headers[LOCATION], "/admin/settings");
}

#[tokio::test]
async fn sign_in_redirects_only_to_own_pages() {
    let (world, app) = app();
    let new = NewOwner::new("a@example.test").roles([RoleId::SUPER_ADMIN]);
    let id = world.keyward.owners().create(new).await.unwrap().id;
    world.keyward.owners().set_password(id, Password::new("Passw0rd!")).await.unwrap();
    let sign_in = async |back: &str| {
        let fields = [("email", "a@example.test"), ("password", "Passw0rd!"), ("redirectTo", back)];
        app.post(SIGN_IN).header(SITE, "same-origin").form(&fields).await
    };
    let lead_on = async |signed_in: Answer| {
        let session = signed_in.headers[SET_COOKIE].to_str().unwrap().split(';').next().unwrap().to_owned();
        let check = signed_in.assert_status(303).headers[LOCATION].to_str().unwrap();
        assert!(check.starts_with(&format!("{SIGN_IN}?check=1&")), "{check}");
        // With the cookie the page redirects, without it it explains why not.
        let without = app.get(check).await;
        assert!(text(without.assert_status(200)).contains("the cookie needs HTTPS"), "{check}");
        app.get(check).header(COOKIE, &session).await.assert_status(303).headers[LOCATION].to_str().unwrap().to_owned()
    };
    for (path, _) in PAGES {
        assert_eq!(lead_on(sign_in(path).await).await, path);
    }
    for other in
        ["", "https://evil.test", "//evil.test", "/\\evil.test", "/admin/users", "/admin/settings/../x", "javascript:x"]
    {
        assert_eq!(lead_on(sign_in(other).await).await, "/admin/settings", "{other}");
    }
    let answers = [sign_in("").await, sign_in("").await];
    let set = answers.map(|answer| answer.headers[SET_COOKIE].to_str().unwrap().to_owned());
    for set in &set {
        let (name, flags) = (set.split('=').next().unwrap(), set.split_once(';').unwrap().1);
        assert_eq!((name, flags), (COOKIE_NAME, " Path=/; HttpOnly; SameSite=Strict; Secure"));
    }
    assert_ne!(set[0], set[1], "each sign-in opens a new session");
}

#[tokio::test]
async fn sign_in_page_redirects_signed_in_people() {
    let (world, app) = app();
    let session = world.super_admin().sign_in().await;
    let to = |path: &str| format!("{SIGN_IN}?redirectTo={path}");
    assert_eq!(open(&app, &session, SIGN_IN).await.assert_status(303).headers[LOCATION], "/admin/settings");
    assert_eq!(open(&app, &session, &to("/admin/me")).await.assert_status(303).headers[LOCATION], "/admin/me");
    assert_eq!(open(&app, &session, &to("//evil.test")).await.assert_status(303).headers[LOCATION], "/admin/settings");
    open(&app, &session, "/admin/auth/session").await.assert_status(204);
    world.keyward.tokens().revoke(session.id).await.unwrap();
    let form = open(&app, &session, &to("/admin/me")).await;
    assert!(text(form.assert_status(200)).contains("Your session has ended"));
    open(&app, &session, "/admin/auth/session").await.assert_status(401);
    app.get("/admin/auth/session").await.assert_status(401);
    // A token is not a session, in any header.
    let token = world.super_admin().issue().await;
    open(&app, &token, SIGN_IN).await.assert_status(200);
    app.get(SIGN_IN).bearer(&session.secret).await.assert_status(200);
    // A proxy adds a keyward token: the pages redirect to sign-in, and sign-in does not redirect back.
    let session = world.super_admin().sign_in().await;
    let with_token = |path: &str| app.get(path).header(COOKIE, &cookie(&session)).bearer(&token.secret);
    let sign_in = with_token("/admin/settings").await.assert_status(303).headers[LOCATION].to_str().unwrap().to_owned();
    assert!(text(with_token(&sign_in).await.assert_status(200)).contains("overrides your session"));
}

#[tokio::test]
async fn cross_site_link_is_repeated_from_the_same_site() {
    let (world, app) = app();
    let session = world.super_admin().sign_in().await;
    // The browser omits the cookie, for this page and for the redirect.
    let place = app.get("/admin/settings/users?q=a").header(SITE, "cross-site").await;
    let sign_in = place.assert_status(303).headers[LOCATION].to_str().unwrap();
    let again = app.get(sign_in).header(SITE, "cross-site").await;
    let page = text(again.assert_status(200));
    let (_, rest) = page.split_once("content=\"0;url=").unwrap();
    let address = rest.split_once('"').unwrap().0.replace("&#38;", "&");
    // The request from that page has the cookie.
    let on = app.get(&address).header(SITE, "same-origin").header(COOKIE, &cookie(&session)).await;
    assert_eq!(on.assert_status(303).headers[LOCATION], "/admin/settings/users?q=a");
    // A visitor without a cookie gets the form, and there is no redirect loop.
    for site in ["same-origin", "cross-site"] {
        let form = app.get(&address).header(SITE, site).await;
        assert!(text(form.assert_status(200)).contains("value=\"/admin/settings/users?q=a\""), "{site}");
    }
}

#[tokio::test]
async fn trailing_slash_redirects_to_the_page() {
    let (world, app) = app();
    let session = world.super_admin().sign_in().await;
    for (from, to) in [
        ("/admin/", "/admin"),
        ("/admin/auth/login/", "/admin/auth/login"),
        ("/admin/auth/login/?redirectTo=x", "/admin/auth/login?redirectTo=x"),
        ("/admin/settings/users/?q=a", "/admin/settings/users?q=a"),
        ("/admin/settings/", "/admin/settings"),
    ] {
        assert_eq!(open(&app, &session, from).await.assert_status(303).headers[LOCATION], to, "{from}");
    }
    for from in ["/admin/", "/admin/auth/login/"] {
        assert_eq!(app.get(from).await.assert_status(303).headers[LOCATION], from.trim_end_matches('/'));
        app.post(from).header(SITE, "same-origin").form(&[]).await.assert_status(401);
    }
    // Addresses of other things than pages are not redirected.
    app.get("/admin/users/").await.assert_status(401);
    app.get("/admin//").await.assert_status(400);
    app.get("/elsewhere/").await.assert_status(404);
}

#[tokio::test]
async fn form_through_a_proxy_that_changes_the_host_is_explained() {
    let (world, app) = app();
    let session = world.super_admin().sign_in().await;
    let (host, origin) = (http::header::HOST, http::header::ORIGIN);
    let post =
        || app.post("/admin/me").header(COOKIE, &cookie(&session)).header(host.clone(), "127.0.0.1:8080").form(&[]);
    let response = post().header(origin.clone(), "http://keys.lan").await;
    assert!(text(response.assert_status(403)).contains("proxy_set_header Host $http_host"), "{}", text(&response));
    // If the browser reports the origin, a changed host is not the cause.
    let foreign = post().header(origin, "http://keys.lan").header(SITE, "cross-site").await;
    assert!(!text(foreign.assert_status(403)).contains("proxy"), "{}", text(&foreign));
}

#[tokio::test]
async fn cookie_opens_pages_for_sessions_and_never_the_api() {
    let (world, app) = app();
    let session = world.super_admin().sign_in().await;
    let admin = world.super_admin().issue().await;
    let content = world.content(ContentAccess::FullAccess).await;
    for (path, _) in PAGES {
        for key in [&admin, &content] {
            let place = open(&app, key, path).await.assert_status(303).headers[LOCATION].to_str().unwrap().to_owned();
            assert!(place.starts_with(SIGN_IN), "{path}");
            // Nor in the header: pages accept sessions only.
            assert_ne!(app.get(path).bearer(&key.secret).await.status, 200, "{path}");
        }
        // A keyward credential in the header counts, even an invalid one; a foreign one leaves the cookie in force.
        let both = |header: String| app.get(path).header(COOKIE, &cookie(&session)).header(AUTHORIZATION, &header);
        let status = open(&app, &session, path).await.status;
        let ours = format!("Bearer {}", admin.secret.expose());
        assert!(both(ours).await.assert_status(303).headers[LOCATION].to_str().unwrap().starts_with(SIGN_IN), "{path}");
        for other in ["Bearer nope", "Basic eDp5", ""] {
            assert_eq!(both(other.to_owned()).await.status, status, "{path} {other}");
        }
    }
    for path in ["users/me", "users", "roles", "admin-tokens", "api-tokens", "audit-logs", "users/me/sessions"] {
        let path = format!("/admin/{path}");
        app.get(&path).bearer(&session.secret).await.assert_ok();
        let answer = app.get(&path).header(COOKIE, &cookie(&session)).header(SITE, "same-origin").await;
        answer.assert_status(401).assert_rejected(Reason::NoCredential);
    }
}

#[tokio::test]
async fn cross_origin_forms_are_rejected_on_every_page() {
    let (world, app) = app();
    let session = world.super_admin().sign_in().await;
    let forms = FORMS.iter().map(|(path, _)| *path).chain(OPEN);
    for path in forms {
        let post = || app.post(path).header(COOKIE, &cookie(&session)).form(&[]);
        post().await.assert_status(403).assert_rejected(Reason::CrossOrigin);
        for site in ["cross-site", "same-site", "none", ""] {
            post().header(SITE, site).await.assert_status(403).assert_rejected(Reason::CrossOrigin);
        }
        let (host, origin) = (http::header::HOST, http::header::ORIGIN);
        for other in ["https://evil.test", "http://keys.example.test:81", "null"] {
            let answer = post().header(host.clone(), "keys.example.test").header(origin.clone(), other).await;
            answer.assert_status(403).assert_rejected(Reason::CrossOrigin);
        }
        // A credential that browsers send automatically proves nothing either.
        let basic = app.post(path).header(AUTHORIZATION, "Basic eDp5").header(SITE, "cross-site").form(&[]).await;
        basic.assert_status(403).assert_rejected(Reason::CrossOrigin);
        let basic = post().header(AUTHORIZATION, "Basic eDp5").await;
        basic.assert_status(403).assert_rejected(Reason::CrossOrigin);
    }
    // The session is still valid.
    open(&app, &session, "/admin/me").await.assert_ok();
}

/// Asserts the security headers of a page.
#[track_caller]
fn shielded(headers: &HeaderMap, path: &str) {
    let policy =
        headers.get(CONTENT_SECURITY_POLICY).unwrap_or_else(|| panic!("{path}: {headers:?}")).to_str().unwrap();
    for part in [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    ] {
        assert!(policy.split("; ").any(|one| one == part), "{path}: {policy}");
    }
    assert!(!policy.contains("unsafe") && !policy.contains('*') && !policy.contains("http"), "{path}: {policy}");
    assert_eq!(headers["referrer-policy"], "strict-origin", "{path}");
    assert_eq!(headers["x-content-type-options"], "nosniff", "{path}");
    assert_eq!(headers["cross-origin-opener-policy"], "same-origin", "{path}");
}

#[tokio::test]
async fn security_headers_are_on_every_page() {
    let (world, app) = app();
    let session = world.super_admin().sign_in().await;
    for (path, _) in PAGES {
        let answer = open(&app, &session, path).await;
        shielded(&answer.headers, path);
        assert_eq!(answer.headers[CACHE_CONTROL], "no-store", "{path}");
        assert!(!text(&answer).contains(" style=") && !text(&answer).contains("<style"), "{path}");
        assert!(!text(&answer).contains(" onclick=") && !text(&answer).contains("<script>"), "{path}");
        let body = text(&answer);
        let elsewhere = body.split(['"', '\'']).find(|part| part.starts_with("http") || part.starts_with("//"));
        assert_eq!(elsewhere, None, "{path} leads elsewhere");
    }
    // The first form signs out, so each form gets its own session.
    for (path, _) in FORMS {
        let answer = send(&app, &world.super_admin().sign_in().await, path).await;
        shielded(&answer.headers, path);
        assert_eq!(answer.headers[CACHE_CONTROL], "no-store", "{path}");
    }
    for path in OPEN {
        let page = app.get(path).await;
        let form = app.post(path).header(SITE, "same-origin").form(&[]).await;
        for answer in [page, form] {
            shielded(&answer.headers, path);
            assert_eq!(answer.headers[CACHE_CONTROL], "no-store", "{path}");
        }
    }
    for path in FILES {
        let answer = app.get(path).await;
        shielded(&answer.headers, path);
        assert!(
            answer.headers[CACHE_CONTROL].to_str().unwrap().contains("immutable"),
            "the address of the file contains its version"
        );
    }
}

#[tokio::test]
async fn each_page_requires_its_action() {
    let (world, app) = app();
    let everything: Vec<String> = {
        let mut all: Vec<String> = PAGES.iter().chain(&FORMS).flat_map(|(_, asked)| actions(asked)).collect();
        all.sort_unstable();
        all.dedup();
        all
    };
    let signed_in = async |actions: &mut dyn Iterator<Item = &String>| {
        let cast = actions.fold(world.editor(), |cast, action| cast.holds(Permission::new(action.as_str())));
        cast.sign_in().await
    };
    let all = PAGES.iter().map(|one| (Method::GET, one)).chain(FORMS.iter().map(|one| (Method::POST, one)));
    for (method, (path, asked)) in all {
        let asked = actions(asked);
        let ask = async |who: &Key| match method {
            Method::GET => open(&app, who, path).await,
            _ => send(&app, who, path).await,
        };
        let answer = ask(&signed_in(&mut asked.iter()).await).await;
        assert!(answer.reason.is_none(), "the required actions are sufficient: {answer:?}");
        for missing in &asked {
            let who = signed_in(&mut everything.iter().filter(|action| *action != missing)).await;
            ask(&who).await.assert_rejected(Reason::Forbidden).assert_status(403);
        }
    }
}

#[tokio::test]
async fn pages_link_only_where_the_person_may_go() {
    let (world, app) = app();
    let sections = ["admin-tokens", "api-tokens", "roles", "users", "audit-logs"];
    let link = |section: &str| format!("<a href=\"/admin/settings/{section}\"");
    for (path, asked) in PAGES.iter().filter(|(path, _)| sections.iter().any(|section| path.ends_with(section))) {
        let all = actions(asked);
        let cast = all.iter().fold(world.editor(), |cast, action| cast.holds(Permission::new(action.as_str())));
        let who = cast.sign_in().await;
        assert_eq!(open(&app, &who, "/admin/settings").await.assert_status(303).headers[LOCATION], *path);
        let me = open(&app, &who, "/admin/me").await;
        let shown: Vec<&str> = sections.into_iter().filter(|section| text(&me).contains(&link(section))).collect();
        assert_eq!(shown.iter().map(|s| format!("/admin/settings/{s}")).collect::<Vec<_>>(), [*path]);
        for part in &all[..all.len() - 1] {
            let who = world.editor().holds(Permission::new(part.as_str())).sign_in().await;
            assert!(!text(&open(&app, &who, "/admin/me").await).contains("/admin/settings/admin-tokens\""), "{part}");
        }
    }
    let powerless = world.editor().sign_in().await;
    assert_eq!(open(&app, &powerless, "/admin/settings").await.assert_status(303).headers[LOCATION], "/admin/me");
    open(&app, &powerless, "/admin/me").await.assert_ok();
}

#[tokio::test]
async fn secret_is_in_one_response_only() {
    let (world, app) = app();
    let root = world.super_admin().sign_in().await;
    let fields = [("name", "once"), ("description", ""), ("lifespan", "unlimited")];
    let create = app.post("/admin/settings/admin-tokens/create");
    let made = create.header(COOKIE, &cookie(&root)).header(SITE, "same-origin").form(&fields).await;
    let page = text(made.assert_ok());
    let key = page.split_once("id=\"key\" readonly value=\"").unwrap().1.split('"').next().unwrap().to_owned();
    assert!(key.starts_with("kw_admin_"));
    assert!(!format!("{:?}", made.headers).contains(&key));
    let id = page.split_once("data-address=\"").unwrap().1.split('"').next().unwrap().to_owned();
    // Secrets are not stored here, so no page offers to reveal one.
    for path in [id.as_str(), "/admin/settings/admin-tokens", "/admin/settings/audit-logs", "/admin/me"] {
        let answer = open(&app, &root, path).await;
        assert!(!text(answer.assert_ok()).contains(&key[9..]) && !text(&answer).contains("/view\""), "{path}");
    }
    let view = send(&app, &root, &format!("{id}/view")).await;
    assert!(!text(&view).contains(&key[9..]) && text(&view).contains("cannot be shown"), "{view:?}");
}

/// Without a script, the response to a form has the address of that form.
#[tokio::test]
async fn forms_have_explicit_actions() {
    let (world, app) = app();
    let root = world.super_admin().sign_in().await;
    let token = world.keyward.tokens().issue_admin(NewAdminToken::new("own", root.owner())).await.unwrap().token;
    let content = world.content(ContentAccess::ReadOnly).await.id;
    let editor = world.editor().issue().await;
    let version = token.version().to_string();
    let regenerate = app.post(&format!("/admin/settings/admin-tokens/{}/regenerate", token.id));
    let regenerated = regenerate.header(COOKIE, &cookie(&root)).header(SITE, "same-origin");
    let mut pages = vec![regenerated.form(&[("version", &version)]).await];
    for (section, id) in [
        ("admin-tokens", token.id.to_string()),
        ("api-tokens", content.to_string()),
        ("roles", editor.role().to_string()),
        ("users", editor.owner().to_string()),
    ] {
        pages.push(open(&app, &root, &format!("/admin/settings/{section}/{id}")).await);
        pages.push(open(&app, &root, &format!("/admin/settings/{section}/create")).await);
    }
    for page in &pages {
        let forms: Vec<&str> = text(page.assert_ok()).split("<form").skip(1).collect();
        assert!(forms.len() > 1);
        for form in forms {
            let tag = form.split('>').next().unwrap();
            assert!(tag.contains(" action=\"/admin/"), "{tag}");
        }
    }
    assert!(
        text(&pages[0]).contains(&format!("id=\"token-form\" action=\"/admin/settings/admin-tokens/{}\"", token.id))
    );
}

#[tokio::test]
async fn rejected_form_starts_with_its_errors() {
    let (world, app) = app();
    let root = world.super_admin().sign_in().await;
    let me = open(&app, &root, "/admin/me").await;
    let version = text(&me).split_once("name=\"version\" value=\"").unwrap().1.split('"').next().unwrap();
    let wrong =
        [("version", version), ("name", ""), ("type", "read-only"), ("email", "none"), ("currentPassword", "Wr0ng!!!")];
    let settings = ["admin-tokens", "api-tokens", "roles", "users"].map(|of| format!("/admin/settings/{of}/create"));
    let paths =
        settings.iter().map(String::as_str).chain([SIGN_IN, "/admin/auth/register-admin", "/admin/me/password"]);
    let title = |page: &Answer| text(page).split_once("<title>").unwrap().1.split('<').next().unwrap().to_owned();
    for path in paths {
        let answer = app.post(path).header(COOKIE, &cookie(&root)).header(SITE, "same-origin").form(&wrong).await;
        assert!(title(&answer).starts_with("Error: "), "{path}: {answer:?}");
        // The script moves the focus there.
        let alerts = text(&answer).matches("role=\"alert\" tabindex=\"-1\"").count();
        assert_eq!(alerts, 1, "{path}");
    }
    for (path, _) in PAGES.into_iter().filter(|(path, _)| !path.ends_with("/7")) {
        let page = open(&app, &root, path).await;
        assert!(!text(&page).contains("Error: "), "{path}");
    }
    let asked = open(&app, &root, "/admin/settings/audit-logs?by=nobody").await;
    assert!(title(asked.assert_status(400)).starts_with("Error: Audit"), "{asked:?}");
}

#[tokio::test]
async fn session_of_a_deactivated_account_ends_at_the_next_page() {
    let (world, app) = app();
    let edda = world.editor().sign_in().await;
    open(&app, &edda, "/admin/me").await.assert_ok();
    let off = OwnerUpdate { active: Some(false), ..OwnerUpdate::default() };
    world.keyward.owners().update(edda.owner.unwrap().0, off).await.unwrap();
    open(&app, &edda, "/admin/me").await.assert_status(303);
}

#[tokio::test]
async fn unknown_page_address_is_rejected_with_a_page() {
    let (world, app) = app();
    let root = world.super_admin().sign_in().await;
    let me = format!("/admin/settings/users/{}?done=saved&done=saved", root.owner.unwrap().0);
    for path in [
        // Identifiers that no database could hold.
        "/admin/settings/users?q=a%00b",
        "/admin/settings/audit-logs?by=%00",
        "/admin/settings/roles?sort=%00",
        // Queries with contradictory parameters.
        "/admin/settings/users?page=1&page=2",
        "/admin/settings/roles?q=a&q=b",
        "/admin/settings/admin-tokens?sort=name&sort=name",
        "/admin/settings/api-tokens?sort=name&sort=name",
        "/admin/settings/audit-logs?what=token-issued&what=token-revoked",
        "/admin/settings/roles/create?from=nobody",
        "/admin/auth/login?redirectTo=/admin/me&redirectTo=/admin/settings",
        "/admin/auth/register?registrationToken=a&registrationToken=b",
        "/admin/me?done=saved&done=saved",
        &me,
    ] {
        let answer = open(&app, &root, path).await;
        answer.assert_status(400);
        assert!(text(&answer).contains("not valid"), "{path}");
    }
}
