# Two channels, and a host that does not say which.
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
    web3 = built "web3";
  };
  channels = {
    a = { };
    b = { };
  };
  policies.default.waves = [
    {
      name = "all";
      select.all = true;
    }
  ];
}
