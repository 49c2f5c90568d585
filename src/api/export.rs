//! `/admin/audit-logs/export`: the audit log as a file, which is sent while it is read.

use super::audit::{Event, event_query, events, with_names, word};
use super::failure::Failure;
use super::query::Params;
use super::request::Caller;
use super::state::Api;
use crate::admin::AuditLog;
use crate::domain::{Owner, OwnerId};
use crate::guard::{Auth, AuthContext};
use crate::store::{EventQuery, Paging};
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt, stream};
use http::{HeaderValue, header};
use std::collections::HashMap;
use std::io;

/// How many events are read at a time: an event may be a megabyte.
const BATCH: Paging = Paging { page: 1, page_size: 100 };

#[derive(Clone, Copy)]
enum Format {
    Csv,
    Ndjson,
}

/// Exports audit events, the latest first: all that the same parameters list, each as its reader may see it. The answer is sent while the
/// log is read. The body ends with an error if the credential is revoked or the store fails.
#[utoipa::path(get, path = "/admin/audit-logs/export", tag = "Audit log", params(
    ("format" = Option<String>, Query, description = "`csv` (RFC 4180), or `ndjson`: a JSON object a line, as in the list; `csv` if left out"),
    ("action" = Option<String>, Query, description = "What was done: `token-issued`"),
    ("user" = Option<i64>, Query, description = "By this person"),
    ("token" = Option<i64>, Query, description = "By this token"),
    ("targetKind" = Option<String>, Query, description = "To what, with `targetId`: `user`, `role`, `admin-token`, `api-token`, `session`; or `installation`"),
    ("targetId" = Option<i64>, Query, description = "To which of that kind"),
    ("from" = Option<String>, Query, description = "Not before this date"),
    ("to" = Option<String>, Query, description = "Before this date"),
    ("_q" = Option<String>, Query, description = "A text that is in the word for what was done"),
    ("filters" = Option<String>, Query, description = "As in the list"),
), responses((status = 200, body = String, content_type = "text/csv")))]
pub(super) async fn export(
    State(api): State<Api>,
    caller: Caller,
    Auth(auth): Auth,
    mut params: Params,
) -> Result<Response, Failure> {
    let format = params.read("format", "csv or ndjson", |text| match text {
        "csv" => Some(Format::Csv),
        "ndjson" => Some(Format::Ndjson),
        _ => None,
    });
    let format = format.unwrap_or(Format::Csv);
    let query = event_query(&mut params, BATCH);
    if query.ascending {
        params.wrong("sort", "is not for exports: the latest come first");
    }
    params.done()?;
    let mut export =
        Export { events: events(&api, &caller), api, auth, query, format, people: HashMap::new(), done: false };
    // Errors in the first batch become an error response instead of a truncated file.
    let first = export.batch().await?;
    let head = match format {
        Format::Csv => HEAD.to_owned(),
        Format::Ndjson => String::new(),
    };
    let first = Ok::<_, io::Error>(Bytes::from(head + &first));
    let rest = stream::unfold(export, |mut export: Export| async move {
        if export.done {
            return None;
        }
        let batch = match export.auth.revalidate().await {
            Ok(()) => export.batch().await.map_err(|_| "the audit log could not be read"),
            Err(_) => Err("the credential is no longer valid"),
        };
        export.done |= batch.is_err();
        Some((batch.map(Bytes::from).map_err(io::Error::other), export))
    });
    let body = Body::from_stream(stream::iter([first]).chain(rest));
    let (kind, name) = match format {
        Format::Csv => ("text/csv; charset=utf-8; header=present", "attachment; filename=\"audit-log.csv\""),
        Format::Ndjson => ("application/x-ndjson", "attachment; filename=\"audit-log.ndjson\""),
    };
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
        (header::CONTENT_DISPOSITION, HeaderValue::from_static(name)),
    ];
    Ok((headers, body).into_response())
}

/// An export under way.
struct Export {
    api: Api,
    events: AuditLog,
    auth: AuthContext,
    query: EventQuery,
    format: Format,
    people: HashMap<OwnerId, Option<Owner>>,
    /// There is nothing more.
    done: bool,
}

impl Export {
    /// The next events as text.
    async fn batch(&mut self) -> Result<String, Failure> {
        let page = self.events.list(&self.query).await?;
        self.done = page.items.len() < BATCH.page_size as usize;
        // Ids only grow: later events come in no later batch.
        self.query.below = page.items.last().map(|(id, _)| *id).or(self.query.below);
        let mut text = String::new();
        for event in with_names(&self.api, page.items, &mut self.people).await? {
            match self.format {
                Format::Csv => write_row(&mut text, &event),
                Format::Ndjson => {
                    // It has been made of texts and numbers, and can be written as such.
                    text += &serde_json::to_string(&event).unwrap_or_default();
                    text.push('\n');
                }
            }
        }
        Ok(text)
    }
}

const HEAD: &str =
    "id,date,action,userId,userEmail,tokenId,targetKind,targetId,address,causeKind,causeId,withheld,payload\r\n";

fn write_row(text: &mut String, event: &Event) {
    let number = |number: Option<i64>| number.map(|number| number.to_string()).unwrap_or_default();
    let user = event.user.as_ref();
    let cause = event.cause.as_ref();
    let fields = [
        event.id.to_string(),
        event.date.clone(),
        word(event.action),
        number(user.map(|user| user.id)),
        user.and_then(|user| user.email.clone()).unwrap_or_default(),
        number(event.token),
        event.target.kind.to_owned(),
        number(event.target.id),
        event.address.clone().unwrap_or_default(),
        cause.map_or("", |cause| cause.kind).to_owned(),
        number(cause.and_then(|cause| cause.id)),
        event.withheld.to_string(),
        event.payload.to_string(),
    ];
    for (i, field) in fields.iter().enumerate() {
        if i > 0 {
            text.push(',');
        }
        write_field(text, field);
    }
    *text += "\r\n";
}

/// Writes a field in quotes (RFC 4180, section 2). A field that spreadsheets read as a formula gets an apostrophe in front.
fn write_field(text: &mut String, field: &str) {
    text.push('"');
    if field.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        text.push('\'');
    }
    *text += &field.replace('"', "\"\"");
    text.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_quoted_and_no_formula() {
        for (field, written) in [
            ("a", "\"a\""),
            ("", "\"\""),
            ("a\"b,\r\nc", "\"a\"\"b,\r\nc\""),
            ("=1+1", "\"'=1+1\""),
            ("@SUM", "\"'@SUM\""),
        ] {
            let mut text = String::new();
            write_field(&mut text, field);
            assert_eq!(text, written);
        }
    }
}
