//! Tests of the control plane through its router, on both stores, with hosts that are played by hand.

mod host;
mod trial;
mod certified;

mod access;
mod dispatch;
mod enroll;
mod heartbeat;
mod intake;
mod loss;
mod operate;
mod permits;
mod protocol;
mod publish;
mod restart;
mod restless;
mod silence;
mod tick;
mod tls;
mod who;
