"""Great Expectations' Data Docs as pages that need nothing but themselves: its own load styles and scripts from afar.

Before it: `tasks/validate_suites.py` has the suites validated. What a page is made of here, `page.j2`, `style.css` and
`bootstrap_table.j2`, goes before the library's templates. It imports the library: import it where it is needed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from great_expectations.render.view.view import DefaultJinjaPageView
from jinja2 import ChoiceLoader, FileSystemLoader

_VIEW = {"module_name": __name__, "class_name": "PlainPageView"}


class PlainPageView(DefaultJinjaPageView):
    """A page of plain HTML."""

    def __init__(self, custom_styles_directory: str | None = None, custom_views_directory: str | None = None) -> None:
        super().__init__(custom_styles_directory, custom_views_directory)
        others = [self.env.loader] if self.env.loader else []
        self.env.loader = ChoiceLoader([FileSystemLoader(Path(__file__).parent), *others])


def site(folder: Path) -> dict[str, Any]:
    """Configure a site of such pages in a folder."""
    sections = ("expectations", "validations", "profiling")
    return {
        "class_name": "SiteBuilder",
        "show_how_to_buttons": False,
        "site_index_builder": {"class_name": "DefaultSiteIndexBuilder", "view": _VIEW},
        "site_section_builders": {name: {"view": _VIEW} for name in sections},
        "store_backend": {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(folder)},
    }
