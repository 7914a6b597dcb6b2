"""Root file systems in layers: the prepared tree below, what the scenario built above it, each host's own on top."""

from harness.command import run


class Root:
    """A file system of one writer over frozen layers; in memory, gone with the scenario."""

    def __init__(self, place, lower):
        self.place = place
        self.path = place / "root"
        self.upper = place / "upper"
        self.lower = list(lower)
        for folder in (self.path, self.upper, place / "work"):
            folder.mkdir(parents=True)
        layers = ":".join(str(layer) for layer in self.lower)
        options = f"lowerdir={layers},upperdir={self.upper},workdir={place / 'work'}"
        run(["mount", "-t", "overlay", "overlay", "-o", options, self.path])
        self.mounts = []

    def mount(self, inside, *how):
        """Mounts something below it."""
        point = self.path / inside
        point.mkdir(parents=True, exist_ok=True)
        run(["mount", *how, point])
        self.mounts.append(point)

    def freeze(self):
        """Ends its writing and returns the layers that another root may stand on."""
        for point in [*reversed(self.mounts), self.path]:
            run(["umount", "--recursive", point])
        return [self.upper, *self.lower]
