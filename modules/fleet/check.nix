# Finds every mistake of a fleet at once, each with its option's path: a list of texts, empty where all is well. The rules
# are those of the programs, so that what passes here is never refused there, and those that only a whole fleet shows.
{ lib }:
let
  probes = import ../probes.nix { inherit lib; };
  order = import ./order.nix { inherit lib; };
  policy = import ./check-policy.nix { inherit lib; };

  maxTags = 64;
  maxAfterChannels = 64;
  maxHosts = 100000;

  say = builtins.toJSON;
  list = lib.concatStringsSep ", ";

  label =
    most: what: path: name:
    lib.optional
      (builtins.match "[A-Za-z0-9][A-Za-z0-9._-]*" name == null || builtins.stringLength name > most)
      "${path}: ${say name} is no ${what}: 1 to ${toString most} of a-z A-Z 0-9 . _ -, the first a letter or digit";

  twice =
    path: names:
    map (name: "${path}: ${name} is named twice: remove one") (
      lib.attrNames (lib.filterAttrs (_: same: lib.length same > 1) (lib.groupBy lib.id names))
    );

  # A name of another entry that was left out, or is not there.
  reference =
    path: what: name: written: entries:
    let
      known = lib.attrNames entries;
    in
    if name == null then
      [
        (
          if known == [ ] then
            "${path}: the fleet has no ${what}: declare one"
          else
            "${path}: is not set, and the fleet has more than one ${what}: ${list known}"
        )
      ]
    else
      lib.optional (
        written != null && !entries ? ${written}
      ) "${path}: there is no ${what} ${say written}, only ${list known}";
in
# `config` is the fleet as written, `fleet` as resolved, with the hosts' extended systems.
config: fleet:
let
  tags = lib.genAttrs (lib.concatMap (host: host.tags) (lib.attrValues config.hosts)) (_: true);

  known = {
    inherit tags;
    inherit (config) hosts channels;
  };

  release =
    (
      if config.ref == null then
        [ ''ref: is not set: name the release, such as ref = "2026-05.42"'' ]
      else
        label 64 "release's name" "ref" config.ref
    )
    ++ lib.optional (
      config.hosts == { }
    ) "hosts: a fleet without hosts changes nothing: declare at least one"
    ++ lib.optional (
      config.channels == { }
    ) "channels: there is none: declare one, such as channels.stable = { }"
    ++ lib.optional (
      lib.length (lib.attrNames config.hosts) > maxHosts
    ) "hosts: more than ${toString maxHosts} are not possible";

  ofHost =
    name: host:
    let
      path = "hosts.${name}";
      channel = fleet.hosts.${name}.channel;
    in
    label 253 "host name" path name
    ++ system name host fleet.probes.${name}
    ++ reference "${path}.channel" "channel" channel host.channel config.channels
    ++ lib.concatMap (label 64 "tag" "${path}.tags") host.tags
    ++ twice "${path}.tags" host.tags
    ++
      lib.optional (lib.length host.tags > maxTags)
        "${path}.tags: ${toString (lib.length host.tags)} are more than the ${toString maxTags} that are allowed"
    ++ twice "${path}.after" host.after
    ++ lib.concatMap (after: afterHost "${path}.after" channel after) host.after
    ++ probes.mistakes "${path}.probes" host.probes
    ++ tooMany path fleet.probes.${name}
    ++ ambiguous path fleet.hosts.${name};

  # What the host gets: one of the two, and probes only where they can be added.
  system =
    name: host: wanted:
    let
      path = "hosts.${name}";
      carried = host.nixosConfiguration != null && host.nixosConfiguration ? extendModules;
      # An option that is not there reads as the default of `or`; so does a host that is no NixOS at all.
      agent = host.nixosConfiguration.config.services.convoy.agent or null;
    in
    if host.nixosConfiguration == null && host.closure == null then
      [ "${path}: gets nothing: set nixosConfiguration, or closure to a store path" ]
    else if host.nixosConfiguration != null && host.closure != null then
      [ "${path}: has both nixosConfiguration and closure: remove one" ]
    else if host.closure != null then
      lib.optional
        (builtins.match "/nix/store/[0-9a-df-np-sv-z]{32}-[A-Za-z0-9+._?=-]{1,211}" host.closure == null)
        "${path}.closure: ${say host.closure} is not a store path such as /nix/store/<32 characters>-nixos-system-web1-26.05"
      ++
        lib.optional (wanted != { })
          "${path}.closure: the probes ${list (lib.attrNames wanted)} can't be added to a system that is built already: set nixosConfiguration, or declare them for other hosts only"
    else if !carried then
      [ "${path}.nixosConfiguration: is not what nixpkgs.lib.nixosSystem returns" ]
    else if agent == null then
      [ "${path}.nixosConfiguration: does not import convoy's nixosModules.agent: add it to its modules" ]
    else if !agent.enable then
      [
        "${path}.nixosConfiguration: services.convoy.agent.enable is false, so it would never hear of a release: set it"
      ]
    else
      let
        called = fleet.systems.${name}.config.services.convoy.agent.host;
      in
      lib.optional (called != name)
        "${path}.nixosConfiguration: services.convoy.agent.host is ${say called}: remove it, or rename the host here";

  afterHost =
    path: channel: after:
    if !config.hosts ? ${after} then
      [ "${path}: no host is called ${after}" ]
    else
      lib.optional (fleet.hosts.${after}.channel != channel)
        "${path}: ${after} follows another channel, ${
          toString fleet.hosts.${after}.channel
        }: order channels with channels.${toString channel}.after";

  tooMany =
    path: all:
    let
      number = lib.length (lib.attrNames all);
    in
    lib.optional (number > probes.maxProbes)
      "${path}: gets ${toString number} probes from all scopes, more than the ${toString probes.maxProbes} that are run";

  # Tags stand side by side: two that declare one probe differently have no order between them.
  ambiguous =
    path: host:
    let
      declared = lib.concatMap (
        tag:
        lib.mapAttrsToList (name: probe: { inherit tag name probe; }) (config.tags.${tag}.probes or { })
      ) (lib.unique host.tags);
      clash = same: lib.length (lib.unique (map (one: one.probe) same)) > 1;
      narrower =
        name: host.probes ? ${name} || config.channels.${toString host.channel}.probes or { } ? ${name};
      clashes = lib.filterAttrs (name: same: clash same && !narrower name) (
        lib.groupBy (one: one.name) declared
      );
    in
    lib.mapAttrsToList (
      name: same:
      "${path}.tags: ${
        lib.concatMapStringsSep " and " (one: "tags.${one.tag}.probes.${name}") same
      } differ: declare ${path}.probes.${name}"
    ) clashes;

  ofChannel =
    name: channel:
    let
      path = "channels.${name}";
      resolved = fleet.channels.${name};
    in
    label 64 "channel" path name
    ++ lib.optional (
      resolved.members == [ ]
    ) "${path}: no host follows it: a release without hosts changes nothing"
    ++ reference "${path}.policy" "policy" resolved.policy channel.policy config.policies
    ++ twice "${path}.after" channel.after
    ++ map (other: "${path}.after: no channel is called ${other}") (
      lib.filter (other: !config.channels ? ${other}) channel.after
    )
    ++ lib.optional (
      lib.length channel.after > maxAfterChannels
    ) "${path}.after: more than ${toString maxAfterChannels} are not possible"
    ++ probes.mistakes "${path}.probes" channel.probes
    ++ lib.optionals (config.policies ? ${toString resolved.policy}) (
      policy.inChannel config.policies.${resolved.policy} resolved
    );

  ofTag =
    name: tag:
    label 64 "tag" "tags.${name}" name
    ++ lib.optional (!tags ? ${name}) "tags.${name}: no host has this tag: tag the hosts or remove it"
    ++ probes.mistakes "tags.${name}.probes" tag.probes;

  used = lib.genAttrs (map (channel: toString channel.policy) (lib.attrValues fleet.channels)) (
    _: true
  );

  ofPolicy =
    name: rules:
    lib.optional (
      !used ? ${name}
    ) "policies.${name}: no channel uses it: remove it, or name it in channels.*.policy"
    ++ policy.alone known "policies.${name}" rules;

  each = check: entries: lib.concatLists (lib.mapAttrsToList check entries);
in
lib.unique (
  release
  ++ probes.mistakes "probes" config.probes
  ++ each ofTag config.tags
  ++ each ofHost config.hosts
  ++ each ofChannel config.channels
  ++ each ofPolicy config.policies
  ++ order.mistakes "hosts" "hosts" (lib.mapAttrs (_: host: host.after) config.hosts)
  ++ order.mistakes "channels" "channels" (lib.mapAttrs (_: channel: channel.after) config.channels)
)
