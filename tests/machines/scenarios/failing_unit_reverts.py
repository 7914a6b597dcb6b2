"""A unit that fails in the new closure brings the host back to its prior, and the rollout halts."""

from harness.claims import FAILING, back
from harness.wait import expect, same

CONVOY = True
CORE = True
EMULATED = True


def run(fleet):
    web1, web2 = fleet.add("web1"), fleet.add("web2")
    fleet.start()
    closures = {host: fleet.offer(host, "2", units={"broken.service": FAILING}) for host in (web1, web2)}
    release = fleet.plane.publish("2", closures, waves=[[web1], [web2]])
    back(fleet, web1, release)
    verdict = fleet.plane.attempt(web1, release)["verdict"]
    expect("broken.service" in verdict, f"the verdict names the unit: {verdict}")
    same(fleet.plane.rollout_state(release), "Halted", "the rollout")
    same(web2.running(), web2.closure, "the second wave never starts")
