"""Two hosts boot their default, see each other and the cache, and fetch a signed closure through the Nix daemon."""

from harness.wait import expect, same

CORE = True


def run(fleet):
    web1, web2 = fleet.add("web1"), fleet.add("web2")
    fleet.start()
    for host in (web1, web2):
        same(host.running(), host.closure, f"{host.name} runs its first closure")
        same(host.booted(), host.closure, f"{host.name} booted it")
        same(host.default(), host.closure, f"{host.name} boots it next")
        same(host.failed(), [], f"{host.name} has no failed units")
    expect(web1.boot_id() != web2.boot_id(), "each host has a boot of its own")
    second = fleet.offer(web1, "2")
    web1.exec("useradd --system --create-home visitor")
    web1.exec(f"setpriv --reuid visitor --regid visitor --clear-groups env HOME=/home/visitor NIX_REMOTE=daemon "
              f"nix-store --realise {second} --add-root /home/visitor/kept")
    same(web1.says(f"cat {second}/nixos-version"), "2", "the fetched closure")
