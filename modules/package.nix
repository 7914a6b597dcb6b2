# All programs, each in an output of its own, so that a host does not download the control plane. For `callPackage`.
{
  lib,
  rustPlatform,
  installShellFiles,
  stdenv,
  # Only the operator's command, as for a laptop.
  onlyClient ? !stdenv.hostPlatform.isLinux,
}:
rustPlatform.buildRustPackage {
  pname = "convoy";
  version = (lib.importTOML ../Cargo.toml).package.version;

  src = lib.fileset.toSource {
    root = ../.;
    fileset = lib.fileset.unions [
      ../Cargo.lock
      ../Cargo.toml
      ../README.md
      ../benches
      ../docs
      ../src
      ../tests
    ];
  };
  cargoLock.lockFile = ../Cargo.lock;
  cargoBuildFlags = lib.optionals onlyClient [
    "--bin"
    "convoy"
  ];

  # The tests are a check of the flake's own: they start hundreds of processes, and need no part in a build.
  doCheck = false;

  nativeBuildInputs = [ installShellFiles ];
  outputs = [
    "out"
  ]
  ++ lib.optionals (!onlyClient) [
    "cp"
    "agent"
    "activator"
  ];

  postInstall =
    lib.optionalString (!onlyClient) ''
      moveToOutput bin/convoy-cp "$cp"
      moveToOutput bin/convoy-agent "$agent"
      moveToOutput bin/convoy-activator "$activator"
    ''
    + lib.optionalString (stdenv.buildPlatform.canExecute stdenv.hostPlatform) ''
      installShellCompletion --cmd convoy \
        --bash <($out/bin/convoy completions bash) \
        --fish <($out/bin/convoy completions fish) \
        --zsh <($out/bin/convoy completions zsh)
    '';

  meta = {
    description = "Takes a fleet of NixOS hosts from one signed release to the next, in waves, with hosts that bring themselves back";
    license = with lib.licenses; [
      mit
      asl20
    ];
    mainProgram = "convoy";
    platforms = lib.platforms.linux ++ lib.platforms.darwin;
  };
}
