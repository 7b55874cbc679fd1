"""What of a module only type checkers see."""

import ast


def for_checkers_alone(tree):
    """Return the ids of the nodes that run nowhere: those under `if TYPE_CHECKING`."""
    return {
        id(node)
        for branch in ast.walk(tree)
        if isinstance(branch, ast.If)
        and ast.unparse(branch.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")
        for statement in branch.body
        for node in ast.walk(statement)
    }
