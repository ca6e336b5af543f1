"""Reads the source: its files, what they import, and the names that they give."""

import ast
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from tests.support.paths import ROOT


def sources(folder: Path) -> list[Path]:
    """List the Python files below a folder."""
    return sorted(folder.rglob("*.py"))


def relative(path: Path) -> str:
    """Return the path as seen from the top of the checkout."""
    return str(path.relative_to(ROOT))


def imports(tree: ast.Module) -> Iterator[str]:
    """Yield the full name of everything imported, wherever it stands: ``from a import b`` gives ``a.b``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute here"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def within(name: str, *packages: str) -> bool:
    """Say whether a full name is one of these packages or stands in one of them."""
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def modules_of(package: Path) -> dict[str, str]:
    """Return the source of each module of a package, by its full name."""
    modules = {}
    for path in sources(package):
        parts = path.relative_to(package.parent).with_suffix("").parts
        modules[".".join(parts).removesuffix(".__init__")] = path.read_text()
    return modules


def import_graph(modules: Mapping[str, str]) -> dict[str, set[str]]:
    """Return what each module imports: other modules of these by their own names, all else as it is imported.

    Whoever imports ``a.b.c`` runs ``a.b`` as well, but for the package that holds them all, ``a``, which is counted
    only where it is asked for.
    """

    def packages_of(module: str) -> Iterator[str]:
        while (module := module.rpartition(".")[0]).count("."):
            yield module

    def module_of(name: str) -> str:
        """Take off what a name has behind its module: a function, a class."""
        while name not in modules and "." in name:
            name = name.rpartition(".")[0]
        return name

    graph: dict[str, set[str]] = {}
    for module, source in modules.items():
        graph[module] = set()
        for name in imports(ast.parse(source)):
            reached = module_of(name)
            if reached not in modules:
                graph[module].add(name)
                continue
            graph[module].add(reached)
            graph[module] |= {package for package in packages_of(reached) if package in modules}
        graph[module].discard(module)
    return graph


def forbidden_chains(start: str, graph: Mapping[str, set[str]], is_allowed: Callable[[str], bool]) -> list[str]:
    """List the shortest way from a module to each name that it reaches and may not; nothing behind it is looked at."""
    chains: list[tuple[str, ...]] = [(start,)]
    reached = {start}
    forbidden = []
    for chain in chains:
        for name in sorted(graph.get(chain[-1], set()) - reached):
            reached.add(name)
            if is_allowed(name):
                chains.append((*chain, name))
            else:
                forbidden.append(" → ".join((*chain, name)))
    return forbidden


def iterate_defined_names(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Yield each name that a source gives to a function, class, parameter, variable or attribute, and its line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name, node.lineno
        elif isinstance(node, ast.arg):
            yield node.arg, node.lineno
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id, node.lineno
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr, node.lineno
