"""The switch script ends with NixOS's exit statuses: 0, 1, 2, 4, 100, and 11 while another one holds the lock."""

from harness.wait import expect, same

CORE = True
BROKEN = "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/false\n[Install]\nWantedBy=multi-user.target\n"


def run(fleet):
    web1 = fleet.add("web1", inhibitors={"dbus": "1"})
    fleet.start()

    def switched(version, action="test", **changes):
        closure = fleet.offer(web1, version, **changes)
        web1.fetch(closure)
        status, words = web1.switch(closure, action)
        return closure, status, words

    closure, status, _ = switched("good")
    same((status, web1.running()), (0, closure), "a good closure")
    before = web1.running()
    closure, status, _ = switched("inhibited", inhibitors={"dbus": "2"})
    same((status, web1.running()), (1, before), "an inhibitor refuses before anything is touched")
    closure, status, _ = switched("checked", pre_switch_check="#!/bin/sh\nexit 1\n")
    same((status, web1.running()), (1, before), "a pre-switch check refuses")
    status, _ = web1.switch(closure, "test", env="NIXOS_NO_CHECK=1")
    same((status, web1.running()), (0, closure), "NIXOS_NO_CHECK=1 skips the checks")
    closure, status, _ = switched("activation", snippet="false\n")
    same((status, web1.running()), (2, closure), "a failed activation script goes on")
    closure, status, words = switched("units", units={"broken.service": BROKEN})
    same((status, web1.running()), (4, closure), "a failed unit, in a configuration that is active")
    expect("the following units failed: broken.service" in words, f"the failed unit is listed: {words}")
    closure, status, _ = switched("both", units={"broken.service": BROKEN}, snippet="false\n")
    same(status, 4, "a failed unit overwrites a failed activation")
    before = web1.running()
    closure, status, _ = switched("interface", interface="3")
    same((status, web1.running()), (100, before), "another init interface needs a reboot")
    same(web1.switch(closure, "nonsense")[0], 1, "an unknown action")

    held = fleet.offer(web1, "held")
    web1.fetch(held)
    web1.hold_switch("locked", "held")
    web1.switch_in_background(held, "test")
    web1.wait_held("locked", "held")
    same(web1.switch(before, "test")[0], 11, "the lock is held")
    web1.let_go("locked", "held")
