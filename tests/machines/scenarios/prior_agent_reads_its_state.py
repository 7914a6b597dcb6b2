"""After a revert from a closure with other programs, the agent of the release before goes on with its state."""

from harness.claims import FAILING, back, committed

CONVOY = True
EMULATED = True


def run(fleet):
    web1 = fleet.add("web1")
    fleet.start()
    other = fleet.other_programs()
    units = {name: text.replace(fleet.programs, other) for name, text in web1.system.units.items()}
    second = fleet.offer(web1, "2", programs=other, units={**units, "broken.service": FAILING})
    back(fleet, web1, fleet.plane.publish("2", {web1: second}))
    third = fleet.offer(web1, "3", programs=other, units=units)
    committed(fleet, web1, fleet.plane.publish("3", {web1: third}), third)
