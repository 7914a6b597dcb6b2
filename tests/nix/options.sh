# docs/options.md says what the modules say.
page_is_current() {
  evaluate tests/nix/options.nix --arg lib "import $lib" >"$work/options.json" || return 1
  python3 -c 'import json, sys; sys.stdout.write(json.load(sys.stdin))' <"$work/options.json" >"$work/options.md"
  [[ -z $bless ]] || cp "$work/options.md" docs/options.md
  diff -u docs/options.md "$work/options.md" || { echo "write it anew with tests/nix/run --bless"; return 1; }
}

if [[ -z $lib ]]; then
  echo "skipped: docs/options.md, since no lib of nixpkgs was given (--lib)"
else
  check "docs/options.md is what the modules say" page_is_current
fi
