"""Twin: with no guard in the trial boot, a target without a working agent stays booted."""

from harness.wait import always, until

LEFT_OUT = "trial-guard"
EMULATED = True


def run(fleet):
    web1 = fleet.add("web1")
    fleet.start()
    unit = web1.system.units["convoy-agent.service"].replace("ExecStart=", "ExecStart=/bin/false ")
    second = fleet.offer(web1, "2", triggers={"kernel": "kernel-2"}, units={"convoy-agent.service": unit})
    fleet.plane.publish("2", {web1: second}, reboot="trial")
    until("it booted the target", lambda: web1.booted() == second and web1.up(), 120)
    always("nothing brings it back", lambda: web1.booted() == second, 60)
