# Order between names: whatever waits for itself, through any number of others, can never start.
{ lib }:
let
  # Takes away who waits for nobody, again and again; what is left is stuck.
  stuck =
    waits:
    let
      left = lib.filterAttrs (_: before: before != [ ]) (
        lib.mapAttrs (_: lib.filter (name: waits ? ${name})) waits
      );
    in
    if lib.attrNames left == lib.attrNames waits then left else stuck left;

  # Every stuck one waits for a stuck one, so going on must come to one that was seen before.
  ring =
    waits: seen: at:
    if lib.elem at seen then
      lib.drop (lib.lists.findFirstIndex (name: name == at) 0 seen) seen ++ [ at ]
    else
      ring waits (seen ++ [ at ]) (lib.head waits.${at});
in
{
  # One ring of those that wait for each other, as a list of at most one mistake.
  mistakes =
    path: what: waits:
    let
      left = stuck waits;
      found = ring left [ ] (lib.head (lib.attrNames left));
    in
    lib.optional (left != { })
      "${path}.${lib.head found}.after: ${what} wait for each other: ${lib.concatStringsSep " after " found}";
}
