"""A closure that removes the agent is undone by the dead-man."""

from harness.claims import END_LIMIT, back
from harness.wait import until

CONVOY = True
CORE = True
EMULATED = True


def run(fleet):
    web1 = fleet.add("web1")
    fleet.start()
    gone = {name: None for name in web1.system.units if name.startswith("convoy-")}
    second = fleet.offer(web1, "2", units=gone, programs="", snippet="", pre_switch_check="",
                         etc={name: None for name in web1.system.etc})
    release = fleet.plane.publish("2", {web1: second})
    until("it runs without an agent", lambda: web1.running() == second and not web1.unit_runs("convoy-agent.service"))
    until("the dead-man brought it back", lambda: web1.running() == web1.closure, END_LIMIT)
    back(fleet, web1, release)
