//! The course of the demo, from the empty directory to the report.

use crate::ctl::demo::Args;
use crate::ctl::demo::evidence::gather;
use crate::ctl::demo::faults::Striker;
use crate::ctl::demo::figures::{Blows, Meant, count};
use crate::ctl::demo::folder::Folder;
use crate::ctl::demo::machines::{Closures, Machines};
use crate::ctl::demo::operator::Operator;
use crate::ctl::demo::place::Place;
use crate::ctl::demo::plan::{Fault, Plan, Scenario};
use crate::ctl::demo::release::{Kind, Site, release};
use crate::ctl::demo::server::Server;
use crate::ctl::demo::story::Story;
use crate::ctl::demo::telling::Telling;
use crate::ctl::demo::verdict::{Ends, Report, broken, words};
use crate::ctl::exit::Exit;
use crate::ctl::session::Session;
use crate::model::id::{Closure, HostName, StoreId};
use crate::runtime::entropy;
use anyhow::Context;
use clap::ValueEnum;
use futures_util::future::try_join_all;
use std::collections::BTreeMap;
use std::fs;
use std::ops::Add;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;

/// The least time that a rollout gets to come to rest.
const ROLLOUT_LIMIT: Duration = Duration::from_secs(90);
/// What it gets more for each host.
const ROLLOUT_LIMIT_PER_HOST: Duration = Duration::from_secs(3);
/// How long agents get to deliver what they still have, once the rollout is at rest.
const SETTLE: Duration = Duration::from_millis(1_500);

/// Everything that runs, and what is known of it.
struct Show {
    plan: Plan,
    scenario: Scenario,
    place: Place,
    telling: Arc<Telling>,
    operator: Operator,
    server: Arc<Mutex<Server>>,
    machines: Machines,
    closures: Closures,
    url: String,
    blows: Blows,
}

/// Runs the demo to its report.
///
/// # Errors
/// When something can't be started, or does not come to an end.
pub async fn run(session: &Session, args: Args) -> anyhow::Result<Exit> {
    let seed = args.seed.map_or_else(fresh_seed, Ok)?;
    let plan = Plan::new(args.hosts, args.scenario, entropy::seeded(seed))?;
    let telling = Arc::new(Telling::start(session.json()));
    let mut folder = Folder::make(args.keep.as_deref())?;
    let shown = run_in(&folder, (plan, args.scenario, seed), &telling).await;
    telling.finish();
    let ok = shown.as_ref().is_ok_and(|report| report.ok);
    if !ok {
        folder.keep();
    }
    let report = shown.map_err(|error| folder.hint(error))?;
    if session.json() {
        session.json_line(&report)?;
    } else {
        session.print(&words(&report, args.scenario))?;
    }
    folder.tell(&telling);
    Ok(if report.ok { Exit::Success } else { Exit::Failed })
}

async fn run_in(folder: &Folder, what: (Plan, Scenario, u64), telling: &Arc<Telling>) -> anyhow::Result<Report> {
    let (plan, scenario, seed) = what;
    let place = Place::new(folder.path());
    let mut show = Show::start(place, (plan, scenario, seed), telling.clone()).await?;
    let trouble = show.play().await.err();
    show.report(seed, trouble).await
}

impl Show {
    async fn start(place: Place, what: (Plan, Scenario, u64), telling: Arc<Telling>) -> anyhow::Result<Self> {
        let (plan, scenario, seed) = what;
        for folder in place.folders() {
            fs::create_dir_all(&folder).with_context(|| format!("can't make {}", folder.display()))?;
        }
        let program = std::env::current_exe().context("can't find this very program")?;
        let waves = plan.waves.iter().map(|wave| wave.len().to_string()).collect::<Vec<_>>().join(", ");
        let (hosts, limit) = (plan.hosts.len(), plan.wave_limit);
        telling.write(&format!(
            "Convoy demo: {hosts} simulated hosts with real agents, in waves of {waves}; at most {limit} under way at \
             once.\nThe control plane, its database, keys, signatures and kills are real. Seed {seed}.\n"
        ));
        let operator = Operator { program: program.clone(), place: place.clone(), telling: telling.clone() };
        let trust = operator.init(&plan.hosts).await?;
        let server = Server::start(&place, program.clone()).await?;
        let url = server.url();
        telling.say(&format!("  the control plane is up at {url}"));
        let trust = fs::read_to_string(&trust).context("can't read the trust file")?;
        let site = Site { control_plane: &url, trust: &trust, switch: Duration::ZERO };
        let (mut machines, closures) = Machines::make(&place, &program, &plan, &site)?;
        for host in &plan.hosts {
            machines.boot(host)?;
        }
        telling.say(&format!("  {hosts} hosts are switched on, each with its agent"));
        let server = Arc::new(Mutex::new(server));
        let blows = Blows::default();
        Ok(Self { plan, scenario, place, telling, operator, server, machines, closures, url, blows })
    }

    async fn play(&mut self) -> anyhow::Result<()> {
        if self.scenario.has_good() {
            self.good().await?;
        }
        if self.scenario.has_bad() {
            self.bad().await?;
        }
        Ok(())
    }

    async fn good(&mut self) -> anyhow::Result<()> {
        self.telling.write("\nRelease 1 is good.");
        let (faults, targets) = (self.plan.good_faults.clone(), self.closures.good.clone());
        self.roll_out(Kind::Good, (1, faults), targets).await
    }

    async fn bad(&mut self) -> anyhow::Result<()> {
        self.telling.write("\nRelease 2 is bad: its switch succeeds everywhere, then its web service dies.");
        let (faults, targets) = (self.plan.bad_faults.clone(), self.closures.bad.clone());
        self.roll_out(Kind::Bad, (2, faults), targets).await?;
        let Some(waiting) = self.plan.waves.last().and_then(|wave| wave.last()) else { return Ok(()) };
        let why = self.operator.why(waiting, &self.url).await?;
        for line in why.lines().filter(|line| !line.trim().is_empty()) {
            self.telling.write(&format!("          {line}"));
        }
        Ok(())
    }

    /// Publishes a release and follows it to its end, while the faults strike.
    async fn roll_out(
        &mut self,
        kind: Kind,
        (sequence, faults): (u64, Vec<Fault>),
        targets: BTreeMap<HostName, Closure>,
    ) -> anyhow::Result<()> {
        let release = release(&self.plan, kind, &targets)?;
        self.operator.release(&release, sequence, &self.url).await?;
        let striker = Striker {
            place: self.place.clone(),
            server: self.server.clone(),
            telling: self.telling.clone(),
            rollout: release.id.clone(),
            targets,
        };
        let hosts = u32::try_from(self.plan.hosts.len()).unwrap_or(u32::MAX);
        let limit = ROLLOUT_LIMIT + ROLLOUT_LIMIT_PER_HOST * hosts;
        let mut story = Story::new(self.server.clone(), self.telling.clone(), release.id);
        // Not tasks of their own: when the demo is interrupted, nothing of this may go on.
        let strikes = try_join_all(faults.into_iter().map(|fault| striker.clone().strike(fault)));
        let in_time = async {
            let struck = tokio::time::timeout(limit, strikes).await;
            struck.context("a fault's moment did not come")?
        };
        let (_, blows) = tokio::try_join!(story.follow(limit), in_time)?;
        self.blows = blows.into_iter().fold(self.blows, Add::add);
        // A fault that struck in the end can have stirred it up again.
        story.follow(limit).await?;
        tokio::time::sleep(SETTLE).await;
        Ok(())
    }

    /// Ends everything, then counts what is there, whatever went wrong before.
    async fn report(mut self, seed: u64, trouble: Option<anyhow::Error>) -> anyhow::Result<Report> {
        self.telling.write("");
        self.telling.say("  everything is shut down, and what it wrote is counted");
        self.machines.shut_down().await?;
        let mut server = self.server.lock().await;
        server.stop().await?;
        let wall_ms = u64::try_from(self.telling.elapsed().as_millis()).unwrap_or(u64::MAX);
        let mut evidence = gather(&self.place, &self.plan.hosts, StoreId::new("0".repeat(32))?).await?;
        evidence.outages = server.outages.clone();
        let mut figures = count(&evidence, &self.meant(), self.blows);
        figures.wall_ms = wall_ms;
        let end = |kind: Kind| -> anyhow::Result<_> {
            let id = kind.rollout()?;
            Ok(evidence.rollouts.iter().find(|(rollout, _)| *rollout == id).map(|(_, state)| state.clone()))
        };
        let ends = Ends { good: end(Kind::Good)?, bad: end(Kind::Bad)? };
        let mut broken = broken(&figures, &self.plan, (self.scenario, &ends));
        broken.extend(trouble.map(|error| format!("{error:#}")));
        let scenario = self.scenario.to_possible_value().map(|value| value.get_name().to_owned());
        Ok(Report { figures, seed, scenario: scenario.unwrap_or_default(), ok: broken.is_empty(), broken })
    }

    fn meant(&self) -> Meant {
        let rolled_out = |was: bool, closures: &BTreeMap<HostName, Closure>| {
            if was { closures.clone() } else { BTreeMap::new() }
        };
        let end = if self.scenario.has_good() { &self.closures.good } else { &self.closures.initial };
        Meant {
            good: rolled_out(self.scenario.has_good(), &self.closures.good),
            bad: rolled_out(self.scenario.has_bad(), &self.closures.bad),
            end: end.clone(),
            canaries: self.plan.waves.first().into_iter().flatten().cloned().collect(),
            wave_limit: u64::from(self.plan.wave_limit),
        }
    }
}

fn fresh_seed() -> anyhow::Result<u64> {
    use rand::Rng;
    Ok(entropy::generator().context("no randomness for a seed")?.random_range(1..1_000_000))
}
