"""What the code says of its own fields and constants: the strings beneath them."""

import ast
import inspect
from collections.abc import Iterator, Mapping
from itertools import pairwise
from types import ModuleType


def of_class(kind: type) -> Mapping[str, str]:
    """Give the docstring of each annotated field of a class that has one."""
    (tree,) = ast.parse(inspect.cleandoc(inspect.getsource(kind))).body
    assert isinstance(tree, ast.ClassDef)
    return dict(_documented(tree.body))


def of_module(module: ModuleType) -> Mapping[str, str]:
    """Give the docstring of each constant of a module that has one."""
    return dict(_documented(ast.parse(inspect.getsource(module)).body))


def _documented(body: list[ast.stmt]) -> Iterator[tuple[str, str]]:
    for statement, after in pairwise(body):
        match statement, after:
            case ast.AnnAssign(target=ast.Name(name)), ast.Expr(ast.Constant(str(text))):
                yield name, " ".join(text.split())
