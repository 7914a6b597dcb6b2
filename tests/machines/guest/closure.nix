# A system closure as a raw derivation: a drawn-up folder, with its own path filled in.
{ name, source, inputs }:
derivation {
  inherit name source;
  # What the folder names in the store becomes a reference of the closure.
  inputs = map builtins.storePath inputs;
  system = builtins.currentSystem;
  builder = "/bin/sh";
  args = [
    "-ec"
    ''
      PATH=/usr/bin:/bin
      cp -r "$source" "$out"
      chmod -R u+w "$out"
      grep -rlI '@out@' "$out" | xargs -r sed -i "s|@out@|$out|g"
    ''
  ];
}
