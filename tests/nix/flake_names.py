"""Looks at what tests/nix/flake.nix evaluated to: flake_names.py FILE.json [template]."""

import json
import pathlib
import sys

LINUX = {"x86_64-linux", "aarch64-linux"}
ALL = LINUX | {"x86_64-darwin", "aarch64-darwin"}


def check_outputs(found):
    """The outputs are there on the systems that they are for."""
    for output in ["packages", "devShells"]:
        assert set(found[output]) == ALL, found[output]
    assert set(found["formatter"]) == ALL, found["formatter"]
    for output in ["apps", "checks"]:
        assert set(found[output]) == LINUX, found[output]
    programs = {"convoy", "convoy-activator", "convoy-agent", "convoy-cp", "default"}
    assert set(found["packages"]["x86_64-linux"]) == programs, found["packages"]
    assert set(found["packages"]["aarch64-darwin"]) == {"convoy", "default"}, found["packages"]
    tests = {f"vm-{path.stem}" for path in pathlib.Path("tests/vm").glob("*.nix") if path.stem != "default"}
    others = {"package", "fmt", "clippy", "tests", "nixfmt", "fleets-good", "fleets-bad", "modules", "options-page"}
    assert set(found["checks"]["x86_64-linux"]) == tests | others, found["checks"]
    assert "demo" in found["apps"]["x86_64-linux"], found["apps"]


def check_template(found):
    """The fleet that a user copies is complete."""
    assert found["mistakes"] == [] and found["assertions"] == [], found
    assert found["release"] == "stable@0123abc", found
    waves = [(wave["name"], wave["hosts"]) for wave in found["waves"]]
    assert waves == [("canary", ["web1"]), ("web", ["web2", "web3"]), ("control-plane", ["cp1"])], waves
    assert found["probes"]["web2"] == ["page", "ssh"] and found["probes"]["cp1"] == ["ssh"], found
    assert all(found["closures"].values()), found


read = json.loads(pathlib.Path(sys.argv[1]).read_text())
check_template(read) if "template" in sys.argv[2:] else check_outputs(read)
