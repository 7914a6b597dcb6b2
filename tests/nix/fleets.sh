# The fleets of tests/nix/fleets: good ones against their golden manifests, bad ones against the exact text.
compare_fleets() {
  evaluate tests/nix/fleets --arg lib "import $lib" -A good >"$work/good.json" &&
    evaluate tests/nix/fleets --arg lib "import $lib" -A bad >"$work/bad.json" &&
    python3 tests/nix/fleets/compare.py "$work/good.json" "$work/bad.json" ${bless:+--bless}
}

# What a person sees: the message as it is thrown, whatever Nix writes around it.
throws_all_mistakes() {
  local said line
  said=$(evaluate tests/nix/fleets --arg lib "import $lib" -A thrown 2>&1) && return 1
  while IFS= read -r line; do
    [[ $said == *"- $line"* ]] || { echo "not said: $line"; return 1; }
  done <tests/nix/fleets/bad/mistakes-everywhere.txt
}

if [[ -z $lib ]]; then
  echo "skipped: the fleets of tests/nix/fleets, since no lib of nixpkgs was given (--lib)"
else
  check "the good fleets are as their golden files, the bad ones say the exact text" compare_fleets
  check "a bad fleet fails with all of its mistakes" throws_all_mistakes
fi
