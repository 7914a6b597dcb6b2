//! Convoy takes a fleet of NixOS hosts from one signed release to the next.
//!
//! The layers, from the ground up; an import may only point down (`tests/suite/architecture.rs`
//! holds the table):
//!
//! ```text
//! model                      everything that is decided; pure
//! wire                       what is said between programs, and kept on disk as JSON
//! trust  store  system       signatures · rows · hands on the machine
//! runtime  client  probe     clock and process edges · typed HTTP client · health checks
//! plane  agent  activator    the control plane · the agent on each host · its root helper
//! ctl                        the operator's command
//! program                    the programs as functions: command line, wiring, exit code
//! ```
//!
//! A release flows: `ctl` signs and publishes → `plane` verifies, stores, opens a rollout and
//! invites → `agent` stages, asks for a permit, acts through `system`, probes, and reports
//! events → `plane` steps the same machine of `model` and decides who goes next.

#![forbid(unsafe_code)]

pub mod model;
pub mod wire;
pub mod trust;
pub mod store;
pub mod system;
pub mod probe;
pub mod client;
pub mod plane;
pub mod agent;
pub mod activator;
pub mod ctl;
pub mod program;
pub mod runtime;
