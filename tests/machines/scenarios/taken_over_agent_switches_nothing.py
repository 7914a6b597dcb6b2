"""The agent's user, taken over, can't switch the host to anything unsigned: not by the helper, not by itself."""

from harness.helper import AS_AGENT, about, ask
from harness.host import PROFILE
from harness.wait import expect, same

CONVOY = True
CORE = True


def run(fleet):
    web1 = fleet.add("web1")
    fleet.start()
    second = fleet.offer(web1, "2")
    web1.fetch(second)
    for request in ("nonsense", "{}", '{"v":9,"request":{"kind":"status"}}', about("start", "stable@1"),
                    about("commit", "stable@1"), about("reboot", "stable@1", signedRelease="{}"),
                    about("pat", "stable@1")):
        answer = ask(web1, request)
        expect(answer["kind"] in ("malformed", "unknown", "refused", "held"), f"{request} is refused: {answer}")
    for words in ([f"{second}/bin/switch-to-configuration", "test"], ["nix-env", "--profile", PROFILE, "--set", second],
                  ["systemctl", "reboot"], ["systemctl", "start", "nix-daemon.service"]):
        expect(web1.exec(*AS_AGENT, *words, check=False).returncode != 0, f"{words} is refused")
    same((web1.running(), web1.default()), (web1.closure, web1.closure), "nothing was switched")
    visitor = web1.exec("setpriv", "--reuid", "nobody", "--regid", "nogroup", "--clear-groups", "python3",
                        "/usr/lib/ask.py", "/var/lib/machine-test/request.json", check=False)
    expect(visitor.returncode != 0, "nobody else may ask")
