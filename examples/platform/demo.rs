//! The first start: two people, a token of each type, some articles, and what to try with them.

use crate::articles::{self, SUBJECT};
use crate::database::Database;
use crate::wire::BoxError;
use keyward::admin::{IssuedToken, Lifespan, Password};
use keyward::authz::{Action, ConditionClause, Fields, IS_CREATOR};
use keyward::token::ContentAccess;
use keyward::{Grant, Keyward, NewAdminToken, NewContentToken, NewOwner, NewRole, OwnerId, Permission, RoleId};

/// Of both people.
const PASSWORD: &str = "Passw0rd!";

/// What was made, with the only copies of the secrets.
pub(crate) struct Demo {
    root: IssuedToken,
    editor: IssuedToken,
    editor_id: OwnerId,
    read_only: IssuedToken,
    full_access: IssuedToken,
    custom: IssuedToken,
}

/// Whether there is demo data, of this start or an earlier one. No domain `example.test` exists (RFC 6761).
pub(crate) async fn is_there(keyward: &Keyward) -> Result<bool, BoxError> {
    Ok(keyward.store().view().await?.owner_with_email("root@example.test").await?.is_some())
}

pub(crate) async fn make(keyward: &Keyward, database: &Database) -> Result<Demo, BoxError> {
    let role = NewRole::new("Editor").description("Reads titles, and all of their own articles");
    let role = role.permissions(editor_permissions()?);
    let role = keyward.roles().create(role).await?.id;
    let root = person(keyward, "Root", "Admin", RoleId::SUPER_ADMIN).await?;
    let editor = person(keyward, "Edda", "Editor", role).await?;
    for (creator, title, body) in [
        (root, "About this platform", "What only its author and administrators read."),
        (root, "Release notes", "Nothing was released yet."),
        (root, "Roadmap", "PostgreSQL, then the settings pages."),
        (editor, "A first draft", "Edda's own words."),
        (editor, "A second draft", "More of Edda's own words."),
    ] {
        let slug = title.to_lowercase().replace(' ', "-");
        let texts = [("title", title.to_owned()), ("slug", slug), ("body", body.to_owned())];
        let texts = texts.into_iter().map(|(field, text)| (field, Some(text))).collect();
        let mut change = database.write().await?;
        articles::insert(&mut change, &articles::document_id()?, Some(creator), &texts).await?;
        change.commit().await?;
    }
    Ok(Demo {
        root: admin(keyward, "Root's token", root, root_grants()).await?,
        editor: admin(keyward, "Edda's token", editor, editor_grants()?).await?,
        editor_id: editor,
        read_only: content(keyward, "Reads", ContentAccess::ReadOnly).await?,
        full_access: content(keyward, "Reads and writes", ContentAccess::FullAccess).await?,
        custom: content(
            keyward,
            "Only lists",
            ContentAccess::Custom([Action::new("api::article.article.find")].into()),
        )
        .await?,
    })
}

fn explorer(deed: &str) -> Permission {
    Permission::new(format!("plugin::content-manager.explorer.{deed}")).on(SUBJECT)
}

/// Everybody's titles, the bodies of their own articles only; changes to their own articles only.
fn editor_permissions() -> Result<Vec<Permission>, BoxError> {
    let own = || ConditionClause::from_list([IS_CREATOR]);
    Ok(vec![
        explorer("create"),
        explorer("read").fields(Fields::only(["title", "slug"])?),
        explorer("read").fields(Fields::only(["title", "slug", "body"])?).when(own()),
        explorer("update").when(own()),
        explorer("delete").when(own()),
    ])
}

/// As much of it as a token can carry.
fn editor_grants() -> Result<Vec<Grant>, BoxError> {
    let read = Grant::new("plugin::content-manager.explorer.read").on(SUBJECT);
    let read = read.fields(Fields::only(["title", "slug", "body"])?);
    Ok([explorer("create"), explorer("update"), explorer("delete")].iter().map(Grant::from).chain([read]).collect())
}

fn root_grants() -> Vec<Grant> {
    let explorer = ["create", "read", "update", "delete", "publish"].map(|deed| Grant::from(&explorer(deed)));
    let webhooks = ["create", "read", "update", "delete"].map(|deed| Grant::new(format!("admin::webhooks.{deed}")));
    explorer.into_iter().chain(webhooks).collect()
}

async fn person(keyward: &Keyward, firstname: &str, lastname: &str, role: RoleId) -> Result<OwnerId, BoxError> {
    let new = NewOwner::new(format!("{}@example.test", firstname.to_lowercase())).named(firstname, lastname);
    let id = keyward.owners().create(new.roles([role])).await?.id;
    keyward.owners().set_password(id, Password::new(PASSWORD)).await?;
    Ok(id)
}

async fn admin(keyward: &Keyward, name: &str, owner: OwnerId, grants: Vec<Grant>) -> Result<IssuedToken, BoxError> {
    let new = NewAdminToken::new(name, owner).grants(grants).lifespan(Lifespan::days(90));
    Ok(keyward.tokens().issue_admin(new).await?)
}

async fn content(keyward: &Keyward, name: &str, access: ContentAccess) -> Result<IssuedToken, BoxError> {
    let new = NewContentToken::new(name, access).lifespan(Lifespan::Unlimited);
    Ok(keyward.tokens().issue_content(new).await?)
}

impl Demo {
    /// The secrets, the only time that they show, and requests to try, each under what it answers.
    pub(crate) fn print(&self, url: &str) {
        let cm = format!("{url}/admin/content-manager/collection-types/api::article.article");
        println!("# Demo data was made. Its secrets show this once; paste the lines into a shell.");
        for (name, issued, what) in [
            ("ROOT", &self.root, "of a super admin, may everything with articles and webhooks"),
            ("EDITOR", &self.editor, "of an editor, may what Edda may"),
            ("READONLY", &self.read_only, "read-only"),
            ("FULL", &self.full_access, "full-access"),
            ("CUSTOM", &self.custom, "custom, may list articles"),
        ] {
            println!("# token {}, {}: {what}", issued.token.id, issued.token.kind().as_str());
            println!("{name}={}", issued.secret.expose());
        }
        println!("CM={cm}");
        println!(
            "ask() {{ key=$1; shift; curl -sS -w ' %{{http_code}}\\n' -H \"Authorization: Bearer $key\" \"$@\"; }}"
        );
        let articles = format!("{url}/api/articles");
        for (answer, request) in [
            ("200", format!("ask $ROOT {url}/admin/webhooks")),
            ("200: every article whole", "ask $ROOT $CM".to_owned()),
            ("200: bodies of Edda's own only", "ask $EDITOR $CM".to_owned()),
            ("200: two of five", "ask $EDITOR \"$CM?sort=title:desc&pageSize=2\"".to_owned()),
            ("400: body is hidden on some rows", "ask $EDITOR \"$CM?sort=body\"".to_owned()),
            ("403: not in the token", format!("ask $EDITOR {url}/admin/webhooks")),
            ("404", "ask $EDITOR $CM/nothing".to_owned()),
            ("401: another kind of token", format!("ask $ROOT {articles}")),
            ("401: the same the other way round", format!("ask $READONLY {url}/admin/webhooks")),
            ("200", format!("ask $READONLY {articles}")),
            ("403: it only reads", format!("ask $READONLY {articles} --json '{{\"data\":{{\"title\":\"x\"}}}}'")),
            ("201", format!("ask $FULL {articles} --json '{{\"data\":{{\"title\":\"x\"}}}}'")),
            ("400: a title is required", format!("ask $FULL {articles} --json '{{\"data\":{{}}}}'")),
            ("200", format!("ask $CUSTOM {articles}")),
            ("403: not in its list", format!("ask $CUSTOM {articles}/1")),
        ] {
            println!("# {answer}\n{request}");
        }
        let editor = self.editor_id;
        println!("# root@example.test and edda@example.test sign in with {PASSWORD}. The pages: {url}/admin/settings");
        println!("# Every route: {url}/admin/openapi.json");
        println!(
            "SESSION=$(curl -sS {url}/admin/login --json '{{\"email\":\"root@example.test\",\"password\":\"{PASSWORD}\"}}' | sed 's/.*\"token\":\"\\([^\"]*\\)\".*/\\1/')"
        );
        println!(
            "ask $SESSION {url}/admin/users/{editor} -X PUT --json '{{\"isActive\":false}}'   # and EDITOR answers 401"
        );
    }
}
