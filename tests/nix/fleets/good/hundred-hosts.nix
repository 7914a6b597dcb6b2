# Hosts that a function made, in waves that grow.
{ lib, built, ... }:
let
  name = number: "node${lib.fixedWidthNumber 3 number}";
  size =
    number:
    if number <= 1 then
      "first"
    else if number <= 10 then
      "few"
    else
      "many";
  host =
    number: lib.nameValuePair (name number) (built (name number) // { tags = [ (size number) ]; });
in
{
  ref = "2026-06.1";
  hosts = lib.listToAttrs (map host (lib.range 1 100));
  channels.stable = { };
  policies.default.waves =
    map
      (size: {
        name = size;
        select.tags = [ size ];
        maxInFlight = 20;
      })
      [
        "first"
        "few"
        "many"
      ];
}
