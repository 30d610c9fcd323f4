"""Names: which models a channel serves, and what the provider calls them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from penstock.kit.globs import matches


class Names:
    """Public names, or globs of them, each with the provider's name for it; None: the same name.

    Where both have a `*`, the provider's name is made with what the public one's stands for: `router/*` to `*`. The exact name
    counts first, then the longest glob.
    """

    __slots__ = ("exact", "globs")

    def __init__(self, pairs: Iterable[tuple[str, str | None]]) -> None:
        exact: dict[str, str] = {}
        globs: list[tuple[str, str | None]] = []
        for public, served in pairs:
            if "*" in public or "?" in public:
                globs.append((public, served))
            else:
                exact[public] = served or public
        self.exact: Mapping[str, str] = exact
        self.globs = tuple(sorted(globs, key=lambda pair: (-len(pair[0]), pair[0])))

    def names(self, model: str) -> bool:
        """The model is named, or matched by something that says more than `*`."""
        return model in self.exact or any(glob != "*" and matches((glob,), model) for glob, _ in self.globs)

    def served(self, model: str) -> str | None:
        """The provider's name of a model; None if the channel does not serve it."""
        found = self.exact.get(model)
        if found is not None:
            return found
        for glob, served in self.globs:
            if glob == "*" and served is None:
                return model
            if matches((glob,), model):
                return model if served is None else _filled(glob, served, model)
        return None


def _filled(glob: str, served: str, model: str) -> str:
    if "*" not in served:
        return served
    begin, _, end = glob.partition("*")
    return served.replace("*", model[len(begin) : len(model) - len(end)], 1)


EVERY = Names([("*", None)])
