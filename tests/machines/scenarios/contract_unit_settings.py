"""X-RestartIfChanged and X-StopIfChanged of the new unit and X-StopOnRemoval of the old one are honoured."""

from harness.wait import expect, same

CORE = True


def service(word, more="", head=""):
    """Returns a service with settings; its command line has a word that changes."""
    return (f"[Unit]\n{head}[Service]\nExecStart=/usr/bin/python3 -c 'import time; time.sleep(9999)' {word}\n{more}"
            "[Install]\nWantedBy=multi-user.target\n")


def run(fleet):
    stays, once = "X-RestartIfChanged=false\n", "X-StopIfChanged=false\n"
    web1 = fleet.add("web1", units={
        "same.service": service("a"), "plain.service": service("a"), "stays.service": service("a"),
        "once.service": service("a"), "removed.service": service("a"), "left.service":
        service("a", head="X-StopOnRemoval=false\n"), "asked.socket": "[Socket]\nListenStream=/run/asked\n"
        "[Install]\nWantedBy=sockets.target\n", "asked.service": service("a").split("[Install]")[0]})
    fleet.start()
    web1.exec("systemctl start asked.service")
    names = ["same", "plain", "stays", "once", "removed", "left"]
    before = {name: web1.unit(f"{name}.service", "MainPID") for name in names}
    second = fleet.offer(web1, "2", units={
        "plain.service": service("b"), "stays.service": service("b", stays), "once.service": service("b", once),
        "removed.service": None, "left.service": None, "asked.service": service("b").split("[Install]")[0]})
    web1.fetch(second)
    same(web1.switch(second, "test")[0], 0, "the switch")
    after = {name: web1.unit(f"{name}.service", "MainPID") for name in names}
    kept = {name for name in names if after[name] == before[name]}
    same(kept, {"same", "stays", "left"}, "the services that went on untouched")
    same(web1.unit("removed.service"), "inactive", "a removed service")
    expect(after["once"] != "0" and after["plain"] != "0", f"the changed services run: {after}")
    same((web1.unit("asked.socket"), web1.unit("asked.service")), ("active", "inactive"),
         "a changed service of a socket waits for its socket again")
    web1.exec("systemd-run --unit=transient sleep 9999")
    same(web1.switch(web1.closure, "test")[0], 0, "the switch back")
    same(web1.unit("transient.service"), "active", "a transient unit is left alone")
