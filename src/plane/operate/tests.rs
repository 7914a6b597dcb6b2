//! Tests of operators' acts.
