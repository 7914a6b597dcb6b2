//! Whether what had to hold held, and how it is told. Pure.

use crate::ctl::demo::figures::Figures;
use crate::ctl::demo::plan::{Plan, Scenario};
use crate::ctl::human;
use crate::model::rollout::RolloutState;
use serde::Serialize;
use std::time::Duration;

/// How the two rollouts ended; `None` for one that was not part of the scenario.
#[derive(Debug, Clone, Default)]
pub struct Ends {
    /// Release 1.
    pub good: Option<RolloutState>,
    /// The bad one.
    pub bad: Option<RolloutState>,
}

/// The last line with `--json`.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The figures.
    #[serde(flatten)]
    pub figures: Figures,
    /// The seed: the same one makes the same plan.
    pub seed: u64,
    /// The scenario.
    pub scenario: String,
    /// Whether everything that had to hold held.
    pub ok: bool,
    /// What did not hold, one a line.
    pub broken: Vec<String>,
}

/// Lists what did not hold.
#[must_use]
pub fn broken(figures: &Figures, plan: &Plan, (scenario, ends): (Scenario, &Ends)) -> Vec<String> {
    let mut broken = Vec::new();
    let mut must = |holds: bool, or: String| {
        if !holds {
            broken.push(or);
        }
    };
    let f = figures;
    must(f.failed == 0, format!("{} hosts are not where they should be", f.failed));
    must(f.in_flight == 0, format!("{} hosts are still under way", f.in_flight));
    must(f.duplicate_activations == 0, format!("{} activations of what ran already", f.duplicate_activations));
    must(f.events_missing == 0, format!("{} events are missing without a mark", f.events_missing));
    must(f.soak_clock_resets == 0, format!("{} soak clocks began anew", f.soak_clock_resets));
    must(f.early_commits == 0, format!("{} hosts were committed before their soak had passed", f.early_commits));
    let over = format!("{} hosts were under way at once, {} were allowed", f.max_in_flight, f.wave_limit);
    must(f.max_in_flight <= f.wave_limit, over);
    must(f.events_stored > 0, "the control plane stored no event".to_owned());
    let (planned, done) = (plan.planned(), (f.agent_kills, f.cp_kills, f.state_wipes));
    // A try to delete a memory that came too late costs one more control plane.
    let struck = done.0 == planned.0 && done.1 >= planned.1 && done.2 == planned.2;
    must(struck, format!("(agents, control planes, memories) struck: {done:?}, planned were {planned:?}"));
    let restored =
        format!("{} snapshots were taken over, {} memories were deleted", f.snapshots_applied, f.state_wipes);
    must(f.snapshots_applied >= f.state_wipes, restored);
    if scenario.has_good() {
        must(f.converged == f.hosts, format!("{} of {} hosts converged", f.converged, f.hosts));
        must(f.max_in_flight >= 2, format!("at most {} hosts were under way at once", f.max_in_flight));
        let completed = ends.good == Some(RolloutState::Completed) || (scenario.has_bad() && superseded(&ends.good));
        must(completed, format!("release 1 did not complete: {}", end_in_words(ends.good.as_ref())));
    }
    if scenario.has_bad() {
        must(f.reverted >= 1, "the bad release was undone on no host".to_owned());
        let halted = matches!(ends.bad, Some(RolloutState::Halted { wave: 0, .. }));
        must(halted, format!("the bad release did not halt in its first wave: {}", end_in_words(ends.bad.as_ref())));
    }
    broken
}

fn superseded(end: &Option<RolloutState>) -> bool {
    matches!(end, Some(RolloutState::Superseded { .. }))
}

fn end_in_words(end: Option<&RolloutState>) -> String {
    end.map_or_else(|| "it is not in the store".to_owned(), |state| format!("{state:?}"))
}

/// Tells the result in words.
#[must_use]
pub fn words(report: &Report, scenario: Scenario) -> String {
    let f = &report.figures;
    let mut lines = vec![String::new(), "Result, read from the store and from the hosts' own logs:".to_owned()];
    if scenario.has_good() {
        lines.push(format!(
            "  release 1    {} of {} hosts switched, soaked healthy and were committed",
            f.converged, f.hosts
        ));
    }
    if scenario.has_bad() {
        let (reached, rest) = (human::count(f.bad_reached, "host"), f.hosts.saturating_sub(f.bad_reached));
        lines.push(format!("  bad release  reached {reached}, undone on {}; {rest} never started it", f.reverted));
    }
    let most = format!("at most {} under way at once, {} allowed", f.max_in_flight, f.wave_limit);
    lines
        .push(format!("  switches     {} in all, {} of them needless; {most}", f.activations, f.duplicate_activations));
    lines.push(format!("  events       {} stored, {} missing", f.events_stored, f.events_missing));
    if f.agent_kills + f.cp_kills > 0 {
        let killed = format!(
            "{} and {} killed with SIGKILL",
            human::count(f.agent_kills, "agent"),
            human::count(f.cp_kills, "control plane")
        );
        lines.push(format!("  killed       {killed}; {} soak clocks began anew", f.soak_clock_resets));
    }
    if f.state_wipes > 0 {
        let (lost, back) = (f.state_wipes, f.snapshots_applied);
        lines.push(format!(
            "  lost         memories of agents: {lost}; restored from the control plane's snapshot: {back}"
        ));
    }
    lines.push(format!("  time         {}", human::span(Duration::from_millis(f.wall_ms))));
    lines.push(String::new());
    lines.push(ending(report));
    lines.join("\n")
}

fn ending(report: &Report) -> String {
    if report.ok {
        return format!("ok: everything that had to hold held (seed {}).", report.seed);
    }
    let mut text = format!("NOT ok (seed {}):", report.seed);
    for line in &report.broken {
        text.push_str(&format!("\n  - {line}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::rollout::Halt;
    use crate::runtime::entropy::seeded;

    fn good_figures(plan: &Plan) -> Figures {
        let (agent_kills, cp_kills, state_wipes) = plan.planned();
        Figures {
            hosts: 12,
            converged: 12,
            reverted: 2,
            activations: 16,
            events_stored: 100,
            max_in_flight: 2,
            wave_limit: 3,
            agent_kills,
            cp_kills,
            state_wipes,
            snapshots_applied: state_wipes,
            ..Figures::default()
        }
    }

    fn ends() -> Ends {
        let why = Halt::TooManyFailures { failed: 1, allowed: 0 };
        Ends { good: Some(RolloutState::Completed), bad: Some(RolloutState::Halted { why, wave: 0 }) }
    }

    #[test]
    fn a_good_run_breaks_nothing() {
        let plan = Plan::new(12, Scenario::All, seeded(1)).unwrap();
        assert_eq!(broken(&good_figures(&plan), &plan, (Scenario::All, &ends())), Vec::<String>::new());
    }

    #[test]
    fn each_figure_that_is_off_is_told() {
        let plan = Plan::new(12, Scenario::All, seeded(1)).unwrap();
        let spoils: [fn(&mut Figures); 14] = [
            |f| f.failed = 1,
            |f| f.in_flight = 1,
            |f| f.duplicate_activations = 1,
            |f| f.events_missing = 1,
            |f| f.soak_clock_resets = 1,
            |f| f.early_commits = 1,
            |f| f.max_in_flight = 4,
            |f| f.max_in_flight = 1,
            |f| f.events_stored = 0,
            |f| f.agent_kills = 0,
            |f| f.cp_kills = 0,
            |f| f.snapshots_applied = 0,
            |f| f.converged = 11,
            |f| f.reverted = 0,
        ];
        for (n, spoil) in spoils.into_iter().enumerate() {
            let mut figures = good_figures(&plan);
            spoil(&mut figures);
            assert_eq!(broken(&figures, &plan, (Scenario::All, &ends())).len(), 1, "spoil {n}");
        }
        let unfinished = Ends { good: Some(RolloutState::Advancing { wave: 2 }), bad: Some(RolloutState::Completed) };
        assert_eq!(broken(&good_figures(&plan), &plan, (Scenario::All, &unfinished)).len(), 2);
    }

    #[test]
    fn the_json_line_has_the_agreed_names() {
        let figures = good_figures(&Plan::new(12, Scenario::All, seeded(1)).unwrap());
        let report = Report { figures, seed: 1, scenario: "all".to_owned(), ok: true, broken: vec![] };
        let json = serde_json::to_value(&report).unwrap();
        let names = [
            "hosts",
            "converged",
            "reverted",
            "failed",
            "in_flight",
            "activations",
            "duplicate_activations",
            "events_stored",
            "events_missing",
            "max_in_flight",
            "wave_limit",
            "agent_kills",
            "cp_kills",
            "state_wipes",
            "snapshots_applied",
            "soak_clock_resets",
            "wall_ms",
            "ok",
        ];
        for name in names {
            assert!(json.get(name).is_some(), "{name}");
        }
    }
}
