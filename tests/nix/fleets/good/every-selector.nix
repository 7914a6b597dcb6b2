# Each kind of selector picks one host.
{ built, ... }:
{
  ref = "selectors";
  channels.stable = { };
  hosts = {
    a = built "a" // {
      tags = [
        "x"
        "y"
      ];
    };
    b = built "b" // {
      tags = [ "x" ];
    };
    c = built "c" // {
      tags = [ "z" ];
    };
    d = built "d" // {
      tags = [ "w" ];
    };
    e = built "e";
    f = built "f";
  };
  policies.default.waves = [
    {
      name = "tags";
      select.tags = [
        "x"
        "y"
      ];
    }
    {
      name = "tags-any";
      select = {
        tagsAny = [
          "z"
          "x"
        ];
        not.tags = [ "y" ];
      };
    }
    {
      name = "hosts";
      select.hosts = [ "d" ];
    }
    {
      name = "and";
      select.and = [
        { channel = "stable"; }
        {
          not.tagsAny = [
            "x"
            "z"
            "w"
          ];
        }
        { not.hosts = [ "f" ]; }
      ];
    }
    {
      name = "all";
      select = {
        all = true;
        hosts = [ "f" ];
      };
    }
  ];
}
