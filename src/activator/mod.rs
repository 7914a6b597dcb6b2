//! The root helper: the only thing that may switch a system. It trusts nobody, has no network code, and ends after each
//! answer; every long act runs in a transient unit of its own.
//!
//! ```text
//! serve ─▶ start ─ check, pins, baseline        helper   what it has in its hands
//!       ─▶ verbs   pat, commit, revert, …       shelf    its files, durable
//!            └─▶ change: step, write, obey ─▶ units: systemd-run
//!   units run ─▶ switch · trial · commit · rollback      each writes its own result
//!   the timer ─▶ dead_man          a boot ─▶ boots
//! ```

pub mod settings;
pub mod shelf;
pub mod helper;
pub mod units;
pub mod change;
pub mod baseline;
pub mod pins;
pub mod check;
pub mod start;
pub mod verbs;
pub mod switch;
pub mod trial;
pub mod commit;
pub mod rollback;
pub mod dead_man;
pub mod boots;
pub mod serve;
