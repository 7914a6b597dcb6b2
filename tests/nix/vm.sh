# The VM tests: each evaluates to a derivation, and each script is Python. They are run where there is KVM.
vm() { evaluate tests/nix/vm.nix --arg nixpkgs "$nixpkgs" ${lib:+--arg lib "$lib"} "$@"; }

# The tests by name, without the files that they are found by.
vm_names() { find tests/vm -maxdepth 1 -name '*.nix' ! -name default.nix -printf '%f\n' | sed 's/\.nix$//' | sort; }

every_vm_test_evaluates() {
  vm -A derivations >"$work/derivations.json" || return 1
  python3 tests/nix/show.py "$work/derivations.json" >"$work/derivations"
  local name
  for name in $(vm_names); do
    grep -q -- "-vm-test-run-convoy-$name.drv\$" "$work/derivations" || { echo "$name: no derivation"; return 1; }
  done
}

every_script_compiles() {
  mkdir -p "$work/scripts"
  vm -A scripts >"$work/scripts.json" && python3 tests/nix/show.py "$work/scripts.json" "$work/scripts" || return 1
  local script
  for script in "$work"/scripts/*; do
    PYTHONDONTWRITEBYTECODE=1 python3 -m py_compile "$script" || return 1
  done
}

if [[ -z $nixpkgs ]]; then
  echo "skipped: the VM tests, since no nixpkgs was given (--nixpkgs)"
else
  check "$(vm_names | wc -l) VM tests evaluate to derivations" every_vm_test_evaluates
  check "the scripts of the VM tests are Python" every_script_compiles
  echo "skipped: running the VM tests, which needs KVM: nix build .#checks.x86_64-linux.vm-NAME"
fi
