"""With GRUB: a trial boot by a one-shot of its menu is committed when healthy, and else the prior boots again."""

from harness.claims import END_LIMIT, FAILING, back, committed
from harness.wait import same

CONVOY = True
EMULATED = True


def run(fleet):
    good, bad = fleet.add("good"), fleet.add("bad")
    for host in (good, bad):
        host.loader = "grub"
    fleet.start()
    kernel = {"kernel": "kernel-2"}
    closures = {good: fleet.offer(good, "2", triggers=kernel),
                bad: fleet.offer(bad, "2", triggers=kernel, units={"broken.service": FAILING})}
    release = fleet.plane.publish("2", closures, reboot="trial")
    committed(fleet, good, release, closures[good], 240)
    same(good.booted(), closures[good], "it booted the target")
    back(fleet, bad, release, END_LIMIT + 90)
    same(bad.booted(), bad.closure, "the prior is booted")
