//! Every test of Convoy that is not beside its code.

mod process;
mod architecture;
mod store_samples;
mod store_contract;
mod ctl_offline;
