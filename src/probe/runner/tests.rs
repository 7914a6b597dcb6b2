use super::*;
use crate::probe::fake::{FakeMachine, FakeNet};
use crate::probe::spec::parse;
use std::sync::atomic::Ordering;

fn start(net: &Arc<FakeNet>, pace: Pace) -> (Probes, mpsc::Receiver<Report>) {
    let text = r#"{"version":1,"probes":[
        {"name":"a","kind":"tcp","address":"up:1","intervalMs":10000},
        {"name":"b","kind":"tcp","address":"down:1","intervalMs":10000},
        {"name":"c","kind":"tcp","address":"up:1","mode":"disabled"}]}"#;
    let (into, results) = mpsc::channel(QUEUE);
    let system: Arc<dyn System> = Arc::new(FakeMachine { network: true });
    let net: Arc<dyn ProbeNet> = Arc::clone(net) as Arc<dyn ProbeNet>;
    let schedule = Schedule { specs: parse(text).unwrap(), pace, round: 7, seed: 1 };
    (Probes::start(schedule, &system, &net, &into), results)
}

#[tokio::test(start_paused = true)]
async fn every_probe_but_disabled_ones_reports_soon_and_again() {
    let net = Arc::new(FakeNet::default());
    let (_probes, mut results) = start(&net, Pace::Declared);
    let mut seen = Vec::new();
    let began = tokio::time::Instant::now();
    while seen.len() < 4 {
        let report = results.recv().await.unwrap();
        assert_eq!(report.round, 7);
        seen.push((report.probe.to_string(), report.outcome == ProbeOutcome::Pass));
    }
    seen.sort();
    let wanted = [("a", true), ("a", true), ("b", false), ("b", false)].map(|(name, pass)| (name.to_owned(), pass));
    assert_eq!(seen, wanted);
    let took = began.elapsed();
    assert!(took > Duration::from_secs(9) && took < Duration::from_secs(14), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_lazy_pace_probes_about_once_a_minute() {
    let net = Arc::new(FakeNet::default());
    let (_probes, mut results) = start(&net, Pace::Lazy);
    let hour = tokio::time::sleep(Duration::from_secs(3600));
    tokio::pin!(hour);
    loop {
        tokio::select! {
            _ = results.recv() => {}
            () = &mut hour => break,
        }
    }
    let asked = net.asked.load(Ordering::Relaxed);
    assert!((100..=140).contains(&asked), "{asked}");
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_is_slow_bounds_the_checks() {
    let net = Arc::new(FakeNet::default());
    let (_probes, results) = start(&net, Pace::Declared);
    tokio::time::sleep(Duration::from_secs(24 * 3600)).await;
    assert!(net.asked.load(Ordering::Relaxed) <= QUEUE + 2);
    drop(results);
}

#[tokio::test(start_paused = true)]
async fn dropping_the_probes_stops_them() {
    let net = Arc::new(FakeNet::default());
    let (probes, results) = start(&net, Pace::Declared);
    drop(probes);
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert_eq!(net.asked.load(Ordering::Relaxed), 0);
    drop(results);
}
