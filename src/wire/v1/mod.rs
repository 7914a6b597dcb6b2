//! Version 1 of the protocol, under `/v1`. JSON, camelCase names; unknown fields are ignored on reading.

pub mod agent;
pub mod dispatch;
pub mod event;
pub mod identity;
pub mod release;
pub mod manifest;
pub mod host;
pub mod operator;
pub mod error;
