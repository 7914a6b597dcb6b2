"""The agent's user, taken over, can't switch the host to anything unsigned: not by the helper, not by itself."""

from harness.host import PROFILE
from harness.wait import expect, same

CONVOY = True
CORE = True
# Asks the helper for one thing and prints its answer.
ASK = """import socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect("/run/convoy/activator.sock")
s.sendall(sys.argv[1].encode() + b"\\n")
print(s.makefile().readline())
"""
COMMIT = '{"v":1,"request":{"kind":"commit","rolloutId":"stable@1","attempt":1}}'
REQUESTS = ["nonsense", "{}", '{"v":1,"request":{"kind":"start"}}', COMMIT, COMMIT.replace("commit", "reboot")]


def run(fleet):
    web1 = fleet.add("web1")
    fleet.start()
    second = fleet.offer(web1, "2")
    web1.fetch(second)
    web1.write("/usr/lib/ask.py", ASK)

    def taken_over(*words):
        return web1.exec("setpriv", "--reuid", "convoy-agent", "--regid", "convoy-agent", "--clear-groups", *words,
                         check=False)

    for request in REQUESTS:
        answer = taken_over("python3", "/usr/lib/ask.py", request).stdout
        expect('"answer"' in answer and '"done"' not in answer, f"{request} is refused: {answer}")
    expect(taken_over(f"{second}/bin/switch-to-configuration", "test").returncode != 0, "it can't switch by itself")
    expect(taken_over("nix-env", "--profile", PROFILE, "--set", second).returncode != 0,
           "it can't set the profile")
    expect(taken_over("systemctl", "reboot").returncode != 0, "it can't reboot the host")
    same((web1.running(), web1.default()), (web1.closure, web1.closure), "nothing was switched")
