"""A captured control plane sends a release of its own key, and an old one again: neither is switched to."""

from harness.claims import committed
from harness.wait import always, same

CONVOY = True
CORE = True
EMULATED = True


def run(fleet):
    web1 = fleet.add("web1")
    fleet.plane.capture("thief")
    fleet.start()
    second, third, bad = (fleet.offer(web1, version) for version in ("2", "3", "bad"))
    old = fleet.plane.sign("2", {web1: second})
    committed(fleet, web1, fleet.plane.publish("3", {web1: third}), third)
    fleet.plane.publish("bad", {web1: bad}, key="thief")
    always("the stolen key's release is not switched to", lambda: web1.running() == third, 15)
    fleet.plane.kill()
    fleet.plane.lose_database()
    fleet.plane.start()
    fleet.plane.send(old)
    always("the old release is not switched to", lambda: web1.running() == third, 15)
    same(web1.default(), third, "nor is it the boot default")
