//! The shelf against crashes.
