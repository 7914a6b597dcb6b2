//! What a simulated machine is made of, and what is wrong with it whatever it runs.

use crate::model::id::{Closure, Digest, HostName};
use crate::model::time::Timestamp;
use crate::trust::Floor;
use crate::wire::text;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// What does not change about a machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Machine {
    /// The simulated store.
    pub store: PathBuf,
    /// The program with the verb `simulate`, for long acts.
    pub program: PathBuf,
    /// The agent's program and arguments.
    pub agent: Vec<String>,
    /// How long a dead agent stays dead, in milliseconds.
    pub restart_delay_ms: u64,
    /// How often the dead-man looks, in milliseconds.
    pub dead_man_ms: u64,
    /// How long a boot takes, in milliseconds.
    pub boot_ms: u64,
    /// How long a hanging boot takes until the watchdog resets the machine, in milliseconds.
    pub watchdog_ms: u64,
    /// The helper checks signatures and everything signed. Off only where a test is about mechanics.
    pub verify: bool,
}

impl Default for Machine {
    fn default() -> Self {
        let dead_man_ms = u64::try_from(crate::model::limit::DEAD_MAN_PERIOD.as_millis()).unwrap_or(u64::MAX);
        Self {
            store: PathBuf::new(),
            program: PathBuf::new(),
            agent: Vec::new(),
            restart_delay_ms: 200,
            dead_man_ms,
            boot_ms: 20,
            watchdog_ms: 200,
            verify: true,
        }
    }
}

/// What is wrong with a machine itself, whatever it runs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Faults {
    /// Its network cable is out.
    pub cable_out: bool,
    /// Its disk is full.
    pub disk_full: bool,
    /// Its agent's state is lost at a boot.
    pub volatile_state: bool,
    /// Its boot loader has no one-shot entry.
    pub no_oneshot: bool,
    /// What the running closure tells its agent can't be read.
    pub settings_unreadable: bool,
    /// It goes on running when it is told to reboot.
    pub never_reboots: bool,
    /// Its profile can't be written.
    pub profile_stuck: bool,
    /// Its boot loader can't be written.
    pub loader_stuck: bool,
}

/// The newest signed release that was started.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct StoredFloor {
    /// Its place in the fleet's sequence.
    pub sequence: u64,
    /// The digest of its manifest.
    #[serde(with = "text::option")]
    pub digest: Option<Digest>,
    /// The newest signed date, in milliseconds of wall time.
    pub latest_issued_ms: Option<i64>,
}

impl From<&StoredFloor> for Floor {
    fn from(stored: &StoredFloor) -> Self {
        let latest_issued = stored.latest_issued_ms.map(Timestamp);
        Self { sequence: stored.sequence, digest: stored.digest.clone(), latest_issued }
    }
}

impl From<Floor> for StoredFloor {
    fn from(floor: Floor) -> Self {
        Self {
            sequence: floor.sequence,
            digest: floor.digest,
            latest_issued_ms: floor.latest_issued.map(|issued| issued.0),
        }
    }
}

/// What a new host is made of.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The host.
    pub name: HostName,
    /// What does not change.
    pub machine: Machine,
    /// What it runs: a closure that is in the store.
    pub closure: Closure,
}
