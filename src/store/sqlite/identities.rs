//! Identities and enrollment tokens in SQL.

use crate::model::id::{HostName, TokenId};
use crate::model::identity::Identity;
use crate::model::time::Timestamp;
use crate::store::rows::{IdentityRow, Spent, TokenRow};
use crate::store::sqlite::convert::{
    count, digest_bytes, hex, hex_or_none, id, id_or_none, origin, origin_word, plain, tags, tags_text, time,
};
use crate::store::sqlite::failure::Unread;
use crate::store::sqlite::tx::{SqliteTx, limit};
use crate::store::{StoreError, rules};
use rusqlite::{Row, params};

const IDENTITY: &str = "identity, key, origin, issued, expires, certificate, token, revoked, reason, labels";
const TOKEN: &str = "id, host, digest, created, created_by, expires, spent_key, spent_at, revoked, labels";

pub(crate) fn identity(tx: &SqliteTx<'_>, identity: &Identity) -> Result<Option<IdentityRow>, StoreError> {
    let sql = format!("SELECT {IDENTITY} FROM identities WHERE identity = ?1");
    tx.first(&sql, params![identity.to_string()], identity_row)
}

pub(crate) fn put_identity(tx: &SqliteTx<'_>, row: &IdentityRow) -> Result<(), StoreError> {
    let sql = "INSERT INTO identities
            (identity, key, origin, issued, expires, certificate, token, revoked, reason, labels)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
        ON CONFLICT DO UPDATE SET key = excluded.key, origin = excluded.origin, issued = excluded.issued,
            expires = excluded.expires, certificate = excluded.certificate, token = excluded.token,
            revoked = excluded.revoked, reason = excluded.reason, labels = excluded.labels";
    let values = params![
        row.identity.to_string(),
        digest_bytes(&row.key),
        origin_word(row.origin),
        row.issued.0,
        row.expires.0,
        row.certificate,
        row.token.as_ref().map(TokenId::as_str),
        row.revoked.map(|at| at.0),
        row.reason,
        tags_text(&row.labels),
    ];
    tx.execute(sql, values).map(drop)
}

pub(crate) fn identities(
    tx: &SqliteTx<'_>,
    after: Option<&Identity>,
    most: usize,
) -> Result<Vec<IdentityRow>, StoreError> {
    // Every identity is after the empty text.
    let after = after.map(ToString::to_string).unwrap_or_default();
    let sql = format!("SELECT {IDENTITY} FROM identities WHERE identity > ?1 ORDER BY identity LIMIT ?2");
    tx.list(&sql, params![after, limit(most)], identity_row)
}

fn identity_row(row: &Row<'_>) -> Result<IdentityRow, Unread> {
    Ok(IdentityRow {
        identity: id(row, 0)?,
        key: hex(row, 1)?,
        origin: origin(row, 2)?,
        issued: time(row, 3)?,
        expires: time(row, 4)?,
        certificate: plain(row, 5)?,
        token: id_or_none(row, 6)?,
        revoked: plain::<Option<i64>>(row, 7)?.map(Timestamp),
        reason: plain(row, 8)?,
        labels: tags(row, 9)?,
    })
}

pub(crate) fn token(tx: &SqliteTx<'_>, token: &TokenId) -> Result<Option<TokenRow>, StoreError> {
    let sql = format!("SELECT {TOKEN} FROM tokens WHERE id = ?1");
    tx.first(&sql, params![token.as_str()], token_row)
}

pub(crate) fn put_token(tx: &SqliteTx<'_>, row: &TokenRow) -> Result<(), StoreError> {
    rules::check_token(token(tx, &row.id)?.as_ref(), row)?;
    let sql = "INSERT INTO tokens
            (id, host, digest, created, created_by, expires, spent_key, spent_at, revoked, labels)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
        ON CONFLICT DO UPDATE SET created = excluded.created, created_by = excluded.created_by,
            expires = excluded.expires, spent_key = excluded.spent_key, spent_at = excluded.spent_at,
            revoked = excluded.revoked, labels = excluded.labels";
    let values = params![
        row.id.as_str(),
        row.host.as_str(),
        digest_bytes(&row.digest),
        row.created.0,
        row.created_by,
        row.expires.0,
        row.spent.as_ref().map(|spent| digest_bytes(&spent.key)),
        row.spent.as_ref().map(|spent| spent.at.0),
        row.revoked.map(|at| at.0),
        tags_text(&row.labels),
    ];
    tx.execute(sql, values).map(drop)
}

pub(crate) fn tokens(tx: &SqliteTx<'_>, after: Option<&TokenId>, most: usize) -> Result<Vec<TokenRow>, StoreError> {
    let sql = format!("SELECT {TOKEN} FROM tokens WHERE id > ?1 ORDER BY id LIMIT ?2");
    tx.list(&sql, params![after.map_or("", TokenId::as_str), limit(most)], token_row)
}

pub(crate) fn tokens_of(tx: &SqliteTx<'_>, host: &HostName) -> Result<Vec<TokenRow>, StoreError> {
    let sql = format!("SELECT {TOKEN} FROM tokens WHERE host = ?1 ORDER BY id");
    tx.list(&sql, params![host.as_str()], token_row)
}

pub(crate) fn prune_tokens(tx: &SqliteTx<'_>, before: Timestamp, most: usize) -> Result<usize, StoreError> {
    let sql = "DELETE FROM tokens WHERE id IN (SELECT id FROM tokens WHERE expires < ?1 ORDER BY expires, id LIMIT ?2)";
    tx.execute(sql, params![before.0, limit(most)])
}

pub(crate) fn open_tokens(tx: &SqliteTx<'_>, now: Timestamp) -> Result<u64, StoreError> {
    let sql = "SELECT count(*) FROM tokens WHERE expires > ?1 AND spent_key IS NULL AND revoked IS NULL";
    Ok(tx.first(sql, params![now.0], |row| count(row, 0))?.unwrap_or(0))
}

fn token_row(row: &Row<'_>) -> Result<TokenRow, Unread> {
    let (key, at) = (hex_or_none(row, 6)?, plain::<Option<i64>>(row, 7)?);
    Ok(TokenRow {
        id: id(row, 0)?,
        host: id(row, 1)?,
        digest: hex(row, 2)?,
        created: time(row, 3)?,
        created_by: plain(row, 4)?,
        expires: time(row, 5)?,
        spent: key.zip(at).map(|(key, at)| Spent { key, at: Timestamp(at) }),
        revoked: plain::<Option<i64>>(row, 8)?.map(Timestamp),
        labels: tags(row, 9)?,
    })
}
