"""What a course's own text says, read without running it."""

from __future__ import annotations

import ast
import re
import sys
import warnings
from importlib.machinery import PathFinder
from importlib.util import decode_source
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec

# As each course's own text has them.
_ORDERS = {
    "nndl": ["input_dim", "hidden_dims", "num_classes", "dropout", "weight_scale", "reg"],
    "cs231n": ["input_dim", "hidden_dim", "num_classes", "weight_scale", "reg"],
}
_DROPS_OR_KEEPS = re.compile(
    r"\b(drop|keep|retain)(?:s|p?ed|p?ing)?\b[^.]{0,60}?\bprobability\b"
    r"|\bprobability\s+(?:of|that|to)\b[^.]{0,40}?\b(drop|kep|keep|retain)(?:s|t|p?ed|p?ing)?\b",
    re.IGNORECASE,
)


def find(name: str) -> ModuleSpec | None:
    """Return the spec of a module of the course, found without importing anything, or None."""
    path, spec, full = None, None, ""
    for part in name.split("."):
        full = f"{full}.{part}" if full else part
        # by its last name alone: where to look is said by path
        spec = PathFinder.find_spec(part, path)
        loaded = getattr(sys.modules.get(full), "__path__", None)
        path = list(loaded or getattr(spec, "submodule_search_locations", None) or [])
        if spec is None and not path:
            return None
    return spec


def of(name: str) -> str:
    """Return the text of a module of the course, empty if there is none or it cannot be read."""
    spec = find(name)
    if spec is None or not spec.has_location or not (spec.origin or "").endswith(".py"):
        return ""
    try:
        return decode_source(Path(str(spec.origin)).read_bytes())
    except (OSError, SyntaxError, UnicodeDecodeError):
        return ""


def two_layer_order(package: str) -> str:
    """Say whose order of arguments the course's TwoLayerNet has, 'cs231n' or 'nndl'.

    Where there is no such text, or it is neither, the package's name decides.
    """
    for module in ("classifiers.fc_net", "fc_net"):
        names = _arguments_of(of(f"{package}.{module}"), "TwoLayerNet")
        for order, expected in _ORDERS.items():
            if names[: len(expected)] == expected:
                return order
    return "cs231n" if package.rpartition(".")[2] == "cs231n" else "nndl"


def _arguments_of(text: str, name: str) -> list[str]:
    """Return the names of the arguments of a class's constructor, without self."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its escape sequences, which an import warns of
        try:
            tree = ast.parse(text)
        except (SyntaxError, ValueError):
            return []
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and node.name == name:
            for method in node.body:
                if isinstance(method, ast.FunctionDef) and method.name == "__init__":
                    return [argument.arg for argument in method.args.args[1:]]
    return []


def dropout_convention(name: str) -> tuple[str, str | None]:
    """Return what dropout's p is the probability of, as a module says, and why, or None.

    The docstring of ``dropout_forward`` decides.  That of nndl's copies says dropping in some where
    code and recorded figures keep: there the code decides, and so it does without a docstring.
    """
    text = of(name)
    said = documented_convention(text)
    if said is not None and not (said == "drop" and is_nndls(f"{name} {text}")):
        verb = "dropping" if said == "drop" else "keeping"
        return said, f"dropout's p is the probability of {verb}, as {name} says"
    coded = _coded_convention(text)
    if coded is not None:
        verb = "dropping" if coded == "drop" else "keeping"
        return coded, f"dropout's p is the probability of {verb}, as the code of {name} has it"
    if said is not None:
        return "keep", (
            f"dropout's p is the probability of keeping, as in nndl's recorded figures, though the "
            f'text of {name} says dropping, for which there is dropout_convention="drop"'
        )
    return "keep", None


def documented_convention(text: str) -> str | None:
    """Return 'drop' or 'keep', as the docstring of dropout_forward in a text says, or None."""
    docstring = re.search(r'("""|\'\'\')(.*?)\1', _function(text, "dropout_forward"), re.DOTALL)
    return convention_in(docstring[2]) if docstring else None


def convention_in(docstring: str) -> str | None:
    """Return 'drop' or 'keep', as a docstring says, or None."""
    found = _DROPS_OR_KEEPS.search(" ".join(docstring.split()))
    if not found:
        return None
    return "drop" if (found[1] or found[2]).lower() == "drop" else "keep"


def is_nndls(text: str) -> bool:
    """Whether a text is of nndl, whose docstrings say what its figures do not."""
    return re.search(r"\bnndl\b|\bUCLA\b|239AS|\bC[12]47\b", text) is not None


def _function(text: str, name: str) -> str:
    """Return the text of a function, up to what follows it at the margin; may be unfinished."""
    found = re.search(rf"^def {name}\b.*?(?=^[^\s#)\"'\]]|\Z)", text, re.DOTALL | re.MULTILINE)
    return found[0] if found else ""


def _coded_convention(text: str) -> str | None:
    """Return 'drop' or 'keep', by what the code of dropout_forward divides and compares, or None.

    Dividing by p keeps, by 1 - p drops; so does rand < p, and rand > p.
    """
    code = re.sub(r'("""|\'\'\').*?\1|#[^\n]*', "", _function(text, "dropout_forward"), flags=re.S)
    code = re.sub(r"\s|dropout_param\[.p.\](?!=)", lambda m: "" if m[0].isspace() else "p", code)
    drops = re.search(r"/\(?\(?1\.?0?-p\b|>=?p\b|<=?\(?1\.?0?-p\b", code) is not None
    keeps = re.search(r"/\(?p\b|<=?p\b|>=?\(?1\.?0?-p\b", code) is not None
    if drops == keeps:
        return None
    return "drop" if drops else "keep"
