//! Every test of Convoy that is not beside its code.

#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed, in its helper functions too")]

mod process;
mod demo;
mod architecture;
mod states;
mod store_samples;
mod store_contract;
mod ctl_offline;
mod wire;
mod fleet_golden;
mod unit_golden;
mod ctl_build;
mod ctl_fake;
mod ctl_online;
mod ctl_init;
mod ctl_access;
mod cp_files;
mod cp_run;
mod cp_tls;
mod cp_reconnect;
mod protocol_codes;
mod ctl_help;
mod plane_kill;
mod store_history;
mod store_child;
mod store_sqlite;
mod store_copies;
mod sim_world;
mod sim_scenarios;
mod site;
mod identity_life;
mod sim_disk;
mod sim_memory;
mod activator_cli;
mod agent_cli;
mod simulation;
mod recovery_fleet;
mod recovery;
mod recovery_plane;
mod recovery_power;
mod recovery_operator;
