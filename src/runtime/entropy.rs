//! Randomness from the operating system, read once at the edge; everything below takes a generator as an argument.

use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;
use std::io;

/// Makes a generator with a seed of the operating system.
///
/// # Errors
/// When the operating system gives no randomness; no program can go on safely then.
pub fn generator() -> io::Result<ChaCha20Rng> {
    ChaCha20Rng::try_from_os_rng().map_err(|error| io::Error::other(format!("no randomness from the system: {error}")))
}

/// Makes a generator that gives the same numbers for the same seed: for simulations and the demo, never for keys.
#[must_use]
pub fn seeded(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

#[cfg(test)]
mod tests {
    use crate::runtime::entropy::{generator, seeded};
    use rand::RngCore;

    #[test]
    fn a_seed_repeats_itself_and_the_system_does_not() {
        assert_eq!(seeded(7).next_u64(), seeded(7).next_u64());
        assert_ne!(seeded(7).next_u64(), seeded(8).next_u64());
        assert_ne!(generator().unwrap().next_u64(), generator().unwrap().next_u64());
    }
}
