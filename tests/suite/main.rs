//! Every test of Convoy that is not beside its code.
