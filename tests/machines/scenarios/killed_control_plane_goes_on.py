"""A control plane that is SIGKILLed in the first wave's soak and in the second one's switch goes on; nobody reverts."""

from harness.claims import committed, reaches
from harness.wait import same

CONVOY = True
CORE = True
EMULATED = True


def run(fleet):
    web1, web2 = fleet.add("web1"), fleet.add("web2")
    fleet.start()
    closures = {host: fleet.offer(host, "2") for host in (web1, web2)}
    web2.hold_switch("activated", "2")
    release = fleet.plane.publish("2", closures, waves=[[web1], [web2]])
    reaches(fleet, web1, release, "Soaking")
    fleet.plane.kill()
    fleet.plane.start()
    committed(fleet, web1, release, closures[web1])
    web2.wait_held("activated", "2")
    fleet.plane.kill()
    web2.let_go("activated", "2")
    fleet.plane.start()
    committed(fleet, web2, release, closures[web2])
    same(fleet.plane.rollout_state(release), "Completed", "the rollout")
    for host in closures:
        events = fleet.plane.events(host, release)
        same(events.count("activationStarted"), 1, f"{host.name} activated once: {events}")
