"""Twin: with exit status 4 not read, a closure with a failing unit is committed."""

from harness.claims import FAILING, reaches
from harness.wait import same

LEFT_OUT = "exit-4"
EMULATED = True


def run(fleet):
    web1 = fleet.add("web1")
    fleet.start()
    second = fleet.offer(web1, "2", units={"broken.service": FAILING})
    reaches(fleet, web1, fleet.plane.publish("2", {web1: second}), "Converged")
    same((web1.default(), web1.failed()), (second, ["broken.service"]), "what is committed")
