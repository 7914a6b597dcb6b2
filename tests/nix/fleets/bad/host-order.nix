# Orders that cannot be kept: unknown, twice, of another channel, of a later wave.
{ built, ... }:
{
  ref = "1";
  hosts = {
    web1 = built "web1" // {
      channel = "a";
      after = [
        "web2"
        "web9"
        "db1"
        "web2"
      ];
    };
    web2 = built "web2" // {
      channel = "a";
    };
    db1 = built "db1" // {
      channel = "b";
    };
  };
  channels = {
    a.policy = "two";
    b.policy = "one";
  };
  policies.one.waves = [
    {
      name = "all";
      select.all = true;
    }
  ];
  policies.two.waves = [
    {
      name = "first";
      select.hosts = [ "web1" ];
    }
    {
      name = "second";
      select.hosts = [ "web2" ];
    }
  ];
}
