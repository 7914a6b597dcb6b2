"""A manual switch after the end of a rollout: reported, held until resolved, or reconciled, as the release says."""

from harness.claims import committed, reaches
from harness.wait import always, same, until

CONVOY = True
EMULATED = True
LIMIT = 420


def drifts(fleet, host, release, closure):
    """Switches by hand, and waits until the control plane has told of the drift."""
    same(host.switch_manually(closure)[0], 0, "the switch by hand")
    until("the drift is told", lambda: "drifted" in fleet.plane.events(host, release))


def run(fleet):
    web1 = fleet.add("web1")
    fleet.start()
    closures = [fleet.offer(web1, f"{number}") for number in range(2, 7)]
    report, by_hand, hold, other, reconcile = closures

    release = fleet.plane.publish("report", {web1: report}, policy={"onDrift": "report"})
    committed(fleet, web1, release, report)
    drifts(fleet, web1, release, by_hand)
    always("it is only reported", lambda: (web1.running(), fleet.plane.state(web1, release))
           == (by_hand, "Converged"), 10)

    release = fleet.plane.publish("hold", {web1: hold}, policy={"onDrift": "hold"})
    committed(fleet, web1, release, hold)
    drifts(fleet, web1, release, other)
    until("it is held", lambda: "drift" in (fleet.plane.ask("host", "show", "web1") or {}).get("operatorHold", ""))
    release = fleet.plane.publish("reconcile", {web1: reconcile}, policy={"onDrift": "reconcile"})
    always("nothing starts", lambda: web1.running() == other, 10)
    fleet.plane.operate("host", "resolve", "web1", "--reason", "seen")
    committed(fleet, web1, release, reconcile)

    drifts(fleet, web1, release, other)
    until("a new attempt", lambda: (fleet.plane.attempt(web1, release) or {})["attempt"] == 2)
    reaches(fleet, web1, release, "Converged")
    committed(fleet, web1, release, reconcile)
