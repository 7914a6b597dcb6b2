//! Promise 6 and the end of a day: every wait has a reason, and after calm hours nothing waits any more.

use crate::simulation::fleet::host_name;
use crate::simulation::world::World;
use convoy::agent::journal::read::book;
use convoy::client::operator;
use convoy::system::sim::backing::Backing;

/// At so many looks of the operator in a row a host may wait while nothing holds it: it is invited within seconds,
/// but messages are lost for up to 25 minutes.
const MAX_UNEXPLAINED: u32 = 4;

/// Looks at every host that waits: what holds it has to be said, or it has to start.
pub(crate) async fn reasons(world: &mut World) {
    let line = world.operator();
    let Ok(hosts) = operator::hosts(&line).await else { return };
    let waits: Vec<String> = hosts
        .iter()
        .filter(|host| host.attempts.iter().any(|attempt| !attempt.is_final && attempt.state == "Pending"))
        .map(|host| host.name.clone())
        .collect();
    for n in 0..world.hosts.len() {
        let name = host_name(n);
        let mut why = None;
        if waits.iter().any(|waits| *waits == name.as_str()) {
            why = operator::why(&line, &name).await.ok();
        }
        let why = why.filter(|why| why.holds.is_empty() && why.summary.contains("nothing holds it"));
        world.unexplained[n] = if why.is_some() { world.unexplained[n] + 1 } else { 0 };
        if let (MAX_UNEXPLAINED, Some(why)) = (world.unexplained[n], why) {
            let (at, said) = (world.clock.elapsed().as_secs(), why.summary);
            world.watch.broken.push(format!("{name} waits without a reason at {at} s: {said}"));
        }
    }
}

/// Lists what has not come to rest: every host runs and boots the newest release, and no attempt is open anywhere.
pub(crate) async fn unrest(world: &World) -> Vec<String> {
    let (line, mut found) = (world.operator(), Vec::new());
    let newest = world.releases.last().unwrap();
    let rollout = operator::rollout(&line, &newest.id).await.unwrap();
    if rollout.state != "Completed" {
        found.push(format!("{} is {}: {:?}", newest.id, rollout.state, rollout.why));
    }
    for (n, host) in world.hosts.iter().enumerate() {
        let state = host.machine.look().unwrap();
        let target = &newest.targets[n];
        let at_rest = state.power && state.running == *target && state.default_is_running();
        let shown = operator::host(&line, &host_name(n)).await.unwrap();
        let mut open: Vec<String> =
            shown.attempts.into_iter().filter(|attempt| !attempt.is_final).map(|it| it.rollout).collect();
        let book = book(&host.journal.bytes());
        let own = book.iter().flat_map(|book| &book.rollouts).filter(|(_, own)| !own.progress.is_final());
        open.extend(own.map(|(id, own)| format!("{id} on the host ({})", own.progress.state())));
        if !at_rest || !open.is_empty() || state.open_record().is_some() {
            let why = operator::why(&line, &host_name(n)).await.unwrap();
            found.push(format!("host {n} runs {}, open {open:?}: {} {:?}", state.running, why.summary, why.holds));
        }
    }
    found
}
