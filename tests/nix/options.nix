# docs/options.md: the options of modules and fleet, as text. `lib` is that of nixpkgs; nothing else of it is needed.
{ lib }:
let
  # What the modules take from `pkgs` before any option is set.
  pkgs.formats.json = _: {
    type = lib.types.json // {
      description = "JSON value";
    };
  };

  ofModules =
    modules:
    (lib.evalModules {
      modules = modules ++ [
        {
          _module.check = false;
          _module.args = { inherit pkgs; };
        }
      ];
    }).options;

  # One value as it is written in Nix: in the line where it is short, in a block of its own where it is not.
  text = value: lib.removeSuffix "\n" value.text;
  inline = value: !lib.hasInfix "\n" (text value) && lib.stringLength (text value) <= 60;
  show = word: value: if inline value then " · *${word}* `${text value}`" else "";
  block = word: value: lib.optionalString (!inline value) "\n*${word}*\n```nix\n${text value}\n```\n";

  entry =
    option:
    let
      part = render: word: lib.optionalString (option ? ${word}) (render word option.${word});
    in
    ''
      ### `${lib.concatStringsSep "." option.loc}`
      ${lib.removeSuffix "\n" option.description}

      *type* ${option.type}${part show "default"}${part show "example"}
    ''
    + part block "default"
    + part block "example";

  section =
    title: options:
    let
      listed = lib.filter (
        option: option.visible && !option.internal && lib.head option.loc != "_module"
      ) (lib.optionAttrSetToDocList options);
    in
    "## ${title}\n\n" + lib.concatMapStringsSep "\n" entry listed;
in
''
  # The options

  Written by `tests/nix/run --bless` from the modules themselves. Spans of time are texts such as `90s`, `30m`, `12h`, `14d`
  or `1h30m`; hours and dates are in UTC.

  - [Agent](#agent): `nixosModules.agent`, on every host of the fleet.
  - [Control plane](#control-plane): `nixosModules.control-plane`, on one machine.
  - [Trust](#trust): with both of them.
  - [Fleet](#fleet): the module that `lib.mkFleet` takes.

''
+ lib.concatStringsSep "\n" [
  (section "Agent" (ofModules [ ../../modules/agent.nix ]).services.convoy.agent)
  (section "Control plane"
    (ofModules [ ../../modules/control-plane.nix ]).services.convoy.controlPlane
  )
  (section "Trust" (ofModules [ ../../modules/trust.nix ]).services.convoy.trust)
  (section "Fleet" (ofModules [ ../../modules/fleet.nix ]))
]
