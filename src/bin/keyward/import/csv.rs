//! `keyward import csv`.

mod rows;

use crate::context::{Access, Context};
use crate::database::Database;
use crate::failure::Failure;
use crate::output::count;
use clap::Args;
use keyward::admin::{FieldName, ServiceError};
use keyward::store::StoreError;
use keyward::token::LegacyFormat;
use rows::Row;
use serde::Serialize;
use sqlx::Connection;
use std::path::PathBuf;

/// The most mistakes that are named.
const MOST_MISTAKES: usize = 20;

#[derive(Args)]
pub(crate) struct Csv {
    /// The file, or - for standard input.
    file: PathBuf,
    /// Check everything, and change nothing.
    #[arg(long)]
    dry_run: bool,
    /// Skip keys that were adopted before, instead of failing.
    #[arg(long)]
    skip_adopted: bool,
}

/// The numbers of an import.
#[derive(Serialize, Default)]
#[serde(rename_all = "camelCase")]
struct ImportShape {
    dry_run: bool,
    adopted: u64,
    skipped: u64,
}

impl Csv {
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let text = context.stdin.text("FILE", &self.file)?;
        // Any shape: here keys are only stored, and the servers declare which ones they accept.
        let any = LegacyFormat::sha256().lengths(16..=512);
        let keyward = context.open_with(Access::Change, |builder| builder.legacy_keys(any)).await?;
        let (rows, mut mistakes) = rows::read(&text, keyward).await?;
        let mut counts = ImportShape { dry_run: self.dry_run, ..ImportShape::default() };
        let mut last = None;
        macro_rules! adopt {
            ($transaction:ident) => {{
                for row in &rows {
                    if mistakes.len() >= MOST_MISTAKES {
                        break;
                    }
                    let tokens = keyward.tokens();
                    let adopted = tokens.within(&mut $transaction).adopt(row.new.clone(), row.digest.clone()).await;
                    match adopted {
                        Ok(staged) => {
                            counts.adopted += 1;
                            last = Some(staged);
                        }
                        Err(ServiceError::Taken { field: FieldName::Digest, .. }) if self.skip_adopted => {
                            counts.skipped += 1
                        }
                        Err(error) => mistakes.push(row_mistake(row, error)?),
                    }
                }
                let commits = mistakes.is_empty() && !self.dry_run;
                let end = if commits { $transaction.commit().await } else { $transaction.rollback().await };
                end.map_err(unavailable)?;
            }};
        }
        match context.database()? {
            Database::File(file) => {
                let mut connection = Database::connect_file(&file).await.map_err(unavailable)?;
                let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await.map_err(unavailable)?;
                adopt!(transaction);
            }
            database @ Database::Postgres { .. } => {
                let mut connection = database.connect_postgres().await.map_err(unavailable)?;
                let mut transaction = connection.begin().await.map_err(unavailable)?;
                adopt!(transaction);
            }
        }
        if !mistakes.is_empty() {
            let place = self.file.display();
            mistakes.sort_by_key(|(line, _)| *line);
            mistakes.iter().for_each(|(line, mistake)| eprintln!("{place}:{line}: {mistake}"));
            let more = if mistakes.len() >= MOST_MISTAKES { " or more" } else { "" };
            return Err(Failure::failed(format!(
                "nothing was imported: {}{more}",
                count(mistakes.len() as u64, "mistake")
            )));
        }
        if let (Some(staged), false) = (last, self.dry_run) {
            // Tells the servers to look.
            staged.committed();
        }
        context.out.print(&counts, lay_out, |_| None)
    }
}

fn lay_out(counts: &ImportShape) -> String {
    let ImportShape { dry_run, adopted, skipped } = counts;
    let verb = if *dry_run { "nothing was changed; it would adopt" } else { "adopted" };
    let skipped = if *skipped > 0 { format!(", skipped {skipped} of an earlier run") } else { String::new() };
    format!("{verb} {}{skipped}", count(*adopted, "key"))
}

/// Describes why a row is refused, by its columns. Fails if that is not the row's fault.
fn row_mistake(row: &Row, error: ServiceError) -> Result<(u64, String), Failure> {
    const COLUMNS: [(FieldName, &str); 7] = [
        (FieldName::Name, "name"),
        (FieldName::Owner, "owner"),
        (FieldName::Grants, "actions"),
        (FieldName::Access, "actions"),
        (FieldName::Lifespan, "expiry"),
        (FieldName::Digest, "sha256"),
        (FieldName::Kind, "kind"),
    ];
    let owner = matches!(error, ServiceError::OwnerInactive | ServiceError::NotFound(_));
    match error {
        ServiceError::Store(StoreError::Unavailable(_) | StoreError::Busy | StoreError::Unknown(_))
        | ServiceError::KeyMismatch(_)
        | ServiceError::NoEntropy(_) => Err(error.into()),
        error => {
            let failure = Failure::of_service(error, &COLUMNS);
            let column = if owner { "owner: " } else { "" };
            Ok((row.line, format!("{column}{}", failure.sentence())))
        }
    }
}

fn unavailable(error: sqlx::Error) -> Failure {
    Failure::Unavailable(crate::failure::one_line(&error))
}
