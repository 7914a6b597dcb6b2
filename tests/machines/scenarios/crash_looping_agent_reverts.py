"""An agent that crashes again and again in the new closure is undone."""

from harness.claims import back

CONVOY = True
EMULATED = True


def run(fleet):
    web1 = fleet.add("web1")
    fleet.start()
    unit = web1.system.units["convoy-agent.service"].replace("ExecStart=", "ExecStart=/usr/bin/timeout -s KILL 1 ")
    second = fleet.offer(web1, "2", units={"convoy-agent.service": unit.replace("Type=notify", "Type=exec")})
    release = fleet.plane.publish("2", {web1: second}, policy={"soakMs": 60_000})
    back(fleet, web1, release)
