//! What a wave's tally says: halted, proven, done, and which wave comes next. Must not look at time.

use crate::model::rollout::{Halt, Tally, WaveRules};

/// Returns how many hosts of the wave must converge: never more than the hosts it changes.
#[must_use]
pub fn needed(rules: &WaveRules, tally: &Tally) -> u32 {
    rules.min_success.max(1).min(tally.changed)
}

/// Tells whether enough hosts converged after activating the release. A wave in which all hosts were set aside,
/// ordered back or forgiven proved nothing.
#[must_use]
pub fn is_proven(rules: &WaveRules, tally: &Tally) -> bool {
    tally.succeeded >= needed(rules, tally)
}

/// Tells whether the wave has nothing left to do and is proven. Hosts set aside do not block it.
#[must_use]
pub fn is_done(rules: &WaveRules, tally: &Tally) -> bool {
    tally.waiting == 0 && tally.in_flight == 0 && is_proven(rules, tally)
}

/// Returns why the rollout has to halt while the last of these waves is open: too many failures in any of
/// them (stragglers of earlier ones included), or the last can't reach its `minSuccess` any more.
#[must_use]
pub fn halt(open: &[(&WaveRules, &Tally)]) -> Option<Halt> {
    let too_many = open.iter().find(|(rules, tally)| tally.failed > rules.max_failures);
    if let Some((rules, tally)) = too_many {
        return Some(Halt::TooManyFailures { failed: tally.failed, allowed: rules.max_failures });
    }
    let (rules, tally) = open.last()?;
    let sums = [tally.succeeded, tally.waiting, tally.in_flight, tally.set_aside];
    let possible = sums.into_iter().fold(0, u32::saturating_add);
    let needed = needed(rules, tally);
    (possible < needed).then_some(Halt::OutOfReach { possible, needed })
}

/// Returns the first wave from `from` on that has to be judged: it changes a host, or one has failed in it.
#[must_use]
pub fn next_judged(tallies: &[Tally], from: usize) -> Option<usize> {
    (from..tallies.len()).find(|wave| tallies[*wave].changed > 0 || tallies[*wave].failed > 0)
}
