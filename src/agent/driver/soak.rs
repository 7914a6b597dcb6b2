//! The soak: probes, and the commit.

use crate::agent::driver::{Driver, within};
use crate::model::facts::{ProbeMode, ProbeOutcome, Verdict};
use crate::model::host_rollout::{Event, HostRollout, Phase, Probe, Soaking};
use crate::model::id::{ProbeName, RolloutId};
use crate::probe::runner::{Pace, Probes, Report, Schedule};
use crate::probe::spec::{Spec, parse_or_failing};
use crate::trust::{TrustFile, verify_for_host};
use rand::RngCore;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::time::Instant;

/// How long fresh probes get to speak before a failure clock that ran out earlier counts without them.
const FRESH_RESULTS: Duration = Duration::from_secs(10);
/// How long to wait before a commit that was not taken is asked for again.
const COMMIT_RETRY: Duration = Duration::from_secs(1);
/// While so many events wait to be taken, failures after the commit are not recorded: they are facts, and the
/// journal is bounded.
const FACTS_WAIT: u64 = 1000;

/// What the probes are run for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// The target soaks.
    Soak,
    /// The target runs already: one healthy round is enough.
    Unchanged,
    /// The target is committed: facts only.
    After,
}

/// Probes at work.
pub struct Watch {
    pub(crate) rollout: RolloutId,
    pub(crate) why: Why,
    pub(crate) since: Instant,
    round: u64,
    enforced: BTreeSet<ProbeName>,
    passed: BTreeSet<ProbeName>,
    _probes: Probes,
}

impl Driver {
    /// Starts the probes that the running closure declares.
    pub(crate) fn watch(&mut self, rollout: &RolloutId, why: Why) {
        let specs = parse_or_failing(&self.settings.health_checks);
        if why == Why::Soak {
            let declared: BTreeMap<_, _> = specs.iter().map(|spec| (spec.name.clone(), spec.mode)).collect();
            if !self.is_declared(rollout, &declared) && !self.record(rollout, &Event::ProbeTopologyDeclared(declared)) {
                return;
            }
        }
        let enforced = |spec: &&Spec| spec.mode == ProbeMode::Enforce;
        let enforced = specs.iter().filter(enforced).map(|spec| spec.name.clone()).collect();
        self.round += 1;
        let pace = if why == Why::After { Pace::Lazy } else { Pace::Declared };
        let schedule = Schedule { specs, pace, round: self.round, seed: self.rng.next_u64() };
        let probes = Probes::start(schedule, &self.system, &self.net, &self.report_to);
        let (rollout, round, since) = (rollout.clone(), self.round, Instant::now());
        self.watch = Some(Watch { rollout, why, since, round, enforced, passed: BTreeSet::new(), _probes: probes });
        self.check_round();
    }

    /// Tells whether exactly this was declared, with no result yet.
    fn is_declared(&self, rollout: &RolloutId, declared: &BTreeMap<ProbeName, ProbeMode>) -> bool {
        let Some(Phase::Soaking(Soaking { probes: Some(probes), .. })) = self.progress(rollout).map(|own| &own.phase)
        else {
            return false;
        };
        let fresh = |(name, mode): (&ProbeName, &ProbeMode)| (name.clone(), Probe { mode: *mode, last: None });
        *probes == declared.iter().map(fresh).collect()
    }

    /// Looks whether an attempt whose target runs already is healthy.
    pub(crate) fn check_unchanged(&mut self, rollout: &RolloutId, progress: &HostRollout) {
        let checks = self.watch.as_ref().is_some_and(|watch| watch.rollout == *rollout && watch.why == Why::Unchanged);
        if !checks {
            tracing::info!(host.name = %self.host, rollout.id = %rollout, "{} runs already", progress.terms.target);
            self.watch(rollout, Why::Unchanged);
        }
    }

    /// Takes a probe's result.
    pub(crate) async fn take_report(&mut self, report: Report) {
        let Some(watch) = self.watch.as_ref().filter(|watch| watch.round == report.round) else { return };
        let (rollout, why, enforced) = (watch.rollout.clone(), watch.why, watch.enforced.contains(&report.probe));
        match why {
            Why::Soak if self.flips(&rollout, &report) => {
                self.record(&rollout, &Event::ProbeResult { probe: report.probe, outcome: report.outcome });
            }
            Why::Soak => {}
            Why::Unchanged => self.count_pass(report),
            Why::After => {
                let book = self.journal.book();
                let waiting = book.last_seq.saturating_sub(book.acked.unwrap_or(0));
                if enforced && waiting < FACTS_WAIT {
                    self.record(&rollout, &Event::ProbeResult { probe: report.probe, outcome: report.outcome });
                }
            }
        }
        self.carry_out().await;
    }

    /// Tells whether a result differs from the last one in what it means: reasons change all the time.
    fn flips(&self, rollout: &RolloutId, report: &Report) -> bool {
        let Some(Phase::Soaking(soaking)) = self.progress(rollout).map(|own| &own.phase) else { return false };
        let last = soaking.probes.as_ref().and_then(|probes| probes.get(&report.probe)).and_then(|it| it.last.as_ref());
        let passes = |outcome: &ProbeOutcome| *outcome == ProbeOutcome::Pass;
        last.map(passes) != Some(passes(&report.outcome))
    }

    fn count_pass(&mut self, report: Report) {
        let Some(watch) = self.watch.as_mut() else { return };
        if report.outcome == ProbeOutcome::Pass {
            watch.passed.insert(report.probe);
        } else {
            watch.passed.remove(&report.probe);
        }
        self.check_round();
    }

    fn check_round(&mut self) {
        let Some(watch) = &self.watch else { return };
        if watch.why == Why::Unchanged && watch.enforced.is_subset(&watch.passed) {
            let rollout = watch.rollout.clone();
            self.record(&rollout, &Event::Converged);
        }
    }

    /// An `enforce` probe has failed for the whole failure time. Probes that were started anew are heard first: a
    /// fresh pass clears the clock. Where somebody else switched the host meanwhile, the probes say nothing of the
    /// target: the next look finds out who did.
    pub(crate) async fn failure_sustained(&mut self, rollout: &RolloutId, soaking: &Soaking) {
        match within("look at the machine", self.system.observe()).await {
            // Another boot is for the next look to take up, with all that follows from it.
            Ok(seen) if seen.boot == self.seen.boot => self.take_seen(seen).await,
            Ok(_) | Err(_) => self.look_soon(),
        }
        let target = self.progress(rollout).map(|progress| &progress.terms.target);
        if target != self.running() {
            self.look_soon();
            self.nap(rollout, Duration::from_millis(100));
            return;
        }
        let mut names = soaking.failing_probes();
        if names.is_empty() {
            let young = self.watch.as_ref().is_some_and(|watch| watch.since.elapsed() < FRESH_RESULTS);
            if young {
                self.nap(rollout, Duration::from_millis(100));
                return;
            }
            let silent = soaking.probes.iter().flatten().filter(|(_, probe)| probe.mode == ProbeMode::Enforce);
            names = silent.map(|(name, _)| name.clone()).collect();
        }
        if !self.committing.contains(rollout) {
            self.record(rollout, &Event::SustainedFailure(Verdict::ProbesFailed(names)));
        }
    }

    /// Fetches what the commit will need, so that the end of the soak waits for nothing.
    pub(crate) fn fetch_for_commit(&mut self, rollout: &RolloutId) {
        if self.link.beat.failures == 0 && !self.offers.contains_key(rollout) && !self.refusals.contains_key(rollout) {
            self.fetch(rollout);
        }
    }

    /// Soaked and healthy: commits, after the control plane has answered during the soak, and if the target's own
    /// trust file verifies this release.
    pub(crate) async fn commit(&mut self, rollout: &RolloutId, progress: &HostRollout, soaking: &Soaking) {
        if !self.in_touch(progress, soaking) {
            self.link.beat.within(COMMIT_RETRY);
            self.nap(rollout, COMMIT_RETRY.min(self.patience()));
            return;
        }
        if self.running() != Some(&progress.terms.target) {
            self.nap(rollout, COMMIT_RETRY);
            return;
        }
        let asked_before = self.committing.contains(rollout);
        if let Err(why) = if asked_before { Ok(()) } else { self.trusted_by_target(rollout) } {
            self.record(rollout, &Event::SustainedFailure(Verdict::CommitFailed(why)));
            return;
        }
        let asked = within("commit the target", self.system.commit(rollout, progress.attempt)).await;
        match asked {
            Ok(()) => {
                self.committing.insert(rollout.clone());
                self.look_soon();
            }
            Err(why) => tracing::warn!(host.name = %self.host, rollout.id = %rollout, "{why}"),
        }
        self.nap(rollout, COMMIT_RETRY);
    }

    /// The offer was read with the trust file of the closure that ran then; the target's own decides here. Without
    /// the release, which a control plane that lost its database does not have either, the root helper decides: it
    /// kept what it started, and checks it before it commits.
    fn trusted_by_target(&mut self, rollout: &RolloutId) -> Result<(), String> {
        let refused = |why: &dyn std::fmt::Display| format!("the target's own trust file refuses this release: {why}");
        let Some(offer) = self.offers.get(rollout) else {
            if let Some(hold) = self.refusals.get(rollout) {
                return Err(refused(&format_args!("{hold:?}")));
            }
            self.fetch(rollout);
            return Ok(());
        };
        let signed = crate::trust::parse_signed(offer.text.as_bytes());
        let trust = TrustFile::parse(&self.settings.trust);
        let verified = signed.and_then(|signed| verify_for_host(&signed, &trust?, &self.host));
        verified.map(drop).map_err(|why| refused(&why))
    }
}
