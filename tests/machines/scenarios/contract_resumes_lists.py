"""A switch that is killed is resumed by the next one, which starts units of its list, also those it does not have."""

from harness.wait import expect, same, until

CORE = True
SERVICE = "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\n"


def run(fleet):
    web1 = fleet.add("web1", units={"changed.service": SERVICE})
    fleet.start()
    second = fleet.offer(web1, "2", units={"changed.service": SERVICE.replace("/bin/true", "/usr/bin/env"),
                                           "added.service": SERVICE})
    web1.fetch(second)
    web1.hold_switch("units", "2")
    web1.switch_in_background(second, "test")
    web1.wait_held("units", "2")
    web1.exec("systemctl kill --signal=SIGKILL by-hand.service")
    until("the killed switch is gone", lambda: web1.unit("by-hand.service") != "active")
    web1.let_go("units", "2")
    same(web1.running(), second, "killed after the link moved: the link is not success")
    same(web1.unit("changed.service"), "inactive", "the unit that it had stopped")
    expect("changed.service" in web1.says("cat /run/nixos/start-list"), "the list survives")
    status, words = web1.switch(web1.closure, "test", env="NIXOS_NO_CHECK=1")
    expect(status in (0, 4), f"the way back ended with {status}: {words}")
    same(web1.running(), web1.closure, "the prior runs")
    same(web1.unit("changed.service"), "active", "the stopped unit was started from the list")
    same(web1.says("ls /run/nixos/start-list"), "", "the list is done")
