# Spans that are none, too short or too long.
{ built, ... }:
{
  ref = "1";
  hosts.web1 = built "web1";
  channels.stable = { };
  policies.default = {
    soak = "5 minutes";
    failureAfter = "99ms";
    switchLimit = "7h";
    commitLimit = "31m";
    agentTimeout = "";
    waves = [
      {
        name = "all";
        select.all = true;
        wait = "31d";
      }
    ];
  };
}
