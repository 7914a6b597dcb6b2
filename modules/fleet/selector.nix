# Selectors: which hosts a wave takes. All fields that are given must hold.
{ lib }:
let
  inherit (lib) mkOption types;

  field =
    type: description: example:
    mkOption {
      type = types.nullOr type;
      default = null;
      inherit description example;
    };

  selector = types.submodule {
    options = {
      all = field (types.enum [ true ]) "`true`: every host of the channel." true;
      tags = field (types.listOf types.str) "Hosts that have all of these tags." [
        "web"
        "eu"
      ];
      tagsAny = field (types.listOf types.str) "Hosts that have at least one of these tags." [
        "web"
        "db"
      ];
      hosts = field (types.listOf types.str) "These hosts." [ "web1" ];
      channel = field types.str ''
        Hosts of this channel; of use where channels share a policy.
      '' "stable";
      not =
        field selector "Hosts that this selector does not take." (
          lib.literalExpression ''{ tags = [ "canary" ]; }''
        )
        // {
          visible = "shallow";
        };
      and =
        field (types.listOf selector) "Hosts that all of these selectors take." (
          lib.literalExpression ''[ { tags = [ "web" ]; } { not.hosts = [ "web1" ]; } ]''
        )
        // {
          visible = "shallow";
        };
    };
  };

  fields = [
    "all"
    "tags"
    "tagsAny"
    "hosts"
    "channel"
    "not"
    "and"
  ];
  given = select: lib.filter (name: select.${name} != null) fields;

  # What a list of names has wrong: it is empty, or it names something that is not there.
  names =
    path: what: known: list:
    lib.optional (list == [ ]) "${path}: is empty: name at least one ${what}, or remove it"
    ++ map (name: "${path}: no ${what} is called ${name}") (lib.filter (name: !known ? ${name}) list);

  # How each field takes a host.
  takes = {
    all = _: _: true;
    tags = tags: host: lib.all (tag: lib.elem tag host.tags) tags;
    tagsAny = tags: host: lib.any (tag: lib.elem tag host.tags) tags;
    hosts = hosts: host: lib.elem host.name hosts;
    channel = channel: host: host.channel == channel;
    not = select: host: !(picks select host);
    and = all: host: lib.all (select: picks select host) all;
  };

  picks = select: host: lib.all (name: takes.${name} select.${name} host) (given select);
in
{
  type = selector;

  # Whether a host `{ name, tags, channel }` is taken.
  inherit picks;

  # Every mistake of a selector; `known` holds the fleet's tags, hosts and channels as sets.
  mistakes =
    known:
    let
      check =
        path: select:
        lib.optional (given select == [ ])
          "${path}: is empty: say which hosts with tags, tagsAny, hosts, channel, not or and; all of them with all = true"
        ++ lib.optionals (select.tags != null) (names "${path}.tags" "tag" known.tags select.tags)
        ++ lib.optionals (select.tagsAny != null) (names "${path}.tagsAny" "tag" known.tags select.tagsAny)
        ++ lib.optionals (select.hosts != null) (names "${path}.hosts" "host" known.hosts select.hosts)
        ++ lib.optionals (select.channel != null) (
          names "${path}.channel" "channel" known.channels [ select.channel ]
        )
        ++ lib.optionals (select.not != null) (check "${path}.not" select.not)
        ++ lib.optionals (select.and != null) (
          lib.optional (select.and == [ ]) "${path}.and: is empty: name at least one selector, or remove it"
          ++ lib.concatLists (lib.imap0 (index: check "${path}.and[${toString index}]") select.and)
        );
    in
    check;
}
