"""Asks a host's root helper, past its agent: what somebody does who has taken the agent over."""

import json

from harness.wait import expect

ASK = """import socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect("/run/convoy/activator.sock")
s.sendall(open(sys.argv[1], "rb").read() + b"\\n")
print(s.makefile().readline())
"""
PROGRAM = "/usr/lib/ask.py"
REQUEST = "/var/lib/machine-test/request.json"
AS_AGENT = ["setpriv", "--reuid", "convoy-agent", "--regid", "convoy-agent", "--clear-groups"]
# The parts of a policy that a start repeats as the host's terms.
TERMS = ["soakMs", "failureAfterMs", "switchLimitMs", "commitLimitMs", "rollbackLimitMs", "rebootLimitMs",
         "stageLimitMs", "isolationLimitMs"]


def ask(host, request, user=True):
    """Sends one request, JSON or any text, as the agent's user or as root; returns the answer."""
    host.write(PROGRAM, ASK)
    text = request if isinstance(request, str) else json.dumps({"v": 1, "request": request})
    host.write(REQUEST, text)
    done = host.exec(*(AS_AGENT if user else []), "python3", PROGRAM, REQUEST)
    expect(done.stdout.strip(), f"an answer to {text[:200]}")
    return json.loads(done.stdout)["answer"]


def about(kind, release, attempt=1, **more):
    """Returns a request about one attempt."""
    return {"kind": kind, "rolloutId": release, "attempt": attempt, **more}


def start(signed, host, **changes):
    """Returns a request to start what a signed release says for a host."""
    policy = signed.manifest["policy"]
    wave = next(wave for wave in signed.manifest["waves"] if host.name in wave["hosts"])
    end = sum(policy[key] for key in ("switchLimitMs", "soakMs", "failureAfterMs", "isolationLimitMs", "commitLimitMs"))
    terms = {key: policy[key] for key in TERMS}
    terms |= {"target": signed.manifest["hosts"][host.name]["closure"], "onFailure": "revert", "reboot": wave["reboot"]}
    return about("start", signed.release, terms=terms | changes, agentTimeoutMs=policy["agentTimeoutMs"],
                 endAfterMs=end, reboot=wave["reboot"], signedRelease=signed.path.read_text())


def records(host):
    """Returns the root records, newest first."""
    return ask(host, {"kind": "status"})["records"]
