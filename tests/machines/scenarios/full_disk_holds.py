"""A host whose /nix is nearly full is held and says so; with room again it converges."""

from harness.claims import committed
from harness.wait import always, until

CONVOY = True
EMULATED = True


def run(fleet):
    web1 = fleet.add("web1")
    web1.disk = "1200m"
    fleet.start()
    second = fleet.offer(web1, "2")
    web1.exec("fallocate -l $(($(df --output=avail -B1 / | tail -1) - 100000000)) /fill")
    release = fleet.plane.publish("2", {web1: second})
    until("why names the disk", lambda: "disk" in str((fleet.plane.ask("why", "web1") or {}).get("holds")).lower(), 60)
    always("the prior runs", lambda: web1.running() == web1.closure, 5)
    web1.exec("rm /fill")
    committed(fleet, web1, release, second)
