//! The demo data of the first start: two users, tokens of each type, some articles, and requests to try.

use crate::articles::{self, RESOURCE};
use crate::database::Database;
use crate::wire::BoxError;
use keyward::admin::{IssuedToken, Lifespan, Password};
use keyward::authz::{Action, ConditionClause, Fields, IS_CREATOR};
use keyward::token::ContentAccess;
use keyward::{Grant, Keyward, NewAdminToken, NewContentToken, NewOwner, NewRole, OwnerId, Permission, RoleId};
use serde_json::json;

/// The password of both users.
const PASSWORD: &str = "Passw0rd!";

/// The demo tokens, with the only copies of their secrets.
pub(crate) struct Demo {
    root: IssuedToken,
    editor: IssuedToken,
    editor_id: OwnerId,
    read_only: IssuedToken,
    full_access: IssuedToken,
    custom: IssuedToken,
}

/// Returns whether the database has demo data, of this start or an earlier one. Its domain, `example.test`, cannot
/// exist (RFC 6761).
pub(crate) async fn exists(keyward: &Keyward) -> Result<bool, BoxError> {
    Ok(keyward.store().view().await?.owner_with_email("root@example.test").await?.is_some())
}

pub(crate) async fn create(keyward: &Keyward, database: &Database) -> Result<Demo, BoxError> {
    let role = NewRole::new("Editor").description("Reads titles, and all of their own articles");
    let role = role.permissions(editor_permissions()?);
    let role = keyward.roles().create(role).await?.id;
    let root = create_user(keyward, "Root", "Admin", RoleId::SUPER_ADMIN).await?;
    let editor = create_user(keyward, "Edda", "Editor", role).await?;
    for (creator, title, body) in [
        (root, "About this platform", "Only its author and administrators can read this."),
        (root, "Release notes", "Nothing has been released yet."),
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
        root: issue_admin(keyward, "Root's token", root, root_grants()).await?,
        editor: issue_admin(keyward, "Edda's token", editor, editor_grants()?).await?,
        editor_id: editor,
        read_only: issue_content(keyward, "Reads", ContentAccess::ReadOnly).await?,
        full_access: issue_content(keyward, "Reads and writes", ContentAccess::FullAccess).await?,
        custom: issue_content(
            keyward,
            "Only lists",
            ContentAccess::Custom([Action::new("api::article.article.find")].into()),
        )
        .await?,
    })
}

fn explorer(verb: &str) -> Permission {
    Permission::new(format!("plugin::content-manager.explorer.{verb}")).on(RESOURCE)
}

/// Returns the permissions of editors: titles of all articles; bodies and changes of their own articles only.
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

/// Returns the editor's permissions as grants of a token.
fn editor_grants() -> Result<Vec<Grant>, BoxError> {
    let read = Grant::new("plugin::content-manager.explorer.read").on(RESOURCE);
    let read = read.fields(Fields::only(["title", "slug", "body"])?);
    Ok([explorer("create"), explorer("update"), explorer("delete")].iter().map(Grant::from).chain([read]).collect())
}

fn root_grants() -> Vec<Grant> {
    let explorer = ["create", "read", "update", "delete", "publish"].map(|verb| Grant::from(&explorer(verb)));
    let webhooks = ["create", "read", "update", "delete"].map(|verb| Grant::new(format!("admin::webhooks.{verb}")));
    explorer.into_iter().chain(webhooks).collect()
}

async fn create_user(keyward: &Keyward, firstname: &str, lastname: &str, role: RoleId) -> Result<OwnerId, BoxError> {
    let new = NewOwner::new(format!("{}@example.test", firstname.to_lowercase())).named(firstname, lastname);
    let id = keyward.owners().create(new.roles([role])).await?.id;
    keyward.owners().set_password(id, Password::new(PASSWORD)).await?;
    Ok(id)
}

async fn issue_admin(
    keyward: &Keyward,
    name: &str,
    owner: OwnerId,
    grants: Vec<Grant>,
) -> Result<IssuedToken, BoxError> {
    let new = NewAdminToken::new(name, owner).grants(grants).lifespan(Lifespan::days(90));
    Ok(keyward.tokens().issue_admin(new).await?)
}

async fn issue_content(keyward: &Keyward, name: &str, access: ContentAccess) -> Result<IssuedToken, BoxError> {
    let new = NewContentToken::new(name, access).lifespan(Lifespan::Unlimited);
    Ok(keyward.tokens().issue_content(new).await?)
}

impl Demo {
    /// Prints the secrets, which cannot be shown again, and requests to try, each below its expected response.
    pub(crate) fn print(&self, url: &str) {
        let cm = format!("{url}/admin/content-manager/collection-types/api::article.article");
        println!("# Demo data was created. Its secrets are shown once; paste the lines into a shell.");
        for (name, issued, summary) in [
            ("ROOT", &self.root, "of a super admin, all actions on articles and webhooks"),
            ("EDITOR", &self.editor, "of an editor, all that Edda may do"),
            ("READONLY", &self.read_only, "read-only"),
            ("FULL", &self.full_access, "full-access"),
            ("CUSTOM", &self.custom, "custom, may list articles"),
        ] {
            println!("# token {}, {}: {summary}", issued.token.id, issued.token.kind().as_str());
            println!("{name}={}", issued.secret.expose());
        }
        println!("CM={cm}");
        println!(
            "ask() {{ key=$1; shift; curl -sS -w ' %{{http_code}}\\n' -H \"Authorization: Bearer $key\" \"$@\"; }}"
        );
        let articles = format!("{url}/api/articles");
        for (response, request) in [
            ("200", format!("ask $ROOT {url}/admin/webhooks")),
            ("200: all fields of every article", "ask $ROOT $CM".to_owned()),
            ("200: bodies of Edda's own only", "ask $EDITOR $CM".to_owned()),
            ("200: two of five", "ask $EDITOR \"$CM?sort=title:desc&pageSize=2\"".to_owned()),
            ("400: body is hidden on some rows", "ask $EDITOR \"$CM?sort=body\"".to_owned()),
            ("403: not in the token", format!("ask $EDITOR {url}/admin/webhooks")),
            ("404", "ask $EDITOR $CM/nothing".to_owned()),
            ("401: another kind of token", format!("ask $ROOT {articles}")),
            ("401: likewise", format!("ask $READONLY {url}/admin/webhooks")),
            ("200", format!("ask $READONLY {articles}")),
            ("403: it only reads", format!("ask $READONLY {articles} --json '{{\"data\":{{\"title\":\"x\"}}}}'")),
            ("201", format!("ask $FULL {articles} --json '{{\"data\":{{\"title\":\"x\"}}}}'")),
            ("400: a title is required", format!("ask $FULL {articles} --json '{{\"data\":{{}}}}'")),
            ("200", format!("ask $CUSTOM {articles}")),
            ("403: not in its list", format!("ask $CUSTOM {articles}/1")),
        ] {
            println!("# {response}\n{request}");
        }
        println!(
            "# A client of MCP, which sees the tools that its token allows: {}",
            json!({"mcpServers": {"articles": {
                "type": "http", "url": format!("{url}/mcp"), "headers": {"Authorization": format!("Bearer {}", self.editor.secret.expose())}
            }}})
        );
        let editor = self.editor_id;
        println!("# root@example.test and edda@example.test sign in with {PASSWORD}. The pages: {url}/admin/settings");
        println!("# Every route: {url}/admin/openapi.json");
        println!(
            "SESSION=$(curl -sS {url}/admin/login --json '{{\"email\":\"root@example.test\",\"password\":\"{PASSWORD}\"}}' | sed 's/.*\"token\":\"\\([^\"]*\\)\".*/\\1/')"
        );
        println!(
            "ask $SESSION {url}/admin/users/{editor} -X PUT --json '{{\"isActive\":false}}'   # then EDITOR gets 401"
        );
    }
}
