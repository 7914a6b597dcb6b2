# What `nix flake check` builds: the programs and their tests, everything that is written in Nix, and the VM tests.
{
  pkgs,
  source,
  convoy,
}:
let
  inherit (pkgs) lib;

  # A cargo command on the whole repository, with the dependencies of the package.
  cargo =
    name: inputs: command:
    convoy.overrideAttrs (before: {
      pname = "convoy-${name}";
      src = source;
      outputs = [ "out" ];
      nativeBuildInputs = before.nativeBuildInputs ++ inputs;
      buildPhase = ''
        runHook preBuild
        ${command}
        runHook postBuild
      '';
      installPhase = "touch $out";
      postInstall = "";
    });

  # Fails at evaluation where something was found.
  holds =
    name: found:
    if found == { } then
      pkgs.runCommand "convoy-${name}" { } "touch $out"
    else
      throw "${name}: ${builtins.toJSON found}";

  fleets = import ./fleets { inherit lib; };
  golden = name: lib.importJSON ../fixtures/fleet/${name}.json;
  texts =
    name:
    lib.splitString "\n" (lib.removeSuffix "\n" (lib.readFile ./fleets/bad/${name}.txt));

  page = pkgs.writeText "options.md" (import ./options.nix { inherit lib; });

  vm = import ../vm { pkgs = pkgs.extend (_: _: { inherit convoy; }); };
in
{
  package = convoy;

  fmt = cargo "fmt" [ pkgs.rustfmt ] "cargo fmt --check";
  clippy = cargo "clippy" [ pkgs.clippy ] "cargo clippy --offline --all-targets -- -D warnings";
  tests = cargo "tests" [ ] "cargo test --offline";

  nixfmt = pkgs.runCommand "convoy-nixfmt" { nativeBuildInputs = [ pkgs.nixfmt ]; } ''
    cd ${source}
    find . -name '*.nix' -exec nixfmt --check {} +
    touch $out
  '';

  fleets-good = holds "fleets-good" (lib.filterAttrs (name: fleet: fleet != golden name) fleets.good);
  fleets-bad = holds "fleets-bad" (
    lib.filterAttrs (name: mistakes: mistakes != texts name) fleets.bad
  );
  modules = holds "modules" (import ./modules.nix { nixpkgs = pkgs.path; }).failures;
  options-page = pkgs.runCommand "convoy-options-page" { } ''
    diff -u ${../../docs/options.md} ${page}
    touch $out
  '';
}
// lib.mapAttrs' (name: lib.nameValuePair "vm-${name}") vm
