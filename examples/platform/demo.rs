//! The first start: two people, a token of each type, some articles, and what to try with them.

use crate::articles::{self, SUBJECT};
use crate::database::Database;
use crate::wire::BoxError;
use keyward::{
    Action, AdminToken, ContentAccess, ContentToken, Fields, Grant, IS_CREATOR, IssuedToken, Keyward, Lifespan,
    NewOwner, NewRole, OwnerId, OwnerState, Permission, RoleId, When, WriteStore,
};

/// What was made, with the only copies of the secrets.
pub(crate) struct Demo {
    root: IssuedToken,
    editor: IssuedToken,
    editor_id: OwnerId,
    read_only: IssuedToken,
    full_access: IssuedToken,
    custom: IssuedToken,
}

/// Whether anybody is there already.
pub(crate) async fn is_there(database: &Database) -> sqlx::Result<bool> {
    sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM keyward_owner)").fetch_one(&mut *database.read().await?).await
}

pub(crate) async fn make<S: WriteStore>(keyward: &Keyward<S>, database: &Database) -> Result<Demo, BoxError> {
    let role = NewRole {
        name: "Editor".to_owned(),
        description: "Reads titles, and all of their own articles".to_owned(),
        permissions: editor_permissions()?,
    };
    let role = keyward.roles().create(role).await?.id;
    let root = person(keyward, "Root", "Admin", RoleId::SUPER_ADMIN).await?;
    let editor = person(keyward, "Edda", "Editor", role).await?;
    for (creator, title, body) in [
        (root, "About this platform", "What only its author and administrators read."),
        (root, "Release notes", "Nothing was released yet."),
        (root, "Roadmap", "The management API, then PostgreSQL."),
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
        read_only: content(keyward, "Read Only", ContentAccess::ReadOnly).await?,
        full_access: content(keyward, "Full Access", ContentAccess::FullAccess).await?,
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
    let own = || When::from_list([IS_CREATOR]);
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

async fn person<S: WriteStore>(
    keyward: &Keyward<S>,
    firstname: &str,
    lastname: &str,
    role: RoleId,
) -> Result<OwnerId, BoxError> {
    let (firstname, lastname) = (firstname.to_owned(), lastname.to_owned());
    let email = format!("{}@example.test", firstname.to_lowercase());
    let new = NewOwner { email, firstname, lastname, state: OwnerState::Active, roles: vec![role] };
    Ok(keyward.owners().create(new).await?.id)
}

async fn admin<S: WriteStore>(
    keyward: &Keyward<S>,
    name: &str,
    owner: OwnerId,
    grants: Vec<Grant>,
) -> Result<IssuedToken, BoxError> {
    let (name, description, lifespan) = (name.to_owned(), String::new(), Lifespan::days(90));
    Ok(keyward.tokens().issue_admin(AdminToken { name, description, owner, grants, lifespan }).await?)
}

async fn content<S: WriteStore>(
    keyward: &Keyward<S>,
    name: &str,
    access: ContentAccess,
) -> Result<IssuedToken, BoxError> {
    let (name, description, lifespan) = (name.to_owned(), String::new(), Lifespan::Unlimited);
    Ok(keyward.tokens().issue_content(ContentToken { name, description, access, lifespan }).await?)
}

impl Demo {
    /// The secrets, the only time that they show, and requests to try, each under what it answers.
    pub(crate) fn print(&self, url: &str) {
        let cm = format!("{url}/admin/content-manager/collection-types/api::article.article");
        println!("# Demo data was made. Its secrets show this once; paste the lines into a shell.");
        for (name, issued, what) in [
            ("ROOT", &self.root, "of a super admin, may everything"),
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
        println!("# `deactivate {editor}`, typed here at the server, and the next request of EDITOR answers 401.");
    }
}
