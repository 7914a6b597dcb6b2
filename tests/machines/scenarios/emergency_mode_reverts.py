"""A release that ends in emergency mode: the dead-man outlives it, and live switch and trial boot both come back."""

from harness.claims import END_LIMIT, FAILING, back

CONVOY = True
EMULATED = True
EMERGENCY = "[Unit]\nOnFailure=emergency.target\nOnFailureJobMode=replace-irreversibly\n" + FAILING


def run(fleet):
    web1, web2 = fleet.add("web1"), fleet.add("web2")
    fleet.start()
    live = fleet.offer(web1, "2", units={"mount.service": EMERGENCY})
    release = fleet.plane.publish("2", {web1: live})
    back(fleet, web1, release, END_LIMIT + 90)
    trial = fleet.offer(web2, "3", triggers={"kernel": "kernel-2"}, units={"mount.service": EMERGENCY})
    release = fleet.plane.publish("3", {web2: trial}, reboot="trial")
    back(fleet, web2, release, END_LIMIT + 90)
