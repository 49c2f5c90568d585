//! Parts of the wire format that admin tokens and content tokens share.

use super::failure::Failure;
use super::query::{FieldType, Params};
use crate::admin::{self, SecretAccess};
use crate::domain::{Secret, Token, TokenKind};
use crate::store::{TokenField, TokenQuery, TokenSort};
use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use std::borrow::Cow;
use std::fmt;
use std::time::Duration;
use utoipa::openapi::schema::{SchemaType, Type};
use utoipa::openapi::{ObjectBuilder, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

/// Parses the parameters of a list of tokens. Both kinds share all fields but one: the owner, or the type.
pub(super) fn token_query(
    mut params: Params,
    kind: TokenKind,
    (name, sort, field, field_type): (&'static str, TokenSort, TokenField, FieldType),
) -> Result<TokenQuery, Failure> {
    let paging = params.large_paging();
    let sorts = [
        ("id", TokenSort::Id),
        ("name", TokenSort::Name),
        ("createdAt", TokenSort::CreatedAt),
        ("lastUsedAt", TokenSort::LastUsedAt),
        ("expiresAt", TokenSort::ExpiresAt),
        (name, sort),
    ];
    let fields = [
        ("id", TokenField::Id, FieldType::Id),
        ("name", TokenField::Name, FieldType::Text),
        ("description", TokenField::Description, FieldType::Text),
        (name, field, field_type),
    ];
    let (sort, descending) = params.sort(&sorts).unwrap_or((TokenSort::Name, false));
    let (search, metadata, filters) = (params.search(), params.metadata(), params.filters(&fields));
    params.finish()?;
    Ok(TokenQuery { paging, search, metadata, filters, sort, descending, ..TokenQuery::of(kind) })
}

/// The lifespan of a new token, as sent: milliseconds, as a number or a text; null for an unlimited one.
#[derive(Default, Clone, Copy)]
pub(super) struct Lifespan(Option<Duration>);

impl From<Lifespan> for admin::Lifespan {
    fn from(sent: Lifespan) -> Self {
        sent.0.map_or(Self::Unlimited, Self::Of)
    }
}

impl<'de> Deserialize<'de> for Lifespan {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Milliseconds;

        impl Visitor<'_> for Milliseconds {
            type Value = Lifespan;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number of milliseconds, or null for an unlimited one")
            }

            fn visit_u64<E: Error>(self, ms: u64) -> Result<Lifespan, E> {
                Ok(Lifespan(Some(Duration::from_millis(ms))))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Lifespan, E> {
                let plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
                match text.parse() {
                    Ok(ms) if plain => self.visit_u64(ms),
                    _ => Err(E::invalid_value(Unexpected::Str(text), &self)),
                }
            }

            fn visit_unit<E: Error>(self) -> Result<Lifespan, E> {
                Ok(Lifespan(None))
            }
        }

        deserializer.deserialize_any(Milliseconds)
    }
}

impl PartialSchema for Lifespan {
    fn schema() -> RefOr<Schema> {
        let description = "Milliseconds, as a number or a string of digits; null: unlimited.";
        let types = SchemaType::from_iter([Type::Integer, Type::String, Type::Null]);
        ObjectBuilder::new().schema_type(types).description(Some(description)).into()
    }
}

impl ToSchema for Lifespan {
    fn name() -> Cow<'static, str> {
        "Lifespan".into()
    }
}

pub(super) fn format_lifespan(token: &Token) -> Option<String> {
    token.lifespan.map(|span| span.as_millis().to_string())
}

/// A new key.
#[derive(Serialize, ToSchema)]
#[schema(as = Regenerated)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RegeneratedKey {
    id: i64,
    /// `admin` or `content-api`.
    kind: &'static str,
    /// The new key. The old one is revoked, or will be when its grace period ends.
    access_key: String,
}

impl RegeneratedKey {
    pub(super) fn new(issued: &admin::IssuedToken, kind: &'static str) -> Self {
        Self { id: issued.token.id.0, kind, access_key: expose(&issued.secret) }
    }
}

/// Returns the fields `accessKey` and `accessKeyError` of a token that is read.
pub(super) fn key_fields(key: &SecretAccess) -> (Option<String>, Option<String>) {
    match key {
        SecretAccess::Shown(secret) => (Some(expose(secret)), None),
        SecretAccess::Lost(why) => (None, Some(why.to_string())),
        SecretAccess::NotForYou | SecretAccess::NotKept => (None, None),
    }
}

pub(super) fn expose(secret: &Secret) -> String {
    secret.expose().to_owned()
}
