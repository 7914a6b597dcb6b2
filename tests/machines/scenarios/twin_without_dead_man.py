"""Twin: with no dead-man, a closure that removes the agent stays."""

from harness.wait import always, until

LEFT_OUT = "dead-man"


def run(fleet):
    web1 = fleet.add("web1")
    fleet.start()
    gone = {name: None for name in web1.system.units if name.startswith("convoy-")}
    second = fleet.offer(web1, "2", units=gone, programs="", snippet="", pre_switch_check="",
                         etc={name: None for name in web1.system.etc})
    fleet.plane.publish("2", {web1: second})
    until("it runs without an agent", lambda: web1.running() == second and not web1.unit_runs("convoy-agent.service"))
    always("nothing brings it back, long after the agent's time limit", lambda: web1.running() == second, 60)
