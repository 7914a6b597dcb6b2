# Two channels share a policy; a budget on a tag that only one of them has is left out of the other.
{ built, ... }:
{
  ref = "shared";
  hosts = {
    db1 = built "db1" // {
      channel = "base";
      tags = [ "db" ];
    };
    web1 = built "web1" // {
      channel = "apps";
      tags = [ "web" ];
    };
  };
  channels = {
    base = { };
    apps = { };
  };
  policies.default = {
    budgets = {
      db = 1;
      web = 3;
    };
    waves = [
      {
        name = "all";
        select.all = true;
      }
    ];
  };
}
