//! `keyward init`.

use crate::context::Context;
use crate::database::Database;
use crate::env_file;
use crate::failure::Failure;
use crate::key_settings::{Keys, Variables};
use crate::output::record;
use crate::reference::roles_by_id;
use crate::reset_password::read_or_make;
use crate::shapes::OwnerShape;
use clap::Args;
use keyward::admin::{Actor, FieldName, FirstAdmin, Password, ServiceError};
use keyward::store::KeyKind;
use keyward::token::EncryptionKeys;
use keyward::{HashKey, Keyward};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// The file for new keys, if none is named.
const ENV_FILE: &str = "keyward.env";

/// The arguments that the fields of the first super admin come from.
const ARGUMENTS: [(FieldName, &str); 4] = [
    (FieldName::Email, "--admin"),
    (FieldName::Firstname, "--firstname"),
    (FieldName::Lastname, "--lastname"),
    (FieldName::Password, "--password-file"),
];

#[derive(Args)]
pub(crate) struct Init {
    /// The e-mail address of the first super admin.
    #[arg(long, value_name = "EMAIL")]
    admin: Option<String>,
    /// The first name of the first super admin.
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true, requires = "admin")]
    firstname: String,
    /// The last name of the first super admin.
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true, requires = "admin")]
    lastname: String,
    /// Read the password of the first super admin from this file, or - for standard input. Without it, a password is made and printed
    /// once.
    #[arg(long, value_name = "FILE", requires = "admin")]
    password_file: Option<PathBuf>,
    /// Also make an encryption key: owners can then view their secrets again.
    #[arg(long)]
    with_encryption_key: bool,
}

/// The result.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct InitShape {
    database: String,
    /// Whether the tables were created.
    created: bool,
    /// Whether the hash key was made now.
    made_hash_key: bool,
    /// Whether an encryption key was made now.
    made_encryption_key: bool,
    /// The file with the keys that were made.
    env_file: Option<String>,
    /// The first super admin, if one was registered now.
    admin: Option<OwnerShape>,
    #[serde(skip_serializing_if = "Option::is_none")]
    password: Option<String>,
}

impl Init {
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let variables = Variables::read(&context.settings, true)?;
        let database = Database::of(&context.settings, &variables)?;
        let keys = Keys::read(&variables, &context.settings, &context.stdin)?;
        if self.with_encryption_key && keys.encryption.is_some() {
            return Err(Failure::usage("--with-encryption-key: there is an encryption key already: leave it out"));
        }
        let (password, made_password) = match self.admin {
            Some(_) => read_or_make(context, self.password_file.as_deref())?,
            None => (Password::new(""), None),
        };
        let created = !database.has_tables().await.unwrap_or_default();
        let store = database.open(true).await?;
        let mut view = store.view().await?;
        let (has_owners, known) = (view.has_owners().await?, view.key_checks().await?);
        drop(view);
        if self.admin.is_some() && has_owners {
            return Err(Failure::failed("--admin: there are accounts already: use `keyward owner create`"));
        }
        if keys.hash_keys.is_none() && known.iter().any(|check| check.kind == KeyKind::Hash) {
            return Err(Failure::usage(
                "KEYWARD_HASH_KEY is missing: this data was written with a hash key: set it again",
            ));
        }
        let path = context.settings.env_file.clone().unwrap_or_else(|| ENV_FILE.into());
        let (keys, made) = self.complete(keys, &path)?;
        let (made_hash_key, made_encryption_key) = (made.contains(&HASH_KEY), made.contains(&ENCRYPTION_KEY));
        let keyward = context.build(store, keys, |builder| builder.allow_open_setup()).await?;
        let admin = match self.register(keyward, password).await {
            Ok(admin) => admin,
            Err(error) => {
                // No data depends on the keys yet, unless the store cannot tell.
                if !made.is_empty() && !matches!(error, ServiceError::Store(_)) {
                    _ = std::fs::remove_file(&path);
                }
                return Err(Failure::of_service(error, &ARGUMENTS));
            }
        };
        let roles = roles_by_id(keyward).await?;
        let shape = InitShape {
            database: database.to_string(),
            created,
            made_hash_key,
            made_encryption_key,
            env_file: (!made.is_empty()).then(|| path.display().to_string()),
            admin: admin.map(|admin| OwnerShape::new(&admin, &roles)),
            password: made_password,
        };
        context.out.print(&shape, lay_out, |shape| shape.password.clone())?;
        if let Some(file) = &shape.env_file {
            let note = "Keep a copy of it in a safe place: without its keys no token works.";
            let file = if file.contains('/') { file.clone() } else { format!("./{file}") };
            context.out.note(&format!("{note} Servers and this tool read it: set -a; . {file}; set +a"));
        }
        if shape.password.is_some() {
            context.out.note("The password is not shown again.");
        }
        if shape.admin.is_none() && !has_owners {
            context.out.note("There is no account yet: run it again with --admin EMAIL, or register at the server.");
        }
        Ok(())
    }

    /// Makes the keys that are missing, and writes them to the file. Returns the names of their variables.
    fn complete(&self, mut keys: Keys, path: &Path) -> Result<(Keys, Vec<&'static str>), Failure> {
        let mut texts = Vec::new();
        let generate = || HashKey::generate().map_err(|error| Failure::failed(error.to_string()));
        if keys.hash_keys.is_none() {
            let (key, text) = generate()?;
            keys.hash_keys = Some(key.into());
            texts.push((HASH_KEY, text));
        }
        if self.with_encryption_key {
            let (_, text) = generate()?;
            // The form of both kinds of key is the same.
            let parsed = EncryptionKeys::parse(text.expose()).map_err(|error| Failure::failed(error.to_string()))?;
            keys.encryption = Some(parsed);
            texts.push((ENCRYPTION_KEY, text));
        }
        if !texts.is_empty() {
            let lines: Vec<(&str, &str)> = texts.iter().map(|(name, text)| (*name, text.expose())).collect();
            env_file::create(path, &lines)?;
        }
        Ok((keys, texts.into_iter().map(|(name, _)| name).collect()))
    }

    /// Registers the first super admin, if one is asked for.
    async fn register(
        &self,
        keyward: &Keyward,
        password: Password,
    ) -> Result<Option<keyward::admin::Owner>, ServiceError> {
        let Some(email) = &self.admin else { return Ok(None) };
        let first = FirstAdmin {
            email: email.clone(),
            firstname: self.firstname.clone(),
            lastname: self.lastname.clone(),
            username: None,
            password,
        };
        let signed_in = keyward.sessions().register_first(first, None).await?;
        let sessions = keyward.sessions().acting_as(Actor::Person(signed_in.owner.id));
        // No client has the secret of this session, so it is harmless if it stays.
        _ = sessions.sign_out(signed_in.session.token.id).await;
        Ok(Some(signed_in.owner))
    }
}

const HASH_KEY: &str = "KEYWARD_HASH_KEY";
const ENCRYPTION_KEY: &str = "KEYWARD_ENCRYPTION_KEY";

fn lay_out(shape: &InitShape) -> String {
    let made = |made: bool| match &shape.env_file {
        Some(file) if made => format!("new, in {file}"),
        _ => "as configured".to_owned(),
    };
    let state = if shape.created { "created" } else { "up to date" };
    let mut pairs = vec![("database", format!("{}, {state}", shape.database)), ("hash key", made(shape.made_hash_key))];
    if shape.made_encryption_key {
        pairs.push(("encryption key", made(true)));
    }
    if let Some(admin) = &shape.admin {
        pairs.push(("super admin", format!("{} ({})", admin.email, admin.id)));
    }
    if let Some(password) = &shape.password {
        pairs.push(("password", password.clone()));
    }
    record(&pairs)
}
