# The VM tests by name: one file for each promise, found here. They need KVM, and Convoy as `pkgs.convoy`.
{ pkgs }:
let
  inherit (pkgs) lib;

  parts = import ./parts { inherit pkgs; };
  isTest = name: type: type == "regular" && lib.hasSuffix ".nix" name && name != "default.nix";
in
lib.mapAttrs' (
  file: _:
  let
    name = lib.removeSuffix ".nix" file;
  in
  lib.nameValuePair name (
    pkgs.testers.runNixOSTest ({ name = "convoy-${name}"; } // import (./. + "/${file}") parts)
  )
) (lib.filterAttrs isTest (builtins.readDir ./.))
