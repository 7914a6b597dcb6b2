# Two policies, one channel that does not say which and one that names another.
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
  };
  channels = {
    a = { };
    b.policy = "quick";
  };
  policies.one.waves = [
    {
      name = "all";
      select.all = true;
    }
  ];
  policies.two.waves = [
    {
      name = "all";
      select.all = true;
    }
  ];
}
