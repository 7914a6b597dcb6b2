//! What may run, and who says so: canonical JSON, keys, signatures, releases and leases. Must not decide when.
//!
//! A release is believed in this order, so that nothing unsigned is ever parsed: sizes → signatures over the
//! manifest's bytes, by as many different keys as the trust file asks for → canonical form → meaning → the lease,
//! signed for this very manifest. Whether the lease still allows a start is a second question ([`check_lease`]),
//! because it changes with the time and with what the host accepted before.

mod canonical;
pub mod certificate;
pub mod authority;
pub mod token;
pub mod tls;
pub mod error;
mod private;
pub mod key;
pub mod keyring;
pub mod lease;
pub mod release;
mod signature;
pub mod unsigned;

pub use crate::trust::error::TrustError;
pub use crate::trust::key::{PublicKey, SigningKey};
pub use crate::trust::keyring::TrustFile;
pub use crate::trust::lease::{Floor, Lease, check_lease};
pub use crate::trust::release::{
    Verified, VerifiedFor, draft, parse_signed, renew_lease, sign_release, verify, verify_for_host,
};

#[cfg(test)]
mod tests;
