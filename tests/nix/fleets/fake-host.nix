# A host that looks like what `nixosSystem` returns, as far as a fleet looks at it, with a store path that is given.
{ lib }:
{
  closure,
  modules ? [ ],
}:
lib.evalModules {
  modules = [
    {
      options.services.convoy.agent = {
        enable = lib.mkOption {
          type = lib.types.bool;
          default = true;
        };
        host = lib.mkOption {
          type = lib.types.str;
          default = "unnamed";
        };
        healthChecks = (import ../../../modules/probes.nix { inherit lib; }).option "Probes.";
      };
      options.system.build.toplevel = lib.mkOption { default = closure; };
    }
  ]
  ++ modules;
}
