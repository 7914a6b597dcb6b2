# Budgets that let nobody start, and one that limits nobody.
{ built, ... }:
{
  ref = "1";
  hosts.web1 = built "web1" // {
    tags = [ "web" ];
  };
  channels.stable = { };
  policies.default = {
    budgets = {
      web = 0;
      db = 2;
    };
    waves = [
      {
        name = "all";
        select.all = true;
        maxInFlight = 0;
      }
    ];
  };
}
