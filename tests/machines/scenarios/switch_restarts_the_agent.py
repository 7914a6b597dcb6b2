"""A switch that restarts the agent itself, since its unit changed, converges."""

from harness.claims import committed
from harness.wait import expect

CONVOY = True
CORE = True
EMULATED = True


def run(fleet):
    web1 = fleet.add("web1")
    fleet.start()
    before = web1.unit("convoy-agent.service", "MainPID")
    unit = web1.system.units["convoy-agent.service"].replace("WatchdogSec=120", "WatchdogSec=60")
    second = fleet.offer(web1, "2", units={"convoy-agent.service": unit})
    release = fleet.plane.publish("2", {web1: second})
    committed(fleet, web1, release, second)
    expect(web1.unit("convoy-agent.service", "MainPID") != before, "another agent runs")
