//! The one spawner: every process Convoy starts, starts here.
