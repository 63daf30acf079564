"""
How Sphinx makes these pages: `make docs`.

They are plain reStructuredText, so that they can be read as they are; a link to another page names
its file.
"""

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx

from jobcluster import __version__

project = "jobcluster"
author = "The jobcluster authors"
project_copyright = author
release = version = __version__

extensions = ["sphinx.ext.doctest"]
exclude_patterns = ["_build"]
nitpicky = True
smartquotes = False  # what is set as code, and what is said about options, is meant as it stands

html_theme = "alabaster"
html_theme_options = {"description": "A scheduler for jobs", "page_width": "64em"}
html_show_sphinx = False
html_copy_source = False

# An example is Python only where it begins with a prompt.
doctest_test_doctest_blocks = "default"
highlight_language = "none"


def link_pages(app: Sphinx, document: nodes.document) -> None:
    """
    Have links to the files of other pages lead to the pages.
    """
    for link in list(document.findall(nodes.reference)):
        target = link.get("refuri", "")
        if target.endswith(".rst") and ":" not in target:
            page = addnodes.pending_xref(
                "",
                refdomain="std",
                reftype="doc",
                reftarget=target.removesuffix(".rst"),
                refexplicit=True,
                refdoc=app.env.docname,
                refwarn=True,
            )
            page += nodes.inline("", link.astext())
            link.replace_self(page)


def setup(app: Sphinx) -> None:
    """
    Called by Sphinx.
    """
    app.connect("doctree-read", link_pages)
