"""How Sphinx builds these pages: `make docs`."""

import latex2mathml.converter
from docutils import nodes

import fastfc

project = "fastfc"
author = "The fastfc developers"
version = release = fastfc.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "numpydoc"]
myst_enable_extensions = ["dollarmath", "amsmath"]
myst_heading_anchors = 3
# Links to files outside this folder, as README and CONTRIBUTING: here they are plain text, and
# tests/package/test_documents.py follows them.
suppress_warnings = ["myst.xref_missing"]

# extras that are too large to read their functions' docstrings
autodoc_mock_imports = ["google", "onnx", "skl2onnx", "torch"]

html_theme = "furo"
html_title = f"fastfc {version}"
html_show_sourcelink = False
html_copy_source = False

autodoc_member_order = "bysource"
autodoc_typehints = "none"  # types stand in the docstrings
autodoc_default_options = {"members": True, "show-inheritance": False}
numpydoc_show_class_members = False
numpydoc_xref_param_type = False

html_math_renderer = "mathml"  # of every browser, without a script from elsewhere


def _write_formula(display):
    def write(translator, node):
        formula = latex2mathml.converter.convert(node.astext(), display=display)
        if display == "block":
            formula = f'<div class="math" style="overflow-x: auto">{formula}</div>'
        translator.body.append(formula)
        raise nodes.SkipNode

    return write


def setup(app):
    """Add the writer of formulas."""
    inline, block = (_write_formula(display) for display in ("inline", "block"))
    app.add_html_math_renderer("mathml", (inline, None), (block, None))
