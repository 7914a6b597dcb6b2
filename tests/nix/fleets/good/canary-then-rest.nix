# Two waves by tag, as most fleets begin.
{ lib, built, ... }:
{
  ref = "2026-05.42";
  hosts = lib.genAttrs [ "web1" "web2" "web3" ] (name: built name // { tags = [ "web" ]; }) // {
    web0 = built "web0" // {
      tags = [
        "web"
        "canary"
      ];
    };
  };
  channels.stable = { };
  policies.default = {
    waves = [
      {
        name = "canary";
        select.tags = [ "canary" ];
        wait = "1h30m";
      }
      {
        name = "rest";
        select.not.tags = [ "canary" ];
        maxInFlight = 2;
        maxFailures = 1;
        minSuccess = 2;
      }
    ];
    budgets.web = 2;
  };
}
