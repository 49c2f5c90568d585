//! The pages of API tokens, of the person's own profile and of the audit log: their contents for each viewer, and their
//! changes.

use http::header::{LOCATION, SET_COOKIE};
use keyward::admin::{Actor, OwnerUpdate, Password, ProfileUpdate, TokenUpdate};
use keyward::authz::Catalogue;
use keyward::testing::{Answer, App, Key, World};
use keyward::token::{ContentAccess, EncryptionKeys, TokenAuthority, TokenId, TokenKind};
use keyward::{Grant, NewAdminToken, ui};
use std::time::Duration;

const ADMIN_TOKENS: &str = "/admin/settings/admin-tokens";
const TOKENS: &str = "/admin/settings/api-tokens";
const LOG: &str = "/admin/settings/audit-logs";
const PASSWORD: &str = "Passw0rd!";
const FIND: &str = "api::article.article.find";
const KEYS: &str = "first:8f1c07d2b64e93a5507be1c98d3f62a4c1e9704b5d28f6a30e7c94b1d8256f3a";

fn app() -> (World, App) {
    let catalogue = Catalogue::default().content_action(FIND).content_action("api::article.article.create");
    let world = World::with(|builder| {
        builder
            .ui("/admin", keyward::guard::SessionCookie::default())
            .catalogue(catalogue)
            .encryption(EncryptionKeys::parse(KEYS).unwrap())
    });
    let app = world.guard(ui::router(&world.keyward));
    (world, app)
}

fn text(answer: &Answer) -> String {
    String::from_utf8(answer.body.to_vec()).unwrap()
}

/// Returns the visible text of a page.
fn read(answer: &Answer) -> String {
    let text = text(answer);
    let plain: String = text.split('<').map(|part| part.split_once('>').map_or(part, |(_, text)| text)).collect();
    plain.replace("&#39;", "'").split_whitespace().collect::<Vec<_>>().join(" ")
}

fn value(answer: &Answer, name: &str) -> String {
    let text = text(answer);
    let after = text.split_once(&format!("name=\"{name}\" value=\"")).unwrap().1;
    after.split_once('"').unwrap().0.to_owned()
}

async fn page(app: &App, who: &Key, path: &str) -> Answer {
    app.get(path).bearer(&who.secret).peer([192, 0, 2, 7]).await
}

async fn send(app: &App, who: &Key, path: &str, fields: &[(&str, &str)]) -> Answer {
    app.post(path).bearer(&who.secret).peer([192, 0, 2, 7]).form(fields).await
}

fn shown_key(answer: &Answer) -> Option<String> {
    let text = text(answer);
    let at = text.find("kw_content_")?;
    Some(text[at..at + 61].to_owned())
}

async fn tokens(world: &World) -> Vec<keyward::token::Token> {
    let all = world.keyward.tokens().list(&keyward::store::TokenQuery::of(TokenKind::Content)).await.unwrap();
    all.items.into_iter().map(|described| described.token).collect()
}

const NEW: [(&str, &str); 4] = [("name", "site"), ("description", ""), ("lifespan", "unlimited"), ("type", "custom")];

#[tokio::test]
async fn revealable_secret_is_in_its_creation_and_reveal_responses_only() {
    let (world, app) = app();
    let root = world.super_admin().sign_in().await;
    let made = send(&app, &root, &format!("{TOKENS}/create"), &[&NEW[..], &[("action", FIND)]].concat()).await;
    let key = shown_key(made.assert_ok()).unwrap();
    assert_eq!(made.headers["cache-control"], "no-store");
    let to_try = text(&made).split_once(&format!("Bearer {key}\" ")).unwrap().1.to_owned();
    assert!(to_try.split_once('<').unwrap().0.ends_with("/api"), "{to_try}");
    let id = tokens(&world).await[0].id;
    let one = format!("{TOKENS}/{id}");
    for path in [&one, TOKENS, LOG, &format!("{LOG}?what=token-issued")] {
        assert!(!text(page(&app, &root, path).await.assert_ok()).contains(&key[11..]), "{path}");
    }
    let viewed = send(&app, &root, &format!("{one}/view"), &[]).await;
    assert_eq!(shown_key(viewed.assert_ok()).as_ref(), Some(&key));
    let version = value(&viewed, "version");
    let new = send(&app, &root, &format!("{one}/regenerate"), &[("version", &version)]).await;
    assert_ne!(shown_key(new.assert_ok()).unwrap(), key);
    // The former form is stale.
    send(&app, &root, &format!("{one}/regenerate"), &[("version", &version)]).await.assert_status(409);
    let log = read(&page(&app, &root, LOG).await);
    for label in
        ["Token created: API token site", "Token's key viewed: API token site", "Token regenerated: API token site"]
    {
        assert_eq!(log.matches(label).count(), 1, "{label}: {log}");
    }
}

#[tokio::test]
async fn stale_page_does_not_delete_a_token() {
    let (world, app) = app();
    let root = world.super_admin().sign_in().await;
    let of_admin = world.super_admin().issue().await.id;
    let of_content = world.content(ContentAccess::ReadOnly).await.id;
    let all = world.keyward.tokens();
    for (list, id) in [(ADMIN_TOKENS, of_admin), (TOKENS, of_content)] {
        let one = format!("{list}/{id}");
        let in_row = async || {
            let row = format!("data-action=\"{one}/delete\" data-version=\"");
            let shown = text(&page(&app, &root, list).await);
            shown.split_once(&row).unwrap().1.split_once('"').unwrap().0.to_owned()
        };
        let shown = text(&page(&app, &root, &one).await);
        let dialog = shown.split_once(&format!("action=\"{one}/delete\"")).unwrap().1;
        let seen = in_row().await;
        let field = format!("<input type=\"hidden\" name=\"version\" value=\"{seen}\"><h2");
        assert!(dialog.trim_start_matches('>').starts_with(&field), "{dialog}");
        let renamed = TokenUpdate { name: Some("production".into()), ..TokenUpdate::default() };
        all.update(id, renamed).await.unwrap();

        let delete = async |fields: &[(&str, &str)]| send(&app, &root, &format!("{one}/delete"), fields).await;
        let stale = delete(&[("version", &seen)]).await;
        assert!(read(stale.assert_status(409)).contains("changed this in the meantime"));
        delete(&[]).await.assert_status(400);
        assert_eq!(all.read(id).await.unwrap().token.name, "production");
        let now = in_row().await;
        assert_ne!(now, seen);
        delete(&[("version", &now)]).await.assert_status(303);
        all.read(id).await.unwrap_err();
    }
}

#[tokio::test]
async fn rejected_form_shows_the_stored_token_name() {
    let (world, app) = app();
    let root = world.super_admin().sign_in().await;
    let of_admin = NewAdminToken::new("own", root.owner());
    let of_admin = world.keyward.tokens().issue_admin(of_admin).await.unwrap().token.id;
    let of_content = world.content(ContentAccess::ReadOnly).await.id;
    for (list, id, name) in [(ADMIN_TOKENS, of_admin, "staging"), (TOKENS, of_content, "trial")] {
        let renamed = TokenUpdate { name: Some(name.into()), ..TokenUpdate::default() };
        let now = world.keyward.tokens().update(id, renamed).await.unwrap();
        let one = format!("{list}/{id}");
        let long = "x".repeat(2001);
        let version = now.token.version().to_string();
        let fields = [("version", &*version), ("name", "production"), ("description", &*long), ("type", "read-only")];
        let refused = send(&app, &root, &one, &fields).await;
        let shown = read(refused.assert_status(400));
        for said in [format!("Regenerate the key of “{name}”?"), format!("Delete “{name}”?")] {
            assert!(shown.contains(&said), "{said}: {shown}");
        }
        assert!(text(&refused).contains(&format!("<h1>{name}</h1>")), "{shown}");
        assert!(text(&refused).contains("name=\"name\" required maxlength=\"255\" value=\"production\""), "{shown}");
    }
}

#[tokio::test]
async fn custom_token_has_the_chosen_actions_and_other_types_have_none() {
    let (world, app) = app();
    let root = world.super_admin().sign_in().await;
    let create = format!("{TOKENS}/create");
    let none = send(&app, &root, &create, &NEW).await;
    assert!(read(none.assert_status(400)).contains("A custom token names at least one action"));
    let unknown = send(&app, &root, &create, &[&NEW[..], &[("action", "api::x.x.find")]].concat()).await;
    assert!(read(unknown.assert_status(400)).contains("There is no content action api::x.x.find"));
    send(&app, &root, &create, &[("name", "x"), ("lifespan", "unlimited"), ("type", "")]).await.assert_status(400);
    assert!(tokens(&world).await.is_empty());

    send(&app, &root, &create, &[&NEW[..], &[("action", FIND)]].concat()).await.assert_ok();
    let access = |token: &keyward::token::Token| match &token.authority {
        TokenAuthority::Content { access } => access.clone(),
        other => panic!("{other:?}"),
    };
    let token = &tokens(&world).await[0];
    assert_eq!(access(token), ContentAccess::Custom([FIND.into()].into()));
    // Boxes ticked before another type was chosen are ignored.
    let one = format!("{TOKENS}/{}", token.id);
    let version = value(&page(&app, &root, &one).await, "version");
    let fields =
        [("version", &*version), ("name", "<b>site"), ("description", ""), ("type", "read-only"), ("action", FIND)];
    assert_eq!(
        send(&app, &root, &one, &fields).await.assert_status(303).headers[LOCATION],
        format!("{one}?done=saved")
    );
    let token = &tokens(&world).await[0];
    assert_eq!((access(token), &*token.name), (ContentAccess::ReadOnly, "<b>site"));
    let shown = text(&page(&app, &root, &one).await);
    assert!(shown.contains("&#60;b&#62;site") && !shown.contains("<b>site"), "{shown}");
}

#[tokio::test]
async fn reader_without_update_permission_sees_tokens_read_only() {
    let (world, app) = app();
    world.content(ContentAccess::ReadOnly).await;
    let id = tokens(&world).await[0].id;
    let grants = ["admin::api-tokens.access", "admin::api-tokens.read"].map(Grant::new);
    let reader = grants.iter().fold(world.editor(), |cast, grant| cast.holds(permission(grant))).sign_in().await;
    let one = format!("{TOKENS}/{id}");
    assert!(!text(page(&app, &reader, TOKENS).await.assert_ok()).contains("/delete"));
    assert!(text(page(&app, &reader, &one).await.assert_ok()).contains("but not change it"));
    for path in [one.clone(), format!("{one}/regenerate"), format!("{one}/delete"), format!("{TOKENS}/create")] {
        send(&app, &reader, &path, &NEW).await.assert_status(403);
    }
    page(&app, &world.editor().sign_in().await, TOKENS).await.assert_status(403);
}

fn permission(grant: &Grant) -> keyward::Permission {
    keyward::Permission::new(grant.scope.action.clone())
}

async fn signed_in_person(world: &World) -> (Key, String) {
    let key = world.editor().sign_in().await;
    let owner = world.keyward.owners().set_password(key.owner(), Password::new(PASSWORD)).await.unwrap();
    (sign_in(world, &owner.email).await, owner.email)
}

async fn sign_in(world: &World, email: &str) -> Key {
    let sessions = world.keyward.sessions().acting_as(Actor::Visitor).from_address(Some([203, 0, 113, 9].into()));
    let signed_in = sessions.sign_in(email, &Password::new(PASSWORD)).await.unwrap();
    let owner = signed_in.owner;
    Key { secret: signed_in.session.secret, id: signed_in.session.token.id, owner: Some((owner.id, owner.roles[0])) }
}

#[tokio::test]
async fn new_password_needs_the_old_one_and_ends_every_session() {
    let (world, app) = app();
    let (here, email) = signed_in_person(&world).await;
    let there = sign_in(&world, &email).await;
    let me = page(&app, &here, "/admin/me").await;
    let version = value(me.assert_ok(), "version");
    assert!(read(&me).contains("all your sessions end, including this one"));
    let path = "/admin/me/password";
    let fields = |old, new| [("version", version.as_str()), ("currentPassword", old), ("password", new)];
    for (old, new) in [("Wr0ng!!!", "N3wPassword"), (PASSWORD, "short"), ("", "N3wPassword")] {
        let refused = send(&app, &here, path, &fields(old, new)).await;
        assert!(!text(refused.assert_status(400)).contains("N3wPassword"));
    }
    page(&app, &there, "/admin/me").await.assert_ok();
    let done = send(&app, &here, path, &fields(PASSWORD, "N3wPassword")).await;
    assert!(done.assert_status(303).headers[SET_COOKIE].to_str().unwrap().contains("Max-Age=0"));
    let to = done.headers[LOCATION].to_str().unwrap();
    assert!(read(app.get(to).await.assert_ok()).contains("Your password was changed"));
    for key in [&here, &there] {
        page(&app, key, "/admin/me").await.assert_status(303);
    }
}

#[tokio::test]
async fn new_address_needs_the_password_and_names_do_not() {
    let (world, app) = app();
    let (me, email) = signed_in_person(&world).await;
    let version = || async { value(&page(&app, &me, "/admin/me").await, "version") };
    let names = [("version", &*version().await), ("firstname", "Ada"), ("lastname", "<i>L"), ("username", " ")];
    send(&app, &me, "/admin/me", &names).await.assert_status(303);
    // A stale form overwrites nothing.
    send(&app, &me, "/admin/me", &names).await.assert_status(409);
    let now = version().await;
    let address = |email, password| [("version", now.as_str()), ("email", email), ("currentPassword", password)];
    let same = send(&app, &me, "/admin/me/email", &address(&email, "")).await;
    assert_eq!(same.assert_status(303).headers[LOCATION], "/admin/me?done=saved");
    send(&app, &me, "/admin/me/email", &address("ada@example.test", "Wr0ng!!!")).await.assert_status(400);
    page(&app, &me, "/admin/me").await.assert_ok();
    let done = send(&app, &me, "/admin/me/email", &address("ada@example.test", PASSWORD)).await;
    assert!(done.assert_status(303).headers[LOCATION].to_str().unwrap().ends_with("done=email"));
    page(&app, &me, "/admin/me").await.assert_status(303);
}

#[tokio::test]
async fn people_end_only_own_sessions() {
    let (world, app) = app();
    let (here, email) = signed_in_person(&world).await;
    let there = sign_in(&world, &email).await;
    let (stranger, _) = signed_in_person(&world).await;
    let end = |id: TokenId| format!("/admin/me/sessions/{id}/end");
    let me = page(&app, &here, "/admin/me").await;
    assert!(read(&me).contains("203.0.113.9"), "the address that the session was opened from");
    assert!(text(&me).contains(&end(there.id)) && !text(&me).contains(&end(here.id)));
    assert!(!text(&me).contains(&end(stranger.id)));
    send(&app, &here, &end(stranger.id), &[]).await.assert_status(404);
    page(&app, &stranger, "/admin/me").await.assert_ok();
    send(&app, &here, &end(there.id), &[]).await.assert_status(303);
    page(&app, &there, "/admin/me").await.assert_status(303);
    page(&app, &here, "/admin/me").await.assert_ok();
}

#[tokio::test]
async fn audit_log_page_explains_events_and_filters_by_kind_person_and_day() {
    let (world, app) = app();
    let root = world.super_admin().sign_in().await;
    let people = world.keyward.owners().acting_as(Actor::Person(root.owner()));
    let bob = world.editor().with("admin::users.read").with("admin::roles.read").issue().await;
    let named = OwnerUpdate { firstname: Some("Bob <b>".into()), ..OwnerUpdate::default() };
    people.update(bob.owner(), named).await.unwrap();
    let profile = ProfileUpdate { firstname: Some("Root".into()), ..ProfileUpdate::default() };
    world.keyward.sessions().acting_as(Actor::Person(root.owner())).update_me(profile).await.unwrap();
    let roles = world.keyward.roles().acting_as(Actor::Person(root.owner()));
    roles.set_permissions(bob.role(), vec![keyward::Permission::new("admin::roles.read")]).await.unwrap();

    let log = page(&app, &root, LOG).await;
    let said = read(log.assert_ok());
    for shown in [
        "Permission removed from a token: admin token",
        "PermissionUsers: ReadCauseRole's permissions changed: ",
        "User's profile changed: Bob &#60;b&#62;",
        "User's profile changed: Root",
        "Role created: ",
        "the program",
    ] {
        assert!(said.contains(shown), "{shown}: {said}");
    }
    assert!(text(&log).contains(&format!("/admin/settings/admin-tokens/{}\"", bob.id)));
    let only = |query: String| {
        let (app, root) = (&app, &root);
        async move {
            text(page(app, root, &format!("{LOG}?{query}")).await.assert_ok()).matches("<td class=\"what\">").count()
        }
    };
    assert_eq!(only("what=grant-clamped".into()).await, 1);
    assert_eq!(only("by=root".into()).await, 4);
    assert_eq!(only(format!("by=%23{}&what=owner-updated", root.owner())).await, 2);
    // The filter includes the whole last day.
    let day = text(&log).split_once("<time datetime=\"").unwrap().1[..10].to_owned();
    assert_eq!(only(format!("from={day}&to={day}")).await, only(String::new()).await);
    assert_eq!(only("to=1969-12-31".into()).await, 0);
    assert_ne!(only("page=99".into()).await, 0, "the last page there is");
    // Deleted accounts keep their names.
    people.delete(bob.owner()).await.unwrap();
    let said = read(&page(&app, &root, LOG).await);
    for shown in [
        "User deleted: Bob &#60;b&#62; (deleted) Details",
        "Token deleted: admin token",
        "CauseUser deleted: Bob &#60;b&#62; (deleted)",
        "User's profile changed: Bob &#60;b&#62; (deleted) Details of: User's profile changedFirst namenothing → Bob",
        "(deleted) Details of: Permission removed from a tokenPermissionUsers: Read",
    ] {
        assert!(said.contains(shown), "{shown}: {said}");
    }
    let wrong = page(&app, &root, &format!("{LOG}?what=x&by=nobody&from=y")).await;
    assert!(read(wrong.assert_status(400)).contains("No user has this e-mail address or name"));
}

#[tokio::test]
async fn audit_log_page_shows_kind_and_time_only_for_tokens_of_others() {
    let (world, app) = app();
    let reader = world.editor().holds(keyward::Permission::new("admin::audit-logs.read")).sign_in().await;
    let ada = world.super_admin().sign_in().await;
    let tokens = world.keyward.tokens().acting_as(Actor::Person(ada.owner()));
    let token = tokens.issue_admin(NewAdminToken::new("secret-project", ada.owner())).await.unwrap().token;
    world.content(ContentAccess::ReadOnly).await;
    let named = OwnerUpdate { firstname: Some("Secreta".into()), ..OwnerUpdate::default() };
    world.keyward.owners().update(ada.owner(), named).await.unwrap();
    let log = page(&app, &reader, LOG).await;
    let said = read(log.assert_ok());
    for shown in [
        "Token created: an admin token of another user",
        "another user or token",
        "Token created: an API token",
        "User's profile changed: another user",
        "You do not have permission to see the details",
    ] {
        assert!(said.contains(shown), "{shown}: {said}");
    }
    for secret in ["secret-project", "Secreta", &format!("#{}", token.id)] {
        assert!(!said.contains(secret), "{secret}: {said}");
    }
    // Filtering by actor does not reveal which accounts exist.
    let asked = async |by: &str| {
        read(&page(&app, &reader, &format!("{LOG}?by={by}")).await).contains("enter your own e-mail address")
    };
    let theirs = world.keyward.owners().read(ada.owner()).await.unwrap().email;
    assert!(asked(&theirs.replace('@', "%40")).await && asked("nobody%40example.test").await);
    let own = world.keyward.owners().read(reader.owner()).await.unwrap().email;
    assert!(!asked(&own.replace('@', "%40")).await);
    let whole = read(&page(&app, &ada, LOG).await);
    assert!(whole.contains("secret-project") && whole.contains("Secreta"), "{whole}");
}

#[tokio::test]
async fn audit_log_page_links_where_its_reader_may_go_and_has_no_digest() {
    let (world, app) = app();
    let auditor = world.editor().holds(keyward::Permission::new("admin::audit-logs.read")).sign_in().await;
    let bob = world.editor().with("admin::roles.read").issue().await;
    world.content(ContentAccess::ReadOnly).await;
    let log = text(page(&app, &auditor, LOG).await.assert_ok());
    let rows = log.split_once("<tbody>").unwrap().1;
    assert!(!rows.contains("href=\"/admin/"), "{rows}");
    for secret in [&auditor.secret, &bob.secret] {
        assert!(!log.contains(secret.expose()));
    }
    let token = world.keyward.tokens().read(bob.id).await.unwrap().token;
    assert!(!log.contains(&token.digest.to_hex()));
    page(&app, &world.editor().sign_in().await, LOG).await.assert_status(403);
}

#[tokio::test]
async fn a_token_page_shows_limits_and_the_previous_key() {
    let (world, app) = app();
    let root = world.super_admin().sign_in().await;
    let limits = keyward::token::TokenLimits::none()
        .networks(["10.0.0.0/8".parse().unwrap()])
        .rate(keyward::token::RateLimit::new(100, Duration::from_secs(60)).unwrap())
        .idle_expiry(Duration::from_secs(30 * 24 * 60 * 60));
    let new = keyward::NewContentToken::new("bounded", ContentAccess::ReadOnly).limits(limits);
    let token = world.keyward.tokens().issue_content(new).await.unwrap().token;
    let one = format!("{TOKENS}/{}", token.id);
    let shown = read(&page(&app, &root, &one).await);
    for text in ["10.0.0.0/8", "100 per 1 minute, on each server", "30 days"] {
        assert!(shown.contains(text), "{text}: {shown}");
    }
    assert!(!shown.contains("previous key") && !shown.contains("disabled"), "{shown}");
    world.keyward.tokens().regenerate_with_grace(token.id, Duration::from_secs(7200)).await.unwrap();
    let disable = TokenUpdate { enabled: Some(false), ..TokenUpdate::default() };
    world.keyward.tokens().update(token.id, disable).await.unwrap();
    let shown = read(&page(&app, &root, &one).await);
    assert!(shown.contains(&format!("The previous key …{} is still valid", token.hint)), "{shown}");
    assert!(shown.contains("in 2 hours") && shown.contains("This token is disabled."), "{shown}");
    assert!(read(&page(&app, &root, TOKENS).await).contains("bounded disabled"));
    let version = world.keyward.tokens().read(token.id).await.unwrap().token.version().to_string();
    send(&app, &root, &format!("{one}/end-grace"), &[("version", &version)]).await.assert_status(303);
    assert!(!read(&page(&app, &root, &one).await).contains("previous key"));
}
