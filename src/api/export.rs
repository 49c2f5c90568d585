//! `/audit-logs/export`: the audit log as a file, streamed.

use super::audit::{Event, EventFilters, TargetFilters, action_word, event_query, resolve_names};
use super::failure::Failure;
use super::query::Params;
use super::state::Api;
use crate::admin::AuditLog;
use crate::domain::{Owner, OwnerId};
use crate::guard::{Auth, AuthContext, Caller};
use crate::store::{EventQuery, Paging};
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt, stream};
use http::{HeaderValue, header};
use std::collections::HashMap;
use std::io;

/// The events that are loaded at a time. An event may take a megabyte.
const BATCH: Paging = Paging { page: 1, page_size: 100 };

#[derive(Clone, Copy)]
enum Format {
    Csv,
    Ndjson,
}

/// Exports audit events, the latest first: the same events as in the list, with the same parts withheld. The response
/// is streamed. The body ends with an error if the credential is revoked or the store fails.
#[utoipa::path(get, path = "/audit-logs/export", tag = "Audit log", params(
    ("format" = Option<String>, Query, description = "`csv` (RFC 4180), or `ndjson`: a JSON object a line, as in the list; `csv` if left out"),
    EventFilters,
    TargetFilters,
), responses((status = 200, body = String, content_type = "text/csv")))]
pub(super) async fn export(
    State(api): State<Api>,
    caller: Caller,
    Auth(auth): Auth,
    mut params: Params,
) -> Result<Response, Failure> {
    let format = params.parse("format", "csv or ndjson", |text| match text {
        "csv" => Some(Format::Csv),
        "ndjson" => Some(Format::Ndjson),
        _ => None,
    });
    let format = format.unwrap_or(Format::Csv);
    let query = event_query(&mut params, BATCH);
    if query.ascending {
        params.reject("sort", "is not for exports: the latest come first");
    }
    params.finish()?;
    let mut export =
        Export { log: api.audit(&caller), api, auth, query, format, people: HashMap::new(), is_finished: false };
    // Errors in the first batch become an error response instead of a truncated file.
    let first = export.read_batch().await?;
    let head = match format {
        Format::Csv => HEAD.to_owned(),
        Format::Ndjson => String::new(),
    };
    let first = Ok::<_, io::Error>(Bytes::from(head + &first));
    let rest = stream::unfold(export, |mut export: Export| async move {
        if export.is_finished {
            return None;
        }
        let batch = match export.auth.revalidate().await {
            Ok(()) => export.read_batch().await.map_err(|_| "the audit log could not be read"),
            Err(_) => Err("the credential is no longer valid"),
        };
        export.is_finished |= batch.is_err();
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

/// An export in progress.
struct Export {
    api: Api,
    log: AuditLog,
    auth: AuthContext,
    query: EventQuery,
    format: Format,
    people: HashMap<OwnerId, Option<Owner>>,
    is_finished: bool,
}

impl Export {
    /// Reads the next events and formats them.
    async fn read_batch(&mut self) -> Result<String, Failure> {
        let page = self.log.list(&self.query).await?;
        self.is_finished = page.items.len() < BATCH.page_size as usize;
        // Ids only grow, so events that are written meanwhile are in no later batch.
        self.query.below = page.items.last().map(|(id, _)| *id).or(self.query.below);
        let mut text = String::new();
        for event in resolve_names(&self.api, page.items, &mut self.people).await? {
            match self.format {
                Format::Csv => write_row(&mut text, &event),
                Format::Ndjson => {
                    // Serializing cannot fail: an event consists of texts and numbers.
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
        action_word(event.action),
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

/// Writes a field in quotes (RFC 4180, section 2). A field that spreadsheets read as a formula gets an apostrophe in
/// front.
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
    fn csv_field_is_quoted_and_is_not_a_formula() {
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
