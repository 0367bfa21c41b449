"""The description that a package index shows: README.md, whose links to files of the repository lead nowhere there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

# A link to a file beside the README, not to an address.
_LINK = re.compile(r"\[([^\]]+)\]\((?![a-z]+:)([^)]+)\)")
_WHERE = "\nFiles that are named here are in the source distribution, and in the repository.\n"


def without_links(text: str) -> str:
    """Return `text` with the names of files in the place of links to them."""

    def name(link: re.Match[str]) -> str:
        words, path = link.groups()
        return path if path.startswith(words) else f"{words} ({path})"

    return _LINK.sub(name, text) + _WHERE


class DescriptionHook(MetadataHookInterface):
    """Is asked by hatchling for what pyproject.toml calls dynamic."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Add the description to `metadata`."""
        text = Path(self.root, "README.md").read_text(encoding="utf-8")
        metadata["readme"] = {"content-type": "text/markdown", "text": without_links(text)}
