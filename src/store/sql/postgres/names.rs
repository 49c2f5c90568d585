//! The schema that holds the tables, chosen once: afterwards no statement depends on a session's `search_path`.

use super::error::{OpenError, query_error};
use super::{rows, statements};
use crate::store::StoreError;
use sqlx::{AssertSqlSafe, Connection, PgConnection, query};

/// The schema that holds the tables.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Schema {
    pub(super) name: String,
    /// The schema and the common prefix of all tables.
    prefix: String,
}

impl Schema {
    pub(super) fn new(name: &str) -> Self {
        Self { name: name.to_owned(), prefix: format!("{}.keyward_", quoted(name)) }
    }

    /// Puts the schema before each table of a statement. Only tables have names that start with `keyward_`.
    pub(super) fn qualify(&self, statement: &str) -> AssertSqlSafe<String> {
        AssertSqlSafe(statement.replace("keyward_", &self.prefix))
    }
}

/// Quotes an identifier.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The session's role and database.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) role: String,
    pub(super) database: String,
    pub(super) encoding: String,
    /// The search path, as it is set.
    path: String,
    /// The first schema of the search path in which this role may create tables.
    writable: Option<String>,
}

/// The schema with the tables, or for them.
#[derive(Debug)]
pub(super) enum SchemaLocation {
    /// The tables exist, and belong to this role.
    Existing { schema: Schema, owner: String },
    /// The tables have to be created.
    New { schema: Schema, exists: bool },
}

impl SchemaLocation {
    pub(super) fn schema(&self) -> &Schema {
        match self {
            Self::Existing { schema, .. } | Self::New { schema, .. } => schema,
        }
    }

    pub(super) fn into_schema(self) -> Schema {
        match self {
            Self::Existing { schema, .. } | Self::New { schema, .. } => schema,
        }
    }
}

/// A schema with tables of an installation.
struct InstallationSchema {
    schema: String,
    usable: bool,
    owner: String,
}

/// Reads role, database and search path.
pub(super) async fn session(connection: &mut PgConnection) -> Result<Session, StoreError> {
    let row = query(statements::SESSION_INFO).persistent(false).fetch_one(connection).await.map_err(query_error)?;
    Ok(Session {
        role: rows::get(&row, "role")?,
        database: rows::get(&row, "database")?,
        encoding: rows::get(&row, "encoding")?,
        path: rows::get(&row, "path")?,
        writable: rows::maybe(&row, "writable")?,
    })
}

/// Chooses the schema: the requested one; else the one of the search path that has tables; else the first one of the
/// search path in which tables may be created.
pub(super) async fn choose(
    connection: &mut PgConnection,
    session: &Session,
    asked: Option<&str>,
) -> Result<SchemaLocation, StoreError> {
    let rows =
        query(statements::INSTALLATIONS).persistent(false).fetch_all(&mut *connection).await.map_err(query_error)?;
    let mut all = Vec::new();
    for row in &rows {
        let (schema, usable, owner) = (rows::get(row, "schema")?, rows::get(row, "usable")?, rows::get(row, "owner")?);
        all.push(InstallationSchema { schema, usable, owner });
    }
    let candidates = match asked {
        Some(name) => vec![name.to_owned()],
        None => parse_search_path(&session.path, &session.role),
    };
    let (mut found, others): (Vec<InstallationSchema>, Vec<InstallationSchema>) =
        all.into_iter().partition(|f| candidates.contains(&f.schema));
    if found.len() > 1 {
        let mut schemas = Vec::new();
        for InstallationSchema { schema, .. } in found {
            let word = match is_empty(connection, &schema).await {
                Some(true) => " (empty)",
                Some(false) => " (in use)",
                None => "",
            };
            schemas.push(format!("{}{word}", quoted(&schema)));
        }
        return Err(OpenError::Schemas(schemas.join(", ")).into());
    }
    match found.pop() {
        Some(InstallationSchema { schema, usable: false, .. }) => {
            Err(OpenError::Usage { role: quoted(&session.role), schema: quoted(&schema) }.into())
        }
        Some(InstallationSchema { schema, owner, .. }) => {
            Ok(SchemaLocation::Existing { schema: Schema::new(&schema), owner })
        }
        None => choose_new(connection, session, asked, &others).await,
    }
}

/// Chooses the schema for new tables.
async fn choose_new(
    connection: &mut PgConnection,
    session: &Session,
    asked: Option<&str>,
    others: &[InstallationSchema],
) -> Result<SchemaLocation, StoreError> {
    let Some(name) = asked.or(session.writable.as_deref()) else {
        let (role, path) = (quoted(&session.role), session.path.clone());
        return Err(OpenError::NoSchema { role, path }.into());
    };
    if !others.is_empty() {
        let schemas = others.iter().map(|f| &*f.schema).collect::<Vec<_>>().join(", ");
        tracing::warn!(
            schema = name,
            others = schemas,
            "creating a new installation beside others in this database: to use one of those, set its schema"
        );
    }
    let row = query(statements::SCHEMA_EXISTS).bind(name).persistent(false).fetch_one(connection).await;
    let exists = rows::get(&row.map_err(query_error)?, "found")?;
    Ok(SchemaLocation::New { schema: Schema::new(name), exists })
}

/// Returns whether an installation has no owner and no token; `None` if this role may not read it.
async fn is_empty(connection: &mut PgConnection, schema: &str) -> Option<bool> {
    // A failed statement must not abort the transaction.
    let mut savepoint = connection.begin().await.ok()?;
    let query = query(Schema::new(schema).qualify(statements::HAS_RECORDS)).persistent(false);
    let empty = match query.fetch_one(&mut *savepoint).await {
        Ok(row) => rows::get::<i64>(&row, "n").ok().map(|n| n == 0),
        Err(_) => None,
    };
    savepoint.rollback().await.ok()?;
    empty
}

/// Parses the schemas of a search path, also missing and inaccessible ones.
fn parse_search_path(path: &str, role: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut rest = path.trim_start();
    while !rest.is_empty() {
        let (name, after) = match rest.strip_prefix('"') {
            Some(inside) => unquoted(inside),
            None => {
                let end = rest.find(',').unwrap_or(rest.len());
                (rest[..end].trim_end().to_lowercase(), &rest[end..])
            }
        };
        names.push(if name == "$user" { role.to_owned() } else { name });
        rest = after.trim_start().trim_start_matches(',').trim_start();
    }
    names
}

/// Returns the text between the quotes, and the rest after them.
fn unquoted(inside: &str) -> (String, &str) {
    let mut name = String::new();
    let mut rest = inside;
    while let Some((before, after)) = rest.split_once('"') {
        name += before;
        match after.strip_prefix('"') {
            Some(more) => {
                name.push('"');
                rest = more;
            }
            None => return (name, after),
        }
    }
    (name + rest, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_path_is_parsed_like_the_server_does() {
        for (path, names) in [
            ("\"$user\", public", &["ada", "public"][..]),
            ("", &[]),
            ("Auth,b", &["auth", "b"]),
            ("\"Auth, b\" , \"a\"\"b\",c", &["Auth, b", "a\"b", "c"]),
            ("\"\"", &[""]),
            ("\"not closed", &["not closed"]),
        ] {
            assert_eq!(parse_search_path(path, "ada"), names, "{path}");
        }
    }

    #[test]
    fn every_table_of_a_statement_is_qualified_once() {
        let schema = Schema::new("a \"b\" keyward_c");
        let qualified = schema.qualify("SELECT keyward_token.id FROM keyward_token t, keyward_owner, keyward.writer").0;
        let name = "\"a \"\"b\"\" keyward_c\".keyward_";
        assert_eq!(qualified, format!("SELECT {name}token.id FROM {name}token t, {name}owner, keyward.writer"));
    }
}
