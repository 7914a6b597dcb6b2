"""A host whose boot default is not what it runs is held, and says so; it goes on once that is settled."""

from harness.claims import committed
from harness.host import PROFILE
from harness.wait import always, same, until

CONVOY = True
EMULATED = True


def run(fleet):
    web1 = fleet.add("web1")
    fleet.start()
    second, third = fleet.offer(web1, "2"), fleet.offer(web1, "3")
    web1.fetch(third)
    web1.exec("nix-env", "--profile", PROFILE, "--set", third)
    same(web1.switch(third, "boot")[0], 0, "boot by hand")
    release = fleet.plane.publish("2", {web1: second})
    until("why names the boot default",
          lambda: "boot" in str((fleet.plane.ask("why", "web1") or {}).get("holds")).lower(), 60)
    always("nothing starts", lambda: web1.running() == web1.closure, 5)
    web1.exec("nix-env", "--profile", PROFILE, "--set", web1.closure)
    same(web1.switch(web1.closure, "boot")[0], 0, "and back")
    committed(fleet, web1, release, second)
