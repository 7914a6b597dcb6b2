//! What was the case before a switch: failed units, the way to the network, whether the control plane answered.

use crate::activator::helper::Helper;
use crate::activator::settings::Settings;
use crate::activator::shelf::id_of;
use crate::model::id::Closure;
use crate::model::root_record::RootRecord;
use crate::system::SystemError;
use crate::system::links;
use crate::system::place::Place;
use crate::system::systemd::Transient;
use serde::{Deserialize, Serialize};
use std::fs;
use std::time::Duration;

/// How long one try to reach the control plane may take.
const REACH_LIMIT: Duration = Duration::from_secs(20);

/// What was the case before a switch.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Baseline {
    /// The version of the file.
    pub v: u32,
    /// Units that failed.
    pub failed_units: Vec<String>,
    /// Default gateways, with their interfaces.
    pub gateways: Vec<String>,
    /// The control plane answered.
    pub control_plane: bool,
}

impl Helper {
    /// Reads what was noted before an attempt; nothing when that is gone.
    #[must_use]
    pub fn baseline(&self, record: &RootRecord) -> Baseline {
        let text = self.shelf.get("baselines", &format!("{}.json", id_of(&record.rollout, record.attempt)));
        let text = text.ok().flatten().unwrap_or_default();
        serde_json::from_str(&text).unwrap_or_default()
    }

    /// Notes what is the case before an attempt.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn note_baseline(&self, id: &str, baseline: &Baseline) -> Result<(), SystemError> {
        let text = serde_json::to_string(baseline).expect("a struct with text keys is always JSON");
        self.shelf.put("baselines", &format!("{id}.json"), text.as_bytes())
    }

    /// Tries the control plane with the settings that a closure ships, as the agent's user.
    ///
    /// # Errors
    /// When it could not be tried.
    pub fn reaches(&self, closure: &Closure) -> Result<bool, SystemError> {
        let what = "try the control plane with the prior's settings";
        let missing = || SystemError::Failed { what, detail: format!("{closure} ships no convoy-agent") };
        let program = links::program(&self.place, closure, "convoy-agent").ok_or_else(missing)?;
        let user = Settings::of(&self.place, closure).map(|settings| settings.agent_user);
        let user = user.map_err(|detail| SystemError::Failed { what, detail })?;
        let config = format!("{closure}/etc/convoy/agent.json");
        let args = ["reach", "--config", &config];
        let unit =
            Transient { unit: "convoy-reach", limit: REACH_LIMIT, env: &self.env, program: &program, args: &args };
        let tried = self.run.run(unit.wait_as(&user)).map_err(|detail| SystemError::Failed { what, detail })?;
        Ok(tried.status.is_success())
    }
}

/// Lists the default gateways, each with its interface.
#[must_use]
pub fn gateways(place: &Place) -> Vec<String> {
    let read = |path| fs::read_to_string(place.at(path)).unwrap_or_default();
    let mut found = v4(&read("/proc/net/route"));
    found.extend(v6(&read("/proc/net/ipv6_route")));
    found.sort();
    found.dedup();
    found
}

/// `eth0 00000000 0102A8C0 0003 …`: interface, destination, gateway, flags.
fn v4(table: &str) -> Vec<String> {
    let rows = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let defaults = rows.filter(|row| row.len() > 3 && row[1] == "00000000" && row[2] != "00000000");
    defaults.map(|row| format!("{} {}", row[0], row[2])).collect()
}

/// Destination, its length, source, its length, gateway, …, interface.
fn v6(table: &str) -> Vec<String> {
    let zero = |address: &str| address.bytes().all(|digit| digit == b'0');
    let rows = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let defaults = rows.filter(|row| row.len() > 9 && zero(row[0]) && row[1] == "00" && !zero(row[4]));
    defaults.map(|row| format!("{} {}", row[9], row[4])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_gateways_are_read_from_the_kernels_tables() {
        let table =
            "Iface\tDestination\tGateway\tFlags\neth0\t00000000\t0102A8C0\t0003\neth0\t0002A8C0\t00000000\t0001\n";
        assert_eq!(v4(table), ["eth0 0102A8C0"]);
        let zero = "0".repeat(32);
        let gateway = format!("fe80{}1", "0".repeat(27));
        let table = format!(
            "{zero} 00 {zero} 00 {gateway} 00000400 1 0 00000003 eth0\n{zero} 00 {zero} 00 {zero} ffffffff 1 0 00200200 lo\n"
        );
        assert_eq!(v6(&table), [format!("eth0 {gateway}")]);
    }
}
