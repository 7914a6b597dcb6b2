"""An older copy of an agent's state is put back: its journal is fenced, and the next release converges in a new one."""

from harness.claims import committed
from harness.rewound import rewind
from harness.wait import expect

CONVOY = True
EMULATED = True


def run(fleet):
    web1 = fleet.add("web1")
    fleet.start()
    first, second, third = (fleet.offer(web1, version) for version in ("2", "3", "4"))
    committed(fleet, web1, fleet.plane.publish("2", {web1: first}), first)
    rewind(web1, lambda: committed(fleet, web1, fleet.plane.publish("3", {web1: second}), second))
    release = fleet.plane.publish("4", {web1: third})
    committed(fleet, web1, release, third)
    events = fleet.plane.events(web1, release)
    expect("activationStarted" in events and "converged" in events, f"its history is there: {events}")
