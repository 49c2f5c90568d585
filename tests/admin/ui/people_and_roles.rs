//! The settings pages of people and roles: confirmations before permissions are removed, and what is shown to whom.

use axum::body::Body;
use http::{Request, Response, StatusCode, header};
use http_body_util::BodyExt;
use keyward::admin::OwnerState;
use keyward::authz::{ActionEntry, Catalogue, ConditionClause, Fields, IS_CREATOR, ResourceEntry};
use keyward::guard::GateService;
use keyward::store::{EventQuery, Paging};
use keyward::testing::{Key, World};
use keyward::token::TokenId;
use keyward::{Grant, NewAdminToken, NewOwner, NewRole, OwnerId, Permission, RoleId, ui};
use tower::ServiceExt;

const ROLES: &str = "/admin/settings/roles";
const USERS: &str = "/admin/settings/users";
const READ: &str = "explorer.read";
const TOKENS: &str = "/admin/settings/admin-tokens";
const HOOKS: &str = "admin::webhooks.read";
/// A grant as a form sends it.
const HOOKS_ALONE: &str = r#"["admin::webhooks.read"]"#;

struct Setup {
    world: World,
    pages: GateService<axum::Router>,
}

/// A page as a person sees it.
struct Page {
    status: StatusCode,
    location: String,
    text: String,
}

impl Page {
    #[track_caller]
    fn says(&self, text: &str) -> &Self {
        assert!(self.text.contains(text), "no {text:?} in {}", self.text);
        self
    }

    /// Returns the value of an input or a button.
    #[track_caller]
    fn value(&self, name: &str) -> String {
        let marker = format!("name=\"{name}\" value=\"");
        let (_, rest) = self.text.split_once(&marker).unwrap_or_else(|| panic!("no {name} in {}", self.text));
        rest.split_once('"').unwrap().0.to_owned()
    }
}

impl Setup {
    fn new() -> Self {
        let article = ResourceEntry::collection("article", "Article").fields(["title", "body"]);
        let catalogue = Catalogue::default()
            .resource(article)
            .action(ActionEntry::on_resources(READ, "Read", ["article"]).with_fields())
            .action(ActionEntry::settings(HOOKS, "Webhooks", "Read"));
        let world =
            World::with(|builder| builder.catalogue(catalogue).ui("/admin", keyward::guard::SessionCookie::default()));
        let pages = world.keyward.guard(ui::router(&world.keyward));
        Self { world, pages }
    }

    async fn get(&self, who: &Key, path: &str) -> Page {
        self.ask(who, Request::get(path).body(Body::empty()).unwrap()).await
    }

    async fn post(&self, who: &Key, path: &str, fields: &[(&str, &str)]) -> Page {
        let encode = |text: &str| text.bytes().map(|b| format!("%{b:02X}")).collect::<String>();
        let body: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect();
        let request = Request::post(path).header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        self.ask(who, request.body(Body::from(body.join("&"))).unwrap()).await
    }

    async fn ask(&self, who: &Key, mut request: Request<Body>) -> Page {
        let cookie = format!("__Host-keyward={}", who.secret.expose());
        request.headers_mut().insert(header::COOKIE, cookie.parse().unwrap());
        request.headers_mut().insert("sec-fetch-site", "same-origin".parse().unwrap());
        request.headers_mut().insert(header::HOST, "keys.example.test".parse().unwrap());
        let response: Response<_> = self.pages.clone().oneshot(request).await.unwrap();
        let location = response.headers().get(header::LOCATION).map_or("", |to| to.to_str().unwrap()).to_owned();
        let status = response.status();
        let text = response.into_body().collect().await.unwrap().to_bytes();
        Page { status, location, text: String::from_utf8(text.to_vec()).unwrap() }
    }

    async fn super_admin(&self) -> Key {
        self.world.super_admin().sign_in().await
    }

    /// Returns a person who manages people and roles and may read titles.
    async fn user_manager(&self) -> Key {
        let deeds = ["read", "create", "update", "delete"];
        let actions = deeds.iter().flat_map(|deed| ["users", "roles"].map(|what| format!("admin::{what}.{deed}")));
        let all = actions.fold(self.world.editor(), |cast, action| cast.holds(Permission::new(action)));
        all.holds(Permission::new(READ).on("article").fields(titles())).sign_in().await
    }

    async fn role(&self, name: &str, permissions: impl IntoIterator<Item = Permission>) -> RoleId {
        self.world.keyward.roles().create(NewRole::new(name).permissions(permissions)).await.unwrap().id
    }

    async fn person(&self, name: &str, roles: impl IntoIterator<Item = RoleId>) -> OwnerId {
        let new = NewOwner::new(format!("{name}@x.test")).named(name, "").roles(roles);
        self.world.keyward.owners().create(new).await.unwrap().id
    }

    async fn token(&self, name: &str, owner: OwnerId, grants: impl IntoIterator<Item = Grant>) -> TokenId {
        let new = NewAdminToken::new(name, owner).grants(grants);
        self.world.keyward.tokens().issue_admin(new).await.unwrap().token.id
    }

    async fn permissions(&self, role: RoleId) -> Vec<Permission> {
        self.world.keyward.roles().read(role).await.unwrap().permissions
    }

    async fn owner(&self, id: OwnerId) -> keyward::admin::Owner {
        self.world.keyward.owners().read(id).await.unwrap()
    }
}

fn titles() -> Fields {
    Fields::only(["title"]).unwrap()
}

fn reads() -> [Permission; 2] {
    let read = || Permission::new(READ).on("article");
    [read().fields(titles()), read().when(ConditionClause::from_list([IS_CREATOR]))]
}

#[tokio::test]
async fn smaller_role_is_saved_after_its_loss_is_confirmed() {
    let setup = Setup::new();
    let super_admin = setup.super_admin().await;
    let role = setup.role("Reader", [Permission::new(HOOKS), Permission::new(READ).on("article")]).await;
    let ada = setup.person("ada", [role]).await;
    let grants = || [Grant::new(HOOKS), Grant::new(READ).on("article")];
    setup.token("one", ada, grants()).await;
    let path = format!("{ROLES}/{role}");
    let version = setup.get(&super_admin, &path).await.value("version");
    let read = format!(r#"["{READ}","article"]"#);
    let sent = [("version", version.as_str()), ("name", "Reader 2"), ("grant", &read)];
    let before = setup.permissions(role).await;

    let asked = setup.post(&super_admin, &path, &sent).await;
    assert_eq!(asked.status, StatusCode::OK);
    asked.says("1 token loses permissions").says("Nothing is saved yet").says("Reader 2");
    assert_eq!(asked.value("version"), version);
    let first = asked.value("confirmed");
    assert_eq!(setup.permissions(role).await, before);
    assert_eq!(setup.world.keyward.roles().read(role).await.unwrap().name, "Reader");

    // The change now removes more than the person has confirmed.
    let two = setup.token("two", ada, grants()).await;
    let confirmed = |value| [&sent[..], &[("confirmed", value)]].concat();
    let again = setup.post(&super_admin, &path, &confirmed(&first)).await;
    again.says("2 tokens lose permissions");
    assert_eq!(setup.permissions(role).await, before);
    let second = again.value("confirmed");
    // Another change with the same loss needs its own confirmation.
    let other = [("version", version.as_str()), ("name", "Reader 2"), ("grant", HOOKS_ALONE), ("confirmed", &second)];
    let third = setup.post(&super_admin, &path, &other).await;
    third.says("2 tokens lose permissions").says("Nothing is saved yet");
    assert_ne!(third.value("confirmed"), second);
    assert_eq!(setup.permissions(role).await, before);
    let saved = setup.post(&super_admin, &path, &confirmed(&second)).await;
    assert_eq!((saved.status, saved.location), (StatusCode::SEE_OTHER, format!("{path}?done=saved")));
    assert_eq!(setup.permissions(role).await, [Permission::new(READ).on("article")]);
    assert_eq!(setup.world.keyward.roles().read(role).await.unwrap().name, "Reader 2");
    let two = setup.world.keyward.tokens().read(two).await.unwrap().token;
    assert_eq!(two.grants(), [Grant::new(READ).on("article")]);

    // The form was made from an older state.
    let stale = setup.post(&super_admin, &path, &confirmed(&second)).await;
    assert_eq!(stale.status, StatusCode::CONFLICT);
}

#[tokio::test]
async fn removing_roles_from_a_person_needs_confirmation() {
    let setup = Setup::new();
    let super_admin = setup.super_admin().await;
    let (a, b) = (setup.role("A", [Permission::new(HOOKS)]).await, setup.role("B", []).await);
    let ada = setup.person("ada", [a, b]).await;
    setup.token("one", ada, [Grant::new(HOOKS)]).await;
    let path = format!("{USERS}/{ada}");
    let version = setup.get(&super_admin, &path).await.value("version");
    let b_text = b.to_string();
    let sent = [("version", version.as_str()), ("email", "ada@x.test"), ("firstname", "Ada"), ("role", &b_text)];
    let asked = setup.post(&super_admin, &path, &sent).await;
    let value = asked.says("1 token loses permissions").value("confirmed");
    let confirmed = ("confirmed", value.as_str());
    // Without any role the loss is the same, but that change was not confirmed.
    let other = setup.post(&super_admin, &path, &[&sent[..3], &[confirmed]].concat()).await;
    assert_ne!(other.says("1 token loses permissions").value("confirmed"), value);
    assert_eq!((setup.owner(ada).await.roles, setup.owner(ada).await.firstname), (vec![a, b], "ada".to_owned()));
    let saved = setup.post(&super_admin, &path, &[&sent[..], &[confirmed]].concat()).await;
    assert_eq!(saved.status, StatusCode::SEE_OTHER);
    assert_eq!((setup.owner(ada).await.roles, setup.owner(ada).await.firstname), (vec![b], "Ada".to_owned()));
}

/// Returns the ticked boxes of a form, as a browser sends them.
fn ticked(page: &Page) -> Vec<(String, String)> {
    let inputs = page.text.split("<input").skip(1).map(|rest| rest.split_once('>').unwrap().0);
    let boxes = inputs.filter(|input| input.contains("checkbox") && input.contains(" checked"));
    let attribute = |input: &str, name: &str| {
        let (_, rest) = input.split_once(&format!(" {name}=\""))?;
        let value = rest.split_once('"')?.0;
        Some(value.replace("&#34;", "\"").replace("&quot;", "\""))
    };
    boxes.filter_map(|input| Some((attribute(input, "name")?, attribute(input, "value")?))).collect()
}

#[tokio::test]
async fn unchanged_form_changes_nothing() {
    let setup = Setup::new();
    let super_admin = setup.super_admin().await;
    let hooks = Permission::new(HOOKS).when(ConditionClause::from_list([IS_CREATOR]));
    let role = setup.role("Reader", reads().into_iter().chain([hooks])).await;
    let before = setup.permissions(role).await;
    let path = format!("{ROLES}/{role}");
    let page = setup.get(&super_admin, &path).await;
    let (version, ticked) = (page.value("version"), ticked(&page));
    let mut sent = vec![("version", version.as_str()), ("name", "Renamed")];
    sent.extend(ticked.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    assert_eq!(setup.post(&super_admin, &path, &sent).await.status, StatusCode::SEE_OTHER);
    assert_eq!(setup.permissions(role).await, before);
    assert_eq!(setup.world.keyward.roles().read(role).await.unwrap().name, "Renamed");
}

#[tokio::test]
async fn forged_form_cannot_grant_disabled_permissions() {
    let setup = Setup::new();
    let user_manager = setup.user_manager().await;
    let page = setup.get(&user_manager, &format!("{ROLES}/create")).await;
    page.says("you cannot grant this");
    let whole = format!(r#"["{READ}","article"]"#);
    let sent = [("name", "More"), ("grant", whole.as_str())];
    let refused = setup.post(&user_manager, &format!("{ROLES}/create"), &sent).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    refused.says("more than you hold").says("More");
    let title = format!(r#"["{READ}","article","title"]"#);
    let made =
        setup.post(&user_manager, &format!("{ROLES}/create"), &[("name", "Less"), ("grant", title.as_str())]).await;
    assert_eq!(made.status, StatusCode::SEE_OTHER);
    // Roles and people with more permissions are shown read-only.
    let role = setup.role("Strong", [Permission::new(HOOKS)]).await;
    let ada = setup.person("ada", [role]).await;
    let version = setup.world.keyward.roles().read(role).await.unwrap().version().to_string();
    setup.get(&user_manager, &format!("{ROLES}/{role}")).await.says("This role has permissions that you don’t have");
    let sent = [("version", version.as_str()), ("name", "Weak")];
    let refused = setup.post(&user_manager, &format!("{ROLES}/{role}"), &sent).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    refused.says("this role has permissions that you do not have");
    let shown = setup.get(&user_manager, &format!("{USERS}/{ada}")).await;
    shown.says("This user has permissions that you don’t have");
    let version = setup.owner(ada).await.version().to_string();
    let sent = [("version", version.as_str()), ("deed", "block")];
    let refused = setup.post(&user_manager, &format!("{USERS}/{ada}/state"), &sent).await;
    assert_eq!((refused.status, setup.owner(ada).await.state), (StatusCode::BAD_REQUEST, OwnerState::Active));
    // Records that the person may only read are not changed.
    let reader = setup.world.editor().holds(Permission::new("admin::users.read")).sign_in().await;
    assert_eq!(setup.get(&reader, USERS).await.status, StatusCode::OK);
    assert_eq!(setup.get(&reader, ROLES).await.status, StatusCode::FORBIDDEN);
    let refused = setup.post(&reader, &format!("{USERS}/{ada}/state"), &sent).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn address_of_an_active_account_is_changed_by_super_admins_or_its_person() {
    let setup = Setup::new();
    let (user_manager, super_admin) = (setup.user_manager().await, setup.super_admin().await);
    let ada = setup.person("ada", []).await;
    let new = NewOwner::new("new@x.test");
    let invited = setup.world.keyward.owners().invite(new).await.unwrap().owner.id;
    let path = format!("{USERS}/{ada}");
    let hint = "Only they or a super admin can change it";
    setup.get(&user_manager, &path).await.says(r#"value="ada@x.test" readonly"#).says(hint);
    setup.get(&user_manager, &format!("{USERS}/{invited}")).await.says(r#"value="new@x.test">"#);
    assert!(!setup.get(&super_admin, &path).await.text.contains(hint));
    let version = setup.owner(ada).await.version().to_string();
    let sent = |email| [("version", version.as_str()), ("firstname", "Ada"), ("lastname", ""), ("email", email)];
    let refused = setup.post(&user_manager, &path, &sent("mine@x.test")).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    refused.says("only a super admin or the account itself");
    assert_eq!(setup.post(&user_manager, &path, &sent("ada@x.test")).await.status, StatusCode::SEE_OTHER);
    assert_eq!(setup.owner(ada).await.display_name(), "Ada");
}

#[tokio::test]
async fn conditional_permissions_are_granted_with_their_conditions() {
    let setup = Setup::new();
    let own = reads()[1].clone();
    let cast = ["read", "create"]
        .iter()
        .fold(setup.world.editor(), |cast, deed| cast.holds(Permission::new(format!("admin::roles.{deed}"))));
    let keeper = cast.holds(own.clone()).sign_in().await;
    let path = format!("{ROLES}/create");
    let whole = format!(r#"["{READ}","article"]"#);
    let refused = setup.post(&keeper, &path, &[("name", "Every"), ("grant", &whole)]).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    refused.says("under stricter conditions only");
    // A permission that the page offers can be granted.
    let page = setup.get(&keeper, &path).await;
    page.says("You can grant this under conditions only.");
    let offered = ticked(&page);
    let mut sent = vec![("name", "Own"), ("grant", whole.as_str())];
    sent.extend(offered.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    let made = setup.post(&keeper, &path, &sent).await;
    assert_eq!(made.status, StatusCode::SEE_OTHER, "{}", made.text);
    let roles = setup.world.keyward.roles().list().await.unwrap();
    assert_eq!(roles.into_iter().find(|(role, _)| role.name == "Own").unwrap().0.permissions, [own]);
}

#[tokio::test]
async fn unknown_role_is_not_assigned() {
    let setup = Setup::new();
    let super_admin = setup.super_admin().await;
    for roles in [&["4711"][..], &["x"], &["1", "2", "3", "4", "5"]] {
        let sent: Vec<(&str, &str)> =
            [("email", "new@x.test")].into_iter().chain(roles.iter().map(|id| ("role", *id))).collect();
        let refused = setup.post(&super_admin, &format!("{USERS}/create"), &sent).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST);
        refused.says("there is no role");
    }
}

#[tokio::test]
async fn invitation_is_in_one_response_only() {
    let setup = Setup::new();
    let super_admin = setup.super_admin().await;
    let sent = [("email", "new@x.test"), ("firstname", "<i>N"), ("role", "1")];
    let shown = setup.post(&super_admin, &format!("{USERS}/create"), &sent).await;
    assert_eq!((shown.status, shown.location.as_str()), (StatusCode::OK, ""));
    let link = "https://keys.example.test/admin/auth/register?registrationToken=kw_invite_";
    shown.says(link).says("in 7 days").says("&#60;i&#62;N").says("data-once");
    assert!(!shown.text.contains("<i>N"));
    let (_, rest) = shown.text.split_once("data-address=\"").unwrap();
    let path = rest.split_once('"').unwrap().0.to_owned();
    let after = setup.get(&super_admin, &path).await;
    assert!(!after.text.contains("kw_invite_"));
    let version = after.value("version");
    let again = setup.post(&super_admin, &format!("{path}/invitation"), &[("version", &version)]).await;
    assert_ne!(again.says(link).text.split_once(link).unwrap().1[..43], shown.text.split_once(link).unwrap().1[..43]);
}

#[tokio::test]
async fn inviter_without_update_permission_renews_invitations() {
    let setup = Setup::new();
    let invited = setup.world.keyward.owners().invite(NewOwner::new("new@x.test")).await.unwrap().owner;
    let may = |deeds: &[&str]| {
        let cast = setup.world.editor();
        deeds.iter().fold(cast, |cast, deed| cast.holds(Permission::new(format!("admin::users.{deed}")))).sign_in()
    };
    let path = format!("{USERS}/{}", invited.id);
    let page = setup.get(&may(&["read", "update"]).await, &path).await;
    assert!(!page.says("Withdraw invitation").text.contains("Invite again"));
    let host = may(&["read", "create"]).await;
    let page = setup.get(&host, &path).await;
    page.says("data-open=\"invite\"").says("<dialog id=\"invite\"");
    assert!(!page.text.contains("Withdraw invitation"));
    let version = page.value("version");
    setup.post(&host, &format!("{path}/invitation"), &[("version", &version)]).await.says("kw_invite_");
}

#[tokio::test]
async fn affected_owners_are_named_to_readers_who_may_list_them() {
    let setup = Setup::new();
    let (super_admin, user_manager) = (setup.super_admin().await, setup.user_manager().await);
    let ada = setup.person("ada", []).await;
    for i in 10..22 {
        setup.token(&format!("token <{i}>"), ada, []).await;
    }
    let path = format!("{USERS}/{ada}");
    let page = setup.get(&super_admin, &path).await;
    page.says("12 admin tokens").says("token &#60;10&#62;").says("token &#60;19&#62;").says("and 2 more");
    assert!(!page.text.contains("token &#60;20&#62;") && !page.text.contains("token <"));
    let page = setup.get(&user_manager, &path).await;
    page.says("12 admin tokens");
    assert!(!page.text.contains("token &#60;"));
    // The last super admin is kept, and the page explains why.
    let path = format!("{USERS}/{}", super_admin.owner());
    let version = setup.get(&super_admin, &path).await.value("version");
    for (what, deed) in [("state", "deactivate"), ("state", "block"), ("delete", "")] {
        let sent = [("version", version.as_str()), ("deed", deed)];
        let refused = setup.post(&super_admin, &format!("{path}/{what}"), &sent).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST);
        refused.says("This is the last active super admin");
    }
}

#[tokio::test]
async fn unchanged_token_has_no_event() {
    let setup = Setup::new();
    let super_admin = setup.super_admin().await;
    let article = || Grant::new(READ).on("article");
    let grants = [article().fields(Fields::only(["body"]).unwrap()), Grant::new(HOOKS), article().fields(titles())];
    let token = setup.token("one", super_admin.owner(), grants.clone()).await;
    let path = format!("{TOKENS}/{token}");
    let page = setup.get(&super_admin, &path).await;
    let events = async || {
        let page = Paging { page: 1, page_size: 100 };
        setup.world.keyward.audit().list(&EventQuery::all(page)).await.unwrap().total
    };
    let (version, ticked, before) = (page.value("version"), ticked(&page), events().await);
    let mut sent = vec![("version", version.as_str()), ("name", "one"), ("description", "")];
    sent.extend(ticked.iter().rev().map(|(name, value)| (name.as_str(), value.as_str())));
    assert_eq!(setup.post(&super_admin, &path, &sent).await.status, StatusCode::SEE_OTHER);
    assert_eq!(events().await, before);
    let kept = setup.world.keyward.tokens().read(token).await.unwrap().token;
    assert_eq!((kept.grants(), kept.version().to_string()), (&grants[..], version));
}

#[tokio::test]
async fn malformed_form_saves_nothing() {
    let setup = Setup::new();
    let super_admin = setup.super_admin().await;
    let role = setup.role("Reader", [Permission::new(HOOKS)]).await;
    let token = setup.token("one", super_admin.owner(), [Grant::new(HOOKS)]).await;
    for path in [format!("{ROLES}/{role}"), format!("{TOKENS}/{token}")] {
        let version = setup.get(&super_admin, &path).await.value("version");
        let hooks = format!(r#"["{HOOKS}"]"#);
        for (name, value) in [("grant", "{"), ("condition", "[]"), ("description", "a\0b"), ("grant", r#"["\u0000"]"#)]
        {
            let sent = [("version", version.as_str()), ("name", "Renamed"), ("grant", &hooks), (name, value)];
            let answer = setup.post(&super_admin, &path, &sent).await;
            assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{path} {name}={value:?}");
            answer.says("This form is incomplete. Reload the page and try again.");
            assert_eq!(answer.text.contains("“description” contains a NUL"), name == "description", "{}", answer.text);
        }
        assert_eq!(setup.get(&super_admin, &path).await.value("version"), version);
    }
}

#[tokio::test]
async fn form_size_limit_fits_the_largest_valid_form() {
    let setup = Setup::new();
    let super_admin = setup.super_admin().await;
    let (form, wall) = ("application/x-www-form-urlencoded", "x".repeat(16 * 1024));
    let send = async |path: &str, body: String| {
        let request = Request::post(path).header(header::CONTENT_TYPE, form);
        setup.ask(&super_admin, request.body(Body::from(body)).unwrap()).await
    };
    for path in ["login", "register", "register-admin"].map(|page| format!("/admin/auth/{page}")) {
        let refused = send(&path, format!("email={wall}")).await;
        assert_eq!(refused.status, StatusCode::PAYLOAD_TOO_LARGE, "{path}");
        refused.says("This form is too large");
        let read = send(&path, format!("email={}", &wall[6..])).await;
        assert_ne!(read.status, StatusCode::PAYLOAD_TOO_LARGE, "{path}");
    }
    let create = format!("{ROLES}/create");
    let refused = send(&create, format!("description={}", wall.repeat(64))).await;
    assert_eq!(refused.status, StatusCode::PAYLOAD_TOO_LARGE);
    refused.says("This form is too large");
    assert_eq!(send(&create, format!("description={}", wall.repeat(63))).await.status, StatusCode::BAD_REQUEST);
}
