"""Twin: with no baseline, a unit that failed before brings the host back for nothing."""

from harness.claims import FAILING, reaches

LEFT_OUT = "baseline"


def run(fleet):
    web1 = fleet.add("web1", units={"broken.service": FAILING})
    fleet.start()
    reaches(fleet, web1, fleet.plane.publish("2", {web1: fleet.offer(web1, "2")}), "Reverted")
