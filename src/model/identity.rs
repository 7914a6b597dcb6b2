//! Who speaks: the role and name that a certificate carries, and whether a certificate still counts; must not read one.

use crate::model::id::{Digest, HostName, InvalidId, UserName};
use crate::model::time::Timestamp;
use std::fmt;
use std::str::FromStr;

/// What a certificate may be used for. Each of the last three may do what the one before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// The agent of one host, for that host only.
    Agent,
    /// Looks at everything that an operator sees.
    Viewer,
    /// Publishes releases, and steers rollouts and hosts.
    Operator,
    /// Lets hosts in and shuts identities out.
    Admin,
}

impl Role {
    /// All roles.
    pub const ALL: [Self; 4] = [Self::Agent, Self::Viewer, Self::Operator, Self::Admin];

    /// Returns the name used in certificates, API and messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Role {
    type Err = InvalidId;
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let rule = "agent, viewer, operator or admin";
        let unknown = || InvalidId { what: "role", got: text.chars().take(80).collect(), rule };
        Self::ALL.into_iter().find(|role| role.name() == text).ok_or_else(unknown)
    }
}

/// Who speaks. As text `agent/web1`; in a certificate the URI `convoy://agent/web1`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Identity {
    /// The agent of a host.
    Agent(HostName),
    /// Somebody who looks.
    Viewer(UserName),
    /// Somebody who steers.
    Operator(UserName),
    /// Somebody who lets others in.
    Admin(UserName),
}

/// What the URI of an identity begins with.
const SCHEME: &str = "convoy://";

impl Identity {
    /// Puts role and name together.
    ///
    /// # Errors
    /// When the name is not one of that role.
    pub fn new(role: Role, name: &str) -> Result<Self, InvalidId> {
        match role {
            Role::Agent => HostName::new(name).map(Self::Agent),
            Role::Viewer => UserName::new(name).map(Self::Viewer),
            Role::Operator => UserName::new(name).map(Self::Operator),
            Role::Admin => UserName::new(name).map(Self::Admin),
        }
    }

    /// Returns the role.
    #[must_use]
    pub const fn role(&self) -> Role {
        match self {
            Self::Agent(_) => Role::Agent,
            Self::Viewer(_) => Role::Viewer,
            Self::Operator(_) => Role::Operator,
            Self::Admin(_) => Role::Admin,
        }
    }

    /// Returns the name within the role.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Agent(name) => name.as_str(),
            Self::Viewer(name) | Self::Operator(name) | Self::Admin(name) => name.as_str(),
        }
    }

    /// Returns the URI that a certificate carries.
    #[must_use]
    pub fn uri(&self) -> String {
        format!("{SCHEME}{self}")
    }

    /// Reads the URI of a certificate; `None` for one of another scheme.
    #[must_use]
    pub fn from_uri(uri: &str) -> Option<Result<Self, InvalidId>> {
        uri.strip_prefix(SCHEME).map(str::parse)
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}/{}", self.role(), self.name()))
    }
}

impl FromStr for Identity {
    type Err = InvalidId;
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let rule = "a role and a name, such as agent/web1 or operator/alice";
        let parts = text.split_once('/');
        let (role, name) =
            parts.ok_or_else(|| InvalidId { what: "identity", got: text.chars().take(80).collect(), rule })?;
        Self::new(role.parse()?, name)
    }
}

/// What a certificate says, once its chain and the possession of its key were verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Presented {
    /// Who.
    pub identity: Identity,
    /// SHA-256 of its public key (SubjectPublicKeyInfo).
    pub key: Digest,
    /// From when on it counts.
    pub issued: Timestamp,
    /// Until when it counts.
    pub expires: Timestamp,
}

/// Where a certificate came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// This control plane issued it: one key for each identity, until a new token is spent.
    Issued,
    /// Another authority did, whose keys may change at any time.
    Elsewhere,
}

/// What the control plane knows of an identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// Its newest key.
    pub key: Digest,
    /// Where that came from.
    pub origin: Origin,
    /// Since when it is shut out.
    pub revoked: Option<Timestamp>,
}

/// Why a certificate does not count although its chain does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Denial {
    /// It is over; kept-alive connections may outlive their certificates.
    Expired(Timestamp),
    /// The identity was shut out.
    Revoked(Timestamp),
    /// The identity was enrolled again with another key.
    Replaced,
}

/// Tells whether a certificate counts now. An identity that is not known yet does: an authority that is trusted
/// signed it.
///
/// # Errors
/// [`Denial`].
pub fn admit(presented: &Presented, known: Option<&Known>, now: Timestamp) -> Result<(), Denial> {
    if now >= presented.expires {
        return Err(Denial::Expired(presented.expires));
    }
    let Some(known) = known else { return Ok(()) };
    match (known.revoked, known.origin) {
        // A key of another authority comes back under a certificate that was made after the revocation.
        (Some(at), Origin::Elsewhere) if presented.issued > at && presented.key != known.key => Ok(()),
        (Some(at), Origin::Elsewhere | Origin::Issued) => Err(Denial::Revoked(at)),
        (None, Origin::Issued) if presented.key != known.key => Err(Denial::Replaced),
        (None, Origin::Issued | Origin::Elsewhere) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_000_000);

    fn digest(fill: &str) -> Digest {
        Digest::new(fill.repeat(64)).unwrap()
    }

    fn presented(key: &str, issued: i64) -> Presented {
        let identity = "agent/web1".parse().unwrap();
        Presented { identity, key: digest(key), issued: Timestamp(issued), expires: Timestamp(2_000_000) }
    }

    fn known(origin: Origin, revoked: Option<i64>) -> Known {
        Known { key: digest("a"), origin, revoked: revoked.map(Timestamp) }
    }

    #[test]
    fn an_identity_is_the_same_as_text_and_as_uri() {
        for text in ["agent/web1.example.org", "viewer/grafana", "operator/alice", "admin/root"] {
            let identity: Identity = text.parse().unwrap();
            assert_eq!(identity.to_string(), text);
            assert_eq!(Identity::from_uri(&identity.uri()), Some(Ok(identity)));
        }
        for text in ["", "web1", "agent/", "agent/a/b", "root/web1", "Agent/web1", "agent/-"] {
            assert!(text.parse::<Identity>().is_err(), "{text} was taken");
        }
        assert_eq!(Identity::from_uri("spiffe://agent/web1"), None);
    }

    #[test]
    fn a_certificate_counts_until_its_end_also_on_an_open_connection() {
        assert_eq!(admit(&presented("a", 0), None, NOW), Ok(()));
        assert_eq!(admit(&presented("a", 0), None, Timestamp(2_000_000)), Err(Denial::Expired(Timestamp(2_000_000))));
    }

    #[test]
    fn only_the_newest_key_that_was_issued_here_counts() {
        let issued = known(Origin::Issued, None);
        assert_eq!(admit(&presented("a", 0), Some(&issued), NOW), Ok(()));
        assert_eq!(admit(&presented("b", 0), Some(&issued), NOW), Err(Denial::Replaced));
        assert_eq!(admit(&presented("b", 0), Some(&known(Origin::Elsewhere, None)), NOW), Ok(()));
    }

    #[test]
    fn a_revoked_identity_is_out_until_it_is_issued_anew() {
        let out = Err(Denial::Revoked(Timestamp(500)));
        assert_eq!(admit(&presented("a", 0), Some(&known(Origin::Issued, Some(500))), NOW), out);
        assert_eq!(admit(&presented("b", 900), Some(&known(Origin::Issued, Some(500))), NOW), out);
        let elsewhere = known(Origin::Elsewhere, Some(500));
        assert_eq!(admit(&presented("a", 900), Some(&elsewhere), NOW), out);
        assert_eq!(admit(&presented("b", 500), Some(&elsewhere), NOW), out);
        assert_eq!(admit(&presented("b", 501), Some(&elsewhere), NOW), Ok(()));
    }
}
