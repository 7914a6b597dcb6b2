# Every Nix file parses.
every_file_parses() {
  local bad=0 file
  while IFS= read -r file; do
    nix-instantiate --parse "$file" >/dev/null || bad=1
  done < <(find flake.nix modules nix tests -name '*.nix' | sort)
  return "$bad"
}
check "every .nix file parses" every_file_parses
