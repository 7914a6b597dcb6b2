# A channel of the fleet as a release manifest (`convoy.release/1`). Every rule is written out, so that what is signed
# never changes its meaning with a later default.
{ lib }:
let
  span = import ../span.nix { inherit lib; };
  inherit (import ./policy.nix { inherit lib; }) spans;

  window = window: window // { timezone = "UTC"; };

  wave =
    rules: index: wave:
    {
      inherit (wave)
        name
        minSuccess
        maxFailures
        approval
        ;
      hosts = map (host: host.name) wave.members;
      waitMs = if wave.wait == "0s" then 0 else span.toMillis wave.wait;
      windows = map window (if wave.windows == null then rules.windows else wave.windows);
      reboot =
        if wave.reboot != null then
          wave.reboot
        else if index == 0 then
          "trial"
        else
          "live";
    }
    // lib.filterAttrs (_: value: value != null) { inherit (wave) maxInFlight notBefore; };
in
{
  config,
  channel,
  closures,
}:
let
  rules = config.policies.${channel.policy};
  carried = lib.genAttrs (lib.concatMap (host: host.tags) channel.members) (_: true);
  byName =
    value: lib.listToAttrs (map (host: lib.nameValuePair host.name (value host)) channel.members);
in
{
  schema = "convoy.release/1";
  release = "${channel.name}@${config.ref}";
  inherit (config) again;
  hosts = byName (host: {
    closure = closures.${host.name};
    inherit (host) tags;
  });
  waves = lib.imap0 (wave rules) channel.waves;
  policy =
    lib.mapAttrs' (name: _: lib.nameValuePair "${name}Ms" (span.toMillis rules.${name})) spans
    // {
      inherit (rules)
        onFailure
        onSupersede
        onHalt
        onDrift
        ;
      budgets = lib.filterAttrs (tag: _: carried ? ${tag}) rules.budgets;
      hostOrder = lib.filterAttrs (_: after: after != [ ]) (byName (host: host.after));
      afterChannels = channel.after;
    };
}
