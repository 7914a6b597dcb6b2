# flake.nix: its one input, and the names of its outputs, without building anything.
outputs_are_named() {
  nix-instantiate --eval --strict --json -E '
    let
      flake = import ./flake.nix;
      outputs = flake.outputs { self = throw "not needed for the names"; nixpkgs.lib = throw "not needed for the names"; };
    in
    { inputs = builtins.attrNames flake.inputs; outputs = builtins.attrNames outputs; modules = builtins.attrNames outputs.nixosModules; }
  ' 2>/dev/null >"$work/names.json"
  python3 - "$work/names.json" <<'PYTHON'
import json, sys

names = json.load(open(sys.argv[1]))
assert names["inputs"] == ["nixpkgs"], names
wanted = "apps checks devShells formatter lib nixosModules overlays packages templates".split()
assert names["outputs"] == wanted, names
assert names["modules"] == ["agent", "control-plane", "default"], names

lock = json.load(open("flake.lock"))
assert list(lock["nodes"]) == ["nixpkgs", "root"], "flake.lock has more than one input"
assert len(open("flake.nix").read().splitlines()) <= 150, "flake.nix is longer than 150 lines"
PYTHON
}

flake() { evaluate tests/nix/flake.nix --arg nixpkgs "$nixpkgs" ${lib:+--arg lib "$lib"} "$@"; }

outputs_evaluate() { flake -A names >"$work/outputs.json" && python3 tests/nix/flake_names.py "$work/outputs.json"; }
template_evaluates() { flake -A template >"$work/template.json" && python3 tests/nix/flake_names.py "$work/template.json" template; }

check "flake.nix has one input and names its outputs" outputs_are_named
if [[ -z $nixpkgs ]]; then
  echo "skipped: the outputs of flake.nix and its template, since no nixpkgs was given (--nixpkgs)"
else
  check "the outputs of flake.nix evaluate to their names on every system" outputs_evaluate
  check "the template is a fleet without a mistake" template_evaluates
fi
