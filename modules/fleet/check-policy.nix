# Finds the mistakes of a policy: those that it has alone, and those that show with the hosts of a channel.
{ lib }:
let
  selector = import ./selector.nix { inherit lib; };
  span = import ../span.nix { inherit lib; };
  inherit (import ./policy.nix { inherit lib; }) spans;

  days = [
    "mon"
    "tue"
    "wed"
    "thu"
    "fri"
    "sat"
    "sun"
  ];
  maxWaves = 1000;
  maxWindows = 64;
  maxBudgets = 256;

  say = builtins.toJSON;
  list = lib.concatStringsSep ", ";
  names = hosts: list (map (host: host.name) hosts);
  count = number: word: if number == 1 then "1 ${word}" else "${toString number} ${word}s";

  window =
    path: window:
    let
      times = lib.groupBy lib.id window.days;
    in
    lib.optional (window.days == [ ]) "${path}.days: is empty: this window never opens"
    ++ map (day: "${path}.days: ${say day} is not one of ${list days}") (
      lib.subtractLists days window.days
    )
    ++ map (day: "${path}.days: ${day} is named twice: remove one") (
      lib.attrNames (lib.filterAttrs (_: same: lib.length same > 1) times)
    )
    ++ lib.optional (
      builtins.match "([01][0-9]|2[0-3]):[0-5][0-9]" window.from == null
    ) "${path}.from: ${say window.from} is not an hour such as 22:00"
    ++
      lib.optional (window.minutes < 1 || window.minutes > 1440)
        "${path}.minutes: ${toString window.minutes} is not within 1 to 1440${
          lib.optionalString (window.minutes < 1) ": this window never opens"
        }";

  windows =
    path: all:
    lib.optional (
      lib.length all > maxWindows
    ) "${path}: ${toString (lib.length all)} are more than the ${toString maxWindows} that are allowed"
    ++ lib.concatLists (lib.imap0 (index: window "${path}[${toString index}]") all);

  # Days of a month; February as in a leap year, where the year says so.
  daysOf =
    year: month:
    if month == 2 then
      (if lib.mod year 4 == 0 && (lib.mod year 100 != 0 || lib.mod year 400 == 0) then 29 else 28)
    else if
      lib.elem month [
        4
        6
        9
        11
      ]
    then
      30
    else
      31;

  date =
    path: text:
    let
      parts = builtins.match "([0-9]{4})-(0[1-9]|1[0-2])-([0-2][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]Z" text;
      number = index: lib.toIntBase10 (builtins.elemAt parts index);
    in
    lib.optional (
      parts == null || number 2 < 1 || number 2 > daysOf (number 0) (number 1)
    ) "${path}: ${say text} is not a date such as 2026-05-01T12:00:00Z";

  wave =
    known: path: wave:
    lib.optional (builtins.match "[A-Za-z0-9][A-Za-z0-9._-]{0,63}" wave.name == null)
      "${path}.name: ${say wave.name} is no wave's name: 1 to 64 of a-z A-Z 0-9 . _ -, the first a letter or digit"
    ++ selector.mistakes known "${path}.select" wave.select
    ++ lib.optional (
      wave.minSuccess == 0
    ) "${path}.minSuccess: 0 would prove nothing before the next wave: at least 1"
    ++ lib.optional (
      wave.maxInFlight == 0
    ) "${path}.maxInFlight: 0 lets nobody start: at least 1, or leave it out"
    ++ lib.optionals (wave.wait != "0s") (span.mistakes "${path}.wait" wave.wait "1ms" "30d")
    ++ lib.optionals (wave.notBefore != null) (date "${path}.notBefore" wave.notBefore)
    ++ lib.optionals (wave.windows != null) (windows "${path}.windows" wave.windows);

  budget =
    known: path: tag: limit:
    lib.optional (limit == 0) "${path}.${tag}: 0 lets nobody start: at least 1"
    ++ lib.optional (
      !known.tags ? ${tag}
    ) "${path}.${tag}: no host has this tag: tag the hosts or remove the budget";

  limits =
    path: rules:
    let
      millis = name: span.toMillis rules.${name};
      both = millis "commitLimit" != null && millis "isolationLimit" != null;
    in
    lib.concatLists (
      lib.mapAttrsToList (name: most: span.mistakes "${path}.${name}" rules.${name} "100ms" most) spans
    )
    ++
      lib.optional (both && millis "commitLimit" > millis "isolationLimit")
        "${path}.commitLimit: is more than isolationLimit: a host that hears from its control plane late could not commit";
in
{
  # What is wrong whatever the hosts are.
  alone =
    known: path: rules:
    let
      waveNames = lib.groupBy lib.id (map (wave: wave.name) rules.waves);
    in
    lib.optional (rules.waves == [ ]) "${path}.waves: there is none: at least one is needed"
    ++
      lib.optional (lib.length rules.waves > maxWaves)
        "${path}.waves: ${toString (lib.length rules.waves)} are more than the ${toString maxWaves} that are allowed"
    ++ map (name: "${path}.waves: two are called ${name}: rename one") (
      lib.attrNames (lib.filterAttrs (_: same: lib.length same > 1) waveNames)
    )
    ++ lib.concatLists (lib.imap0 (index: wave known "${path}.waves[${toString index}]") rules.waves)
    ++ windows "${path}.windows" rules.windows
    ++ lib.optional (
      rules.windows != [ ] && rules.waves != [ ] && lib.all (wave: wave.windows != null) rules.waves
    ) "${path}.windows: every wave has windows of its own: remove these"
    ++ lib.optional (
      lib.length (lib.attrNames rules.budgets) > maxBudgets
    ) "${path}.budgets: more than ${toString maxBudgets} are not possible"
    ++ lib.concatLists (lib.mapAttrsToList (budget known "${path}.budgets") rules.budgets)
    ++ limits path rules;

  # What is wrong with the hosts of this channel: `channel.waves` are the policy's, with the hosts that each takes.
  inChannel =
    rules: channel:
    let
      path = "policies.${channel.policy}";
      placed = lib.concatLists (
        lib.imap0 (
          index: wave:
          map (host: {
            inherit (host) name;
            inherit index;
          }) wave.members
        ) channel.waves
      );
      places = lib.mapAttrs (_: map (one: one.index)) (lib.groupBy (one: one.name) placed);
      at = index: "waves[${toString index}]";

      place =
        host:
        let
          own = places.${host.name} or [ ];
        in
        if own == [ ] then
          [ "hosts.${host.name}: is in no wave of ${path}: select it in one" ]
        else
          lib.optional (lib.length own > 1)
            "hosts.${host.name}: is in ${
              lib.concatMapStringsSep " and " at own
            } of ${path}: one wave for each host";

      later =
        host:
        let
          own = lib.head places.${host.name};
          isLater = name: lib.head places.${name} > own;
          ahead = lib.filter (name: places ? ${name} && isLater name) host.after;
        in
        lib.optionals (places ? ${host.name}) (
          map (
            name:
            "hosts.${host.name}.after: ${name} is in a later wave of ${path}, which opens only after this one"
          ) ahead
        );

      counts =
        index: wave:
        let
          number = lib.length wave.members;
          where = "of channel ${channel.name}";
        in
        if number == 0 then
          lib.optional (channel.members != [ ])
            "${path}.${at index}.select: takes no host ${where}: change it, or give the channel a policy of its own"
        else
          lib.optional (wave.minSuccess > number)
            "${path}.${at index}.minSuccess: ${toString wave.minSuccess} can't be reached by the ${count number "host"} ${where}: ${names wave.members}"
          ++
            lib.optional (wave.maxFailures > number)
              "${path}.${at index}.maxFailures: ${toString wave.maxFailures} is more than the ${count number "host"} ${where}: ${names wave.members}";
    in
    lib.concatMap place channel.members
    ++ lib.concatMap later channel.members
    ++ lib.concatLists (lib.imap0 counts channel.waves);
}
