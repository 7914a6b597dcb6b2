//! The simulator's store.
