//! Rows and stores for the store's tests.

use convoy::model::host_rollout::HostRolloutState;
use convoy::model::id::{
    Attempt, Author, Channel, Closure, Digest, HostName, JournalId, RolloutId, StoreId, Tag, TokenId,
};
use convoy::model::identity::Origin;
use convoy::model::time::Timestamp;
use convoy::store::memory::MemoryStore;
use convoy::store::rows::{
    Bucket, EventRow, HostRow, IdentityRow, JournalRow, PermitRow, QuarantineRow, RecordRow, ReleaseRow, RolloutRow,
    Spent, TokenRow,
};
use convoy::store::sqlite::{Options, SqliteStore};
use convoy::store::{Store, StoreError, Tx, read, write};
use std::path::Path;
use std::sync::Arc;
use tempfile::TempDir;

/// A store to try, and the directory that it lives in.
pub(crate) struct Fresh {
    pub(crate) store: Arc<dyn Store>,
    _dir: Option<TempDir>,
}

impl Fresh {
    pub(crate) fn memory() -> Self {
        Self { store: Arc::new(MemoryStore::new(store_id(1))), _dir: None }
    }

    pub(crate) fn sqlite() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self { store: Arc::new(open(&dir.path().join("convoy.db"))), _dir: Some(dir) }
    }

    pub(crate) async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut dyn Tx) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        write(&*self.store, work).await
    }

    pub(crate) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut dyn Tx) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        read(&*self.store, work).await
    }
}

pub(crate) fn open(path: &Path) -> SqliteStore {
    SqliteStore::open(path, Options { new_store_id: store_id(1) }).unwrap()
}

pub(crate) fn store_id(n: u8) -> StoreId {
    StoreId::new(format!("{n:032x}")).unwrap()
}

pub(crate) fn host(n: usize) -> HostName {
    HostName::new(format!("host{n}")).unwrap()
}

pub(crate) fn journal_id(n: usize) -> JournalId {
    // High digits too, so that every byte's conversion is tried.
    JournalId::new(format!("{n:016x}fedcba9876543210")).unwrap()
}

pub(crate) fn digest(n: usize) -> Digest {
    Digest::new(format!("{:064x}", n + 0xabcdef)).unwrap()
}

pub(crate) fn rollout_id(n: usize) -> RolloutId {
    format!("stable@r{n}").parse().unwrap()
}

pub(crate) fn channel() -> Channel {
    Channel::new("stable").unwrap()
}

pub(crate) fn closure(n: usize) -> Closure {
    Closure::new(format!("/nix/store/{}{n:02}-nixos-system", "0".repeat(30))).unwrap()
}

pub(crate) fn tag(n: usize) -> Tag {
    Tag::new(format!("tag{n}")).unwrap()
}

pub(crate) fn host_row(n: usize) -> HostRow {
    HostRow { name: host(n), heard: Some(Timestamp(-5)), body: format!("{{\"é\u{0}'\": {n}}}") }
}

pub(crate) fn journal_row(n: usize) -> JournalRow {
    let last_seq = i64::MAX.unsigned_abs();
    JournalRow { host: host(1), journal: journal_id(n), last_seq, opened: Timestamp(7), fenced: Some("why".to_owned()) }
}

pub(crate) fn event(host_n: usize, seq: u64) -> EventRow {
    EventRow {
        place: 0,
        host: Some(host(host_n)),
        rollout: Some(rollout_id(1)),
        attempt: Attempt(u32::MAX),
        author: Author::Journal(journal_id(1)),
        seq,
        digest: digest(3),
        received: Timestamp(i64::MIN),
        kind: "staged".to_owned(),
        body: "{}".to_owned(),
        refused: None,
    }
}

pub(crate) fn record(host_n: usize, rollout: usize, bucket: Bucket) -> RecordRow {
    let is_final = !matches!(bucket, Bucket::Waiting | Bucket::InFlight | Bucket::Failing);
    RecordRow {
        host: host(host_n),
        rollout: rollout_id(rollout),
        attempt: Attempt::FIRST,
        wave: 0,
        state: HostRolloutState::Soaking,
        is_final,
        changed: true,
        bucket,
        budgets: vec![tag(1), tag(2)],
        updated: Timestamp(9),
        body: "{}".to_owned(),
    }
}

pub(crate) fn release(n: usize) -> ReleaseRow {
    ReleaseRow {
        id: rollout_id(n),
        digest: digest(n),
        sequence: i64::MAX.unsigned_abs(),
        published: Timestamp(1),
        body: "{}".to_owned(),
    }
}

pub(crate) fn rollout(n: usize) -> RolloutRow {
    RolloutRow {
        id: rollout_id(n),
        open: true,
        opened: Timestamp(10),
        updated: Timestamp(i64::MAX),
        body: "{}".to_owned(),
    }
}

pub(crate) fn permit(n: usize) -> PermitRow {
    PermitRow {
        host: host(n),
        rollout: rollout_id(1),
        attempt: Attempt(2),
        journal: journal_id(4),
        seq: 5,
        granted: true,
        holds: "[]".to_owned(),
        at: Timestamp(6),
    }
}

pub(crate) fn quarantine(n: usize) -> QuarantineRow {
    QuarantineRow { channel: channel(), closure: closure(n), why: "probe".to_owned(), at: Timestamp(2) }
}

pub(crate) fn token_id(n: usize) -> TokenId {
    TokenId::new(format!("{n:016x}")).unwrap()
}

pub(crate) fn identity(n: usize) -> IdentityRow {
    IdentityRow {
        identity: format!("agent/host{n}").parse().unwrap(),
        key: digest(n),
        origin: Origin::Issued,
        issued: Timestamp(1),
        expires: Timestamp(i64::MAX),
        certificate: Some("-----BEGIN".to_owned()),
        token: Some(token_id(n)),
        revoked: Some(Timestamp(3)),
        reason: Some("it's gone".to_owned()),
        labels: vec![tag(1), tag(2)],
    }
}

pub(crate) fn token(n: usize) -> TokenRow {
    TokenRow {
        id: token_id(n),
        host: host(n),
        digest: digest(n),
        created: Timestamp(1),
        created_by: "admin/root".to_owned(),
        expires: Timestamp(100),
        spent: Some(Spent { key: digest(7), at: Timestamp(5) }),
        revoked: Some(Timestamp(6)),
        labels: vec![tag(3)],
    }
}
