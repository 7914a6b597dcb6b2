"""An agent whose state is wiped in a soak gets it back from root record and snapshot, and converges."""

from harness.claims import committed, reaches
from harness.wait import same

CONVOY = True
CORE = True
EMULATED = True


def run(fleet):
    web1 = fleet.add("web1")
    fleet.start()
    second = fleet.offer(web1, "2")
    release = fleet.plane.publish("2", {web1: second}, policy={"soakMs": 15_000})
    reaches(fleet, web1, release, "Soaking")
    web1.exec("systemctl kill --signal=SIGKILL convoy-agent.service; rm -rf /var/lib/convoy-agent/*")
    committed(fleet, web1, release, second)
    same(fleet.plane.attempt(web1, release)["attempt"], 1, "the same attempt")
