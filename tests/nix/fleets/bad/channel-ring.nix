# Channels that wait for each other.
{ built, ... }:
{
  ref = "1";
  hosts = {
    web1 = built "web1" // {
      channel = "a";
    };
    web2 = built "web2" // {
      channel = "b";
    };
    web3 = built "web3" // {
      channel = "c";
    };
  };
  channels = {
    a.after = [ "b" ];
    b.after = [ "c" ];
    c.after = [ "b" ];
  };
  policies.default.waves = [
    {
      name = "all";
      select.all = true;
    }
  ];
}
