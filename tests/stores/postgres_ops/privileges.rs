//! Privileges that a role needs, and the errors if it lacks them. The steps are those of the operating guide.

use crate::node::{BOUND, Node, error_chain, execute, query_number};
use keyward::PostgresStore;
use keyward::store::PostgresOptions;
use keyward_test_support::postgres;

/// Returns the guide's statements on privileges, one block per step, with these names in place of the guide's.
fn steps(database: &str) -> Vec<String> {
    let page = include_str!("../../../src/guide/operating.md");
    let (_, rights) = page.split_once("\n# Database roles in PostgreSQL\n").unwrap();
    let rights = rights.split("\n# ").next().unwrap();
    let blocks = rights.split("```sql\n").skip(1).map(|block| block.split("```").next().unwrap());
    let name = |role: &str| format!("{role}_{database}");
    blocks
        .map(|block| {
            let mut block = block.replace("DATABASE keyward", &format!("DATABASE {database}"));
            for role in ["kw_migrate", "kw_service", "kw_audit"] {
                block = block.replace(role, &name(role));
            }
            block
        })
        .collect()
}

struct Roles {
    database: String,
    url: String,
    steps: Vec<String>,
}

impl Roles {
    async fn new() -> Option<Self> {
        let url = postgres::create_database().await?;
        let database = url.rsplit('/').next().unwrap().to_owned();
        let steps = steps(&database);
        assert_eq!(steps.len(), 3, "roles and schema, the service's privileges, the auditor's privileges");
        Some(Self { database, url, steps })
    }

    /// Returns the address for one of the guide's roles.
    fn url(&self, role: &str) -> String {
        self.url.replacen("//keyward@", &format!("//{}@", self.name(role)), 1)
    }

    fn name(&self, role: &str) -> String {
        format!("{role}_{}", self.database)
    }

    async fn step(&self, n: usize) {
        execute(&self.url, &self.steps[n]).await;
    }
}

fn options() -> PostgresOptions {
    PostgresOptions::default().schema("keyward")
}

async fn rejection(url: &str, options: PostgresOptions) -> String {
    error_chain(&PostgresStore::connect_with(url, options).await.unwrap_err())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn privileges_of_the_guide_are_sufficient_and_necessary() {
    let Some(roles) = Roles::new().await else { return };
    roles.step(0).await;
    let (service, schema) = (roles.name("kw_service"), "\"keyward\"");
    let message = rejection(&roles.url("kw_service"), options()).await;
    assert!(
        message.contains(&service) && message.contains(&format!("GRANT USAGE, CREATE ON SCHEMA {schema}")),
        "{message}"
    );
    PostgresStore::connect_with(&roles.url("kw_migrate"), options()).await.unwrap().close().await;
    let message = rejection(&roles.url("kw_service"), options()).await;
    assert!(message.contains(&format!("GRANT USAGE ON SCHEMA {schema} TO \"{service}\"")), "{message}");
    execute(&roles.url, &format!("GRANT USAGE ON SCHEMA keyward TO {service}")).await;
    let message = rejection(&roles.url("kw_service"), options()).await;
    assert!(message.contains("keyward_token") && message.contains(&format!("TO \"{service}\"")), "{message}");

    roles.step(1).await;
    // Everything that a node does, including its start.
    let node = Node::connect_with(&roles.url("kw_service"), options()).await;
    node.keyward.set_up().await.unwrap();
    let key = node.issue("ci").await;
    assert_eq!(node.status(&key).await, 200);
    execute(&roles.url("kw_service"), "UPDATE keyward.keyward_owner SET state = 'blocked'").await;
    node.wait_for_status(&key, 401, BOUND).await;
    let may = format!(
        "SELECT COUNT(*) FROM pg_class WHERE relnamespace = CAST('keyward' AS regnamespace) AND relkind = 'r' \
         AND has_table_privilege('{service}', oid, 'TRUNCATE, REFERENCES, TRIGGER')"
    );
    assert_eq!(query_number(&roles.url, &may).await, 0, "privileges on data only");
    let may = format!("SELECT COUNT(*) FROM (SELECT 1 WHERE has_schema_privilege('{service}', 'keyward', 'CREATE')) x");
    assert_eq!(query_number(&roles.url, &may).await, 0);

    roles.step(2).await;
    let read = roles.url("kw_audit");
    assert!(query_number(&read, "SELECT COUNT(*) FROM keyward.keyward_audit").await > 0);
    let message = rejection(&read, options()).await;
    assert!(message.contains("keyward_token") && message.contains("GRANT SELECT"), "{message}");
}

/// A release with pending migrations names the role to start it as.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn missing_migration_privilege_names_the_role_that_has_it() {
    let Some(roles) = Roles::new().await else { return };
    roles.step(0).await;
    PostgresStore::connect_with(&roles.url("kw_migrate"), options()).await.unwrap().close().await;
    roles.step(1).await;
    execute(
        &roles.url,
        "ALTER TABLE keyward.keyward_epoch DROP COLUMN installation; \
         DELETE FROM keyward.keyward_migrations WHERE version = 10",
    )
    .await;
    let message = rejection(&roles.url("kw_service"), options()).await;
    let (service, owner) = (roles.name("kw_service"), roles.name("kw_migrate"));
    for part in ["\"keyward\"", &format!("\"{service}\""), &format!("as their owner \"{owner}\"")] {
        assert!(message.contains(part), "{part}: {message}");
    }
    PostgresStore::connect_with(&roles.url("kw_migrate"), options()).await.unwrap().close().await;
    // The service may use tables that the owner creates later, by the default privileges.
    PostgresStore::connect_with(&roles.url("kw_service"), options()).await.unwrap().close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn missing_create_privilege_names_the_grant() {
    let Some(roles) = Roles::new().await else { return };
    roles.step(0).await;
    execute(&roles.url, "REVOKE CREATE ON SCHEMA public FROM PUBLIC").await;
    let service = roles.name("kw_service");
    let message = rejection(&roles.url("kw_service"), PostgresOptions::default()).await;
    assert!(message.contains(&service) && message.contains("no schema of its search path"), "{message}");
    let message = rejection(&roles.url("kw_service"), PostgresOptions::default().schema("new one")).await;
    assert!(message.contains(&format!("CREATE SCHEMA \"new one\" AUTHORIZATION \"{service}\"")), "{message}");
    assert!(message.contains(&format!("GRANT CREATE ON DATABASE \"{}\"", roles.database)), "{message}");
}

/// Tables that the role cannot see are not taken for missing ones.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tables_in_an_inaccessible_schema_are_not_recreated_elsewhere() {
    let Some(roles) = Roles::new().await else { return };
    roles.step(0).await;
    PostgresStore::connect_with(&roles.url("kw_migrate"), options()).await.unwrap().close().await;
    execute(&roles.url, "GRANT CREATE ON SCHEMA public TO PUBLIC").await;
    let path = format!("{}?options[search_path]=keyward,public", roles.url("kw_service"));
    let message = rejection(&path, PostgresOptions::default()).await;
    assert!(message.contains("GRANT USAGE ON SCHEMA \"keyward\""), "{message}");
    assert_eq!(query_number(&roles.url, "SELECT COUNT(*) FROM pg_tables WHERE schemaname = 'public'").await, 0);
}
