//! Every test of Convoy that is not beside its code.

mod process;
mod architecture;
