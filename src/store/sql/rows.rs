//! Conversion of rows to domain types. A row that cannot be converted is an error: no request is admitted by a partial
//! record.

use super::error::query_error;
use super::lists::{parse, read_ancestors, read_grants, read_limits, read_permissions, read_previous};
use super::{Engine, Row, corrupt};
use crate::domain::{
    AccountKey, AccountKind, Actor, AuditEvent, AuditOrigin, AuditTarget, AuditTargetKind, Ceiling, ContentAccess,
    Digest, Grant, KeyCheck, KeyKind, KeyUse, LastUse, Metadata, Owner, OwnerId, OwnerState, PasswordHash, Role,
    RoleId, SealedSecret, Tag, Timestamp, Token, TokenAuthority, TokenId, TokenKind, TokenLimits,
};
use crate::store::{Imported, LoggedChange, Poll, Record, SignInPlace, Snapshot, StoreError};
use serde::de::value::{Error as UnknownWord, StrDeserializer};
use serde::{Deserialize, de::IntoDeserializer};
use serde_json::{Map, Value};
use sqlx::{Decode, Row as _, Type};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

pub(super) fn snapshot(row: &Row, now: Timestamp) -> Result<Snapshot, StoreError> {
    let seq = unsigned("seq", get(row, "seq")?)?;
    let op_id = maybe(row, "op_id")?;
    if maybe::<i64>(row, "token_id")?.is_none() {
        return Ok(Snapshot { seq, op_id, record: None });
    }
    let owner = match maybe::<i64>(row, "owner_id")? {
        Some(_) => Some((owner(row)?, ceiling(row)?)),
        None => None,
    };
    Ok(Snapshot { seq, op_id, record: Some(Record { token: token(row)?.at(now), owner, now }) })
}

/// Reads the snapshots of a list of `count` digests, in the order of the list.
pub(super) fn snapshots(
    rows: &[Row],
    count: usize,
    now: impl Fn(&Row) -> Result<Timestamp, StoreError>,
) -> Result<Vec<Result<Snapshot, StoreError>>, StoreError> {
    let mut in_order = vec![None; count];
    for row in rows {
        let place = usize::try_from(get::<i64>(row, "place")?).ok();
        let place =
            place.and_then(|place| in_order.get_mut(place)).ok_or_else(|| corrupt("place", "not in the list"))?;
        *place = Some(row);
    }
    in_order.into_iter().map(|row| row.map(|row| snapshot(row, now(row)?)).ok_or_else(super::no_epoch)).collect()
}

pub(super) fn token(row: &Row) -> Result<Token, StoreError> {
    let kind: String = get(row, "kind")?;
    let kind = TokenKind::from_word(&kind).ok_or_else(|| corrupt("kind", "no such kind"))?;
    Ok(Token {
        id: TokenId(get(row, "token_id")?),
        name: get(row, "name")?,
        description: get(row, "description")?,
        metadata: metadata(row)?,
        digest: digest(row)?,
        hint: get(row, "hint")?,
        lifespan: maybe::<i64>(row, "lifespan_ms")?.map(|ms| span("lifespan_ms", ms)).transpose()?,
        expires_at: maybe::<i64>(row, "expires_at")?.map(Timestamp),
        created_at: Timestamp(get(row, "created_at")?),
        updated_at: Timestamp(get(row, "updated_at")?),
        last_used_at: maybe::<i64>(row, "last_used_at")?.map(Timestamp),
        last_used_tool: tool(row, "last_used_tool")?,
        limits: limits(row)?,
        secret_used: secret_used(row)?,
        previous: maybe::<String>(row, "previous")?.map(|text| read_previous("previous", &text)).transpose()?,
        ancestors: match maybe::<String>(row, "ancestors")? {
            Some(text) => read_ancestors("ancestors", &text)?,
            None => Vec::new(),
        },
        parent_secret: maybe::<String>(row, "parent_digest")?
            .map(|text| parse_digest("parent_digest", &text))
            .transpose()?,
        authority: authority(row, kind)?,
    })
}

fn limits(row: &Row) -> Result<TokenLimits, StoreError> {
    let rate = maybe::<i64>(row, "rate_limit")?.zip(maybe::<i64>(row, "rate_window_ms")?);
    read_limits(get(row, "enabled")?, maybe(row, "networks")?, rate, maybe(row, "idle_expiry_ms")?)
}

fn secret_used(row: &Row) -> Result<Option<LastUse>, StoreError> {
    let at = maybe::<i64>(row, "secret_used_at")?;
    let address = address(row, "secret_address")?;
    Ok(at.map(|at| LastUse { at: Timestamp(at), address }))
}

fn metadata(row: &Row) -> Result<Option<Metadata>, StoreError> {
    let text = maybe::<String>(row, "metadata")?;
    text.map(|text| parse::<Map<String, Value>>("metadata", &text).map(Metadata::from)).transpose()
}

fn authority(row: &Row, kind: TokenKind) -> Result<TokenAuthority, StoreError> {
    let owner = || get(row, "token_owner_id").map(OwnerId);
    Ok(match kind {
        TokenKind::Admin => {
            TokenAuthority::Admin { owner: owner()?, grants: read_grants("grants", &get::<String>(row, "grants")?)? }
        }
        TokenKind::Content => TokenAuthority::Content { access: access(row)? },
        TokenKind::Session => TokenAuthority::Session { owner: owner()?, idle: span("idle_ms", get(row, "idle_ms")?)? },
    })
}

fn access(row: &Row) -> Result<ContentAccess, StoreError> {
    match get::<String>(row, "access")?.as_str() {
        "read-only" => Ok(ContentAccess::ReadOnly),
        "full-access" => Ok(ContentAccess::FullAccess),
        "custom" => parse("content_actions", &get::<String>(row, "content_actions")?).map(ContentAccess::Custom),
        _ => Err(corrupt("access", "no such access")),
    }
}

pub(super) fn digest(row: &Row) -> Result<Digest, StoreError> {
    parse_digest("digest", &get::<String>(row, "digest")?)
}

pub(super) fn parse_digest(column: &'static str, text: &str) -> Result<Digest, StoreError> {
    Digest::from_hex(text).map_err(|error| corrupt(column, error))
}

pub(super) fn owner(row: &Row) -> Result<Owner, StoreError> {
    Ok(Owner {
        id: OwnerId(get(row, "owner_id")?),
        account: account(row)?,
        kind: word::<AccountKind>("owner_kind", &get::<String>(row, "owner_kind")?)?,
        email: get(row, "email")?,
        firstname: get(row, "firstname")?,
        lastname: get(row, "lastname")?,
        username: maybe(row, "username")?,
        state: word::<OwnerState>("state", &get::<String>(row, "state")?)?,
        roles: role_ids(row)?,
        created_at: Timestamp(get(row, "owner_created_at")?),
        updated_at: Timestamp(get(row, "owner_updated_at")?),
    })
}

pub(super) fn reported_account(row: &Row) -> Result<(i64, String), StoreError> {
    Ok((get(row, "id")?, get(row, "account")?))
}

fn account(row: &Row) -> Result<Option<AccountKey>, StoreError> {
    let key = maybe::<String>(row, "account")?;
    key.map(|key| AccountKey::new(key).map_err(|error| corrupt("account", error))).transpose()
}

pub(super) fn ceiling(row: &Row) -> Result<Ceiling, StoreError> {
    if role_ids(row)?.contains(&RoleId::SUPER_ADMIN) {
        return Ok(Ceiling::Unlimited);
    }
    read_permissions("permissions", &get::<String>(row, "permissions")?).map(Ceiling::Of)
}

fn role_ids(row: &Row) -> Result<Vec<RoleId>, StoreError> {
    parse("role_ids", &get::<String>(row, "role_ids")?)
}

pub(super) fn role(row: &Row) -> Result<Role, StoreError> {
    Ok(Role {
        id: RoleId(get(row, "id")?),
        code: maybe(row, "code")?,
        name: get(row, "name")?,
        description: get(row, "description")?,
        permissions: read_permissions("permissions", &get::<String>(row, "permissions")?)?,
        created_at: Timestamp(get(row, "created_at")?),
        updated_at: Timestamp(get(row, "updated_at")?),
    })
}

pub(super) fn role_and_members(row: &Row) -> Result<(Role, u64), StoreError> {
    Ok((role(row)?, unsigned("members", get(row, "members")?)?))
}

pub(super) fn role_and_tokens(row: &Row) -> Result<(RoleId, u64), StoreError> {
    Ok((RoleId(get(row, "id")?), unsigned("n", get(row, "n")?)?))
}

pub(super) fn owner_and_tokens(row: &Row) -> Result<(OwnerId, u64), StoreError> {
    Ok((OwnerId(get(row, "id")?), unsigned("n", get(row, "n")?)?))
}

pub(super) fn token_and_grants(row: &Row) -> Result<(TokenId, Vec<Grant>), StoreError> {
    Ok((TokenId(get(row, "id")?), read_grants("grants", &get::<String>(row, "grants")?)?))
}

pub(super) fn owner_and_ceiling(row: &Row) -> Result<(Owner, Ceiling), StoreError> {
    Ok((owner(row)?, ceiling(row)?))
}

pub(super) fn password(row: &Row) -> Result<Option<PasswordHash>, StoreError> {
    Ok(maybe(row, "password_hash")?.map(PasswordHash))
}

pub(super) fn email_and_owner(row: &Row) -> Result<(String, OwnerId), StoreError> {
    Ok((get(row, "email_key")?, OwnerId(get(row, "id")?)))
}

/// Returns the owner who may sign in, if there is one.
pub(super) fn candidate(row: &Row) -> Result<Option<(OwnerId, PasswordHash)>, StoreError> {
    Ok(maybe(row, "owner_id")?.map(OwnerId).zip(password(row)?))
}

pub(super) fn sign_in_place(row: &Row) -> Result<SignInPlace, StoreError> {
    Ok(SignInPlace {
        owner: OwnerId(get(row, "doer_id")?),
        email: get(row, "email")?,
        address: address(row, "address")?.ok_or_else(|| corrupt("address", "no address"))?,
        last: Timestamp(get(row, "last")?),
    })
}

pub(super) fn invitation(row: &Row) -> Result<(OwnerId, Timestamp), StoreError> {
    Ok((OwnerId(get(row, "owner_id")?), Timestamp(get(row, "expires_at")?)))
}

pub(super) fn sealed_secret(row: &Row) -> Result<Option<SealedSecret>, StoreError> {
    match (maybe(row, "sealed_with")?, maybe(row, "sealed_secret")?) {
        (Some(key), Some(text)) => Ok(Some(SealedSecret { key, text })),
        (None, None) => Ok(None),
        _ => Err(corrupt("sealed_secret", "half a sealed secret")),
    }
}

/// Returns `None` for a kind that only a newer version knows.
pub(super) fn key_check(row: &Row) -> Result<Option<KeyCheck>, StoreError> {
    let (id, value) = (get(row, "id")?, get(row, "value")?);
    Ok(KeyKind::from_word(&get::<String>(row, "kind")?).map(|kind| KeyCheck { kind, id, value }))
}

pub(super) fn key_use(row: &Row) -> Result<KeyUse, StoreError> {
    let kind = KeyKind::from_word(&get::<String>(row, "kind")?).ok_or_else(|| corrupt("kind", "no such kind"))?;
    Ok(KeyUse { kind, id: get(row, "id")?, tokens: unsigned("n", get(row, "n")?)? })
}

pub(super) fn imported(row: &Row) -> Result<(String, String, Imported), StoreError> {
    let what = Imported::of(&get::<String>(row, "kind")?, get(row, "id")?);
    Ok((get(row, "source")?, get(row, "foreign_key")?, what.ok_or_else(|| corrupt("kind", "no such kind"))?))
}

#[cfg(any(test, feature = "testing"))]
pub(super) fn last_use(row: &Row) -> Result<(Timestamp, Option<IpAddr>), StoreError> {
    Ok((Timestamp(get(row, "last_used_at")?), address(row, "address")?))
}

/// Reads the name of an MCP tool.
fn tool(row: &Row, column: &'static str) -> Result<Option<Arc<str>>, StoreError> {
    Ok(maybe::<String>(row, column)?.map(Arc::from))
}

fn address(row: &Row, column: &'static str) -> Result<Option<IpAddr>, StoreError> {
    let address = maybe::<String>(row, column)?;
    address.map(|text| text.parse().map_err(|error| corrupt(column, error))).transpose()
}

pub(super) fn event_with_id(row: &Row) -> Result<(i64, AuditEvent), StoreError> {
    Ok((get(row, "id")?, audit_event(row)?))
}

pub(super) fn audit_event(row: &Row) -> Result<AuditEvent, StoreError> {
    let actor = match get::<String>(row, "doer_kind")?.as_str() {
        "service" => Actor::Service,
        "person" => Actor::Person(OwnerId(get(row, "doer_id")?)),
        "token" => Actor::Token(TokenId(get(row, "doer_id")?)),
        "visitor" => Actor::Visitor,
        "withheld" => Actor::Withheld,
        _ => return Err(corrupt("doer_kind", "no such actor")),
    };
    let target = match get::<String>(row, "target_kind")?.as_str() {
        "owner" => AuditTarget::Owner(OwnerId(get(row, "target_id")?)),
        "role" => AuditTarget::Role(RoleId(get(row, "target_id")?)),
        "token" => {
            let kind = TokenKind::from_word(&get::<String>(row, "target_detail")?);
            let kind = kind.ok_or_else(|| corrupt("target_detail", "no such kind"))?;
            AuditTarget::Token(TokenId(get(row, "target_id")?), kind)
        }
        "installation" => AuditTarget::Installation,
        "withheld" => {
            let of = AuditTargetKind::from_word(&get::<String>(row, "target_detail")?);
            AuditTarget::Withheld(of.ok_or_else(|| corrupt("target_detail", "no such kind"))?)
        }
        _ => return Err(corrupt("target_kind", "no such target")),
    };
    let what = word("what", &get::<String>(row, "what")?)?;
    let cause = maybe::<String>(row, "cause")?.map(|text| parse("cause", &text)).transpose()?;
    let details = parse("details", &get::<String>(row, "details")?)?;
    let origin = AuditOrigin { actor, address: address(row, "address")?, tool: tool(row, "tool")? };
    Ok(AuditEvent { at: Timestamp(get(row, "at")?), origin, what, target, cause, details })
}

/// Reads a column that must have a value. (The driver by itself reads NULL as 0 or as an empty text.)
pub(super) fn get<'r, T>(row: &'r Row, column: &'static str) -> Result<T, StoreError>
where
    T: Decode<'r, Engine> + Type<Engine> + 'r,
{
    maybe(row, column)?.ok_or_else(|| corrupt(column, "no value"))
}

/// Reads a column that may be NULL.
pub(super) fn maybe<'r, T>(row: &'r Row, column: &'static str) -> Result<Option<T>, StoreError>
where
    T: Decode<'r, Engine> + Type<Engine> + 'r,
{
    row.try_get::<Option<T>, _>(column).map_err(query_error)
}

pub(super) fn unsigned(column: &'static str, n: i64) -> Result<u64, StoreError> {
    u64::try_from(n).map_err(|error| corrupt(column, error))
}

fn span(column: &'static str, ms: i64) -> Result<Duration, StoreError> {
    unsigned(column, ms).map(Duration::from_millis)
}

/// Parses the word of an enum variant.
fn word<'t, T: Deserialize<'t>>(column: &'static str, text: &'t str) -> Result<T, StoreError> {
    let text: StrDeserializer<'t, UnknownWord> = text.into_deserializer();
    T::deserialize(text).map_err(|error| corrupt(column, error))
}

/// Reads the result of a poll.
pub(super) fn poll(row: &Row, now: Timestamp) -> Result<Poll, StoreError> {
    #[derive(Deserialize)]
    struct Line {
        seq: u64,
        op_id: String,
        at: i64,
        tags: String,
    }
    let lines: Vec<Line> = parse("changes", &get::<String>(row, "changes")?)?;
    let change = |line: Line| {
        let tags: Vec<i64> = parse("tags", &line.tags)?;
        let tags = tags.into_iter().map(|tag| Tag(tag.cast_unsigned())).collect();
        Ok(LoggedChange { seq: line.seq, op_id: line.op_id, at: Timestamp(line.at), tags })
    };
    let changes = lines.into_iter().map(change).collect::<Result<_, StoreError>>()?;
    Ok(Poll { now, head: unsigned("seq", get(row, "seq")?)?, known: get::<i32>(row, "known")? == 1, changes })
}
