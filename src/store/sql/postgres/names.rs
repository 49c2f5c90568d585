//! The schema that holds the tables, found once: afterwards no statement depends on what a session's `search_path` says.

use super::error::{OpenError, asking};
use super::{rows, statements};
use crate::store::StoreError;
use sqlx::{AssertSqlSafe, Connection, PgConnection, query};

/// The schema that holds the tables.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Schema {
    pub(super) name: String,
    /// What each table's name begins with.
    prefix: String,
}

impl Schema {
    pub(super) fn new(name: &str) -> Self {
        Self { name: name.to_owned(), prefix: format!("{}.keyward_", quoted(name)) }
    }

    /// A statement with the schema before each table. Only tables have names that begin with `keyward_`.
    pub(super) fn qualify(&self, statement: &str) -> AssertSqlSafe<String> {
        AssertSqlSafe(statement.replace("keyward_", &self.prefix))
    }
}

/// An identifier as it stands in a statement, whatever is in it.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Who is connected, and where.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) role: String,
    pub(super) database: String,
    pub(super) encoding: String,
    /// The search path, as it is set.
    path: String,
    /// The first schema in it where this role may make tables.
    writable: Option<String>,
}

/// Where the tables are, or where they are to be made.
#[derive(Debug)]
pub(super) enum Place {
    /// They are there, and belong to this role.
    There { schema: Schema, owner: String },
    /// They are to be made.
    Empty { schema: Schema, exists: bool },
}

/// A schema with tables of an installation.
struct Found {
    schema: String,
    usable: bool,
    owner: String,
}

/// Asks who this is.
pub(super) async fn session(connection: &mut PgConnection) -> Result<Session, StoreError> {
    let row = query(statements::AT_HOME).persistent(false).fetch_one(connection).await.map_err(asking)?;
    Ok(Session {
        role: rows::get(&row, "role")?,
        database: rows::get(&row, "database")?,
        encoding: rows::get(&row, "encoding")?,
        path: rows::get(&row, "path")?,
        writable: rows::maybe(&row, "writable")?,
    })
}

/// Chooses the schema: the one that is asked for; else the one of the search path that has tables; else the first one of the search
/// path where tables may be made.
pub(super) async fn choose(
    connection: &mut PgConnection,
    session: &Session,
    asked: Option<&str>,
) -> Result<Place, StoreError> {
    let rows = query(statements::INSTALLATIONS).persistent(false).fetch_all(&mut *connection).await.map_err(asking)?;
    let mut all = Vec::new();
    for row in &rows {
        let (schema, usable, owner) = (rows::get(row, "schema")?, rows::get(row, "usable")?, rows::get(row, "owner")?);
        all.push(Found { schema, usable, owner });
    }
    let candidates = match asked {
        Some(name) => vec![name.to_owned()],
        None => listed(&session.path, &session.role),
    };
    let (mut found, others): (Vec<Found>, Vec<Found>) = all.into_iter().partition(|f| candidates.contains(&f.schema));
    if found.len() > 1 {
        let mut schemas = Vec::new();
        for Found { schema, .. } in found {
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
        Some(Found { schema, usable: false, .. }) => {
            Err(OpenError::Usage { role: quoted(&session.role), schema: quoted(&schema) }.into())
        }
        Some(Found { schema, owner, .. }) => Ok(Place::There { schema: Schema::new(&schema), owner }),
        None => make(connection, session, asked, &others).await,
    }
}

/// Chooses where tables are to be made.
async fn make(
    connection: &mut PgConnection,
    session: &Session,
    asked: Option<&str>,
    others: &[Found],
) -> Result<Place, StoreError> {
    let Some(name) = asked.or(session.writable.as_deref()) else {
        let (role, path) = (quoted(&session.role), session.path.clone());
        return Err(OpenError::NoSchema { role, path }.into());
    };
    if !others.is_empty() {
        let schemas = others.iter().map(|f| &*f.schema).collect::<Vec<_>>().join(", ");
        tracing::warn!(
            schema = name,
            others = schemas,
            "a new installation begins, and there are others in this database: if one of those is meant, choose its schema"
        );
    }
    let row = query(statements::SCHEMA_EXISTS).bind(name).persistent(false).fetch_one(connection).await;
    let exists = rows::get(&row.map_err(asking)?, "found")?;
    Ok(Place::Empty { schema: Schema::new(name), exists })
}

/// Whether an installation has no owner and no token; `None` if this role may not know.
async fn is_empty(connection: &mut PgConnection, schema: &str) -> Option<bool> {
    // A statement that fails must not take the transaction along.
    let mut savepoint = connection.begin().await.ok()?;
    let look = query(Schema::new(schema).qualify(statements::SOMEBODY)).persistent(false);
    let empty = match look.fetch_one(&mut *savepoint).await {
        Ok(row) => rows::get::<i64>(&row, "n").ok().map(|n| n == 0),
        Err(_) => None,
    };
    savepoint.rollback().await.ok()?;
    empty
}

/// The schemas that a search path lists, also those that are not there or may not be used.
fn listed(path: &str, role: &str) -> Vec<String> {
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

/// What is between the quotes, and what comes after them.
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
    fn a_search_path_is_read_as_the_server_reads_it() {
        for (path, names) in [
            ("\"$user\", public", &["ada", "public"][..]),
            ("", &[]),
            ("Auth,b", &["auth", "b"]),
            ("\"Auth, b\" , \"a\"\"b\",c", &["Auth, b", "a\"b", "c"]),
            ("\"\"", &[""]),
            ("\"not closed", &["not closed"]),
        ] {
            assert_eq!(listed(path, "ada"), names, "{path}");
        }
    }

    #[test]
    fn every_table_of_a_statement_is_qualified_once() {
        let schema = Schema::new("a \"b\" keyward_c");
        let said = schema.qualify("SELECT keyward_token.id FROM keyward_token t, keyward_owner, keyward.writer").0;
        let name = "\"a \"\"b\"\" keyward_c\".keyward_";
        assert_eq!(said, format!("SELECT {name}token.id FROM {name}token t, {name}owner, keyward.writer"));
    }
}
