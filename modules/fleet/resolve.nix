# From the options as written to the fleet as meant: defaults that depend on other entries, the waves of each channel,
# the probes of each host. Judges nothing; what is wrong is left as it is for check.nix.
{ lib }:
let
  selector = import ./selector.nix { inherit lib; };
in
config:
let
  # The name that was written, or the only one there is; null where neither helps.
  orOnly =
    written: entries:
    let
      names = lib.attrNames entries;
    in
    if written != null then
      written
    else if lib.length names == 1 then
      lib.head names
    else
      null;

  hosts = lib.mapAttrs (
    name: host:
    host
    // {
      inherit name;
      channel = orOnly host.channel config.channels;
    }
  ) config.hosts;

  hostsOf = lib.groupBy (host: toString host.channel) (lib.attrValues hosts);

  # The waves of a policy with the hosts of one channel that each takes.
  waves =
    policy: members:
    map (wave: wave // { members = lib.filter (selector.picks wave.select) members; }) policy.waves;

  channels = lib.mapAttrs (
    name: channel:
    let
      policy = orOnly channel.policy config.policies;
      members = hostsOf.${name} or [ ];
    in
    channel
    // {
      inherit name policy members;
      waves = lib.optionals (config.policies ? ${toString policy}) (
        waves config.policies.${policy} members
      );
    }
  ) config.channels;

  tagProbes = host: map (tag: config.tags.${tag}.probes or { }) host.tags;

  # Wider scopes first: a later one replaces whole probes.
  probesOf =
    host:
    config.probes
    // lib.foldl' (all: probes: all // probes) { } (tagProbes host)
    // (config.channels.${toString host.channel} or { probes = { }; }).probes
    // host.probes;
in
{
  inherit hosts channels;
  probes = lib.mapAttrs (_: probesOf) hosts;
}
