# A settings file that the program itself has checked, so that a mistake fails the build and not the host.
{ lib, pkgs }:
{
  name,
  # The program's path, and what it is called with besides the file.
  program,
  arguments ? [ ],
  settings,
}:
let
  written = (pkgs.formats.json { }).generate name settings;

  # Built for another machine, the program can't run here; its checks are then made when it starts.
  runs =
    pkgs.stdenv.buildPlatform.canExecute or (host: host == pkgs.stdenv.buildPlatform)
      pkgs.stdenv.hostPlatform;
in
pkgs.runCommand name { passthru = { inherit settings; }; } ''
  ${lib.optionalString runs (
    lib.escapeShellArgs (
      [
        program
        "check-config"
        "--config"
        written
      ]
      ++ arguments
    )
  )}
  cp ${written} $out
''
