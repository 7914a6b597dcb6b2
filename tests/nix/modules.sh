# The modules inside a whole NixOS, and how exposed the units are that come out.
modules() { evaluate tests/nix/modules.nix --arg nixpkgs "$nixpkgs" ${lib:+--arg lib "$lib"} "$@"; }

every_claim_holds() {
  modules -A failures >"$work/failures.json" || return 1
  [[ $(<"$work/failures.json") == "{}" ]] || { python3 tests/nix/show.py "$work/failures.json"; return 1; }
}

units_are_golden() {
  modules -A units >"$work/units.json" && modules -A settings >"$work/settings.json" &&
    python3 tests/nix/units.py "$work/units.json" "$work/settings.json" ${bless:+--bless}
}

# 20 is an exposure of 2.0.
units_are_hardened() {
  local unit
  python3 tests/nix/show.py "$work/units.json" "$work" || return 1
  for unit in convoy-agent convoy-cp; do
    systemd-analyze security --offline=true --no-pager --threshold=20 "$work/$unit.service" || return 1
  done
}

if [[ -z $nixpkgs ]]; then
  echo "skipped: the modules inside NixOS, since no nixpkgs was given (--nixpkgs)"
else
  check "the modules do in NixOS what $(modules -A count) claims say" every_claim_holds
  check "units and settings are as their golden files" units_are_golden
  if systemd-analyze security --help 2>/dev/null | grep -q -- --offline; then
    check "agent and control plane have an exposure of 2.0 or less" units_are_hardened
  else
    echo "skipped: the exposure of the units, since there is no systemd-analyze with --offline here"
  fi
fi
