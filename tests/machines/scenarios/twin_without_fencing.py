"""Twin: with an older journal not fenced, what its host says is taken for old news: the next release never starts."""

from harness.claims import committed
from harness.rewound import rewind
from harness.wait import always, same

LEFT_OUT = "fencing"
EMULATED = True


def run(fleet):
    web1 = fleet.add("web1")
    fleet.start()
    first, second, third = (fleet.offer(web1, version) for version in ("2", "3", "4"))
    committed(fleet, web1, fleet.plane.publish("2", {web1: first}), first)
    rewind(web1, lambda: committed(fleet, web1, fleet.plane.publish("3", {web1: second}), second))
    release = fleet.plane.publish("4", {web1: third})
    always("nothing of it is heard", lambda: web1.running() == second, 25)
    same(fleet.plane.state(web1, release), "Pending", "the host")
