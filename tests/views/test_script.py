"""The explorer's modules come together: in order, complete, each name once."""

from __future__ import annotations

import re

from chatkit.views.script import _FOLDER, MODULES, explorer_script, imports


def text(name: str) -> str:
    return (_FOLDER / f"{name}.js").read_text("utf-8")


def test_every_module_is_in_the_order_and_imports_only_what_stands_before_it() -> None:
    assert sorted(MODULES) == sorted(path.stem for path in _FOLDER.glob("*.js"))
    for place, name in enumerate(MODULES):
        assert set(imports(text(name))) <= set(MODULES[:place]), name


def test_imported_names_are_exported_where_they_are_said_to_be() -> None:
    for name in MODULES:
        for wanted, home in re.findall(r'^import\s+\{([^}]*)\}\s+from\s+"\./(\w+)\.js";', text(name), re.MULTILINE):
            exported = " ".join(re.findall(r"^export .*", text(home), re.MULTILINE))
            for one in filter(None, (part.strip() for part in wanted.split(","))):
                assert re.search(rf"\b{one}\b", exported), f"{name} wants {one} of {home}"


def test_one_scope_without_imports_and_with_each_name_once() -> None:
    script = explorer_script()
    assert not re.search(r"^import\b", script, re.MULTILINE)
    assert len(re.findall(r"^export\b", script, re.MULTILINE)) == 1
    names = re.findall(r"^(?:async )?(?:class|function|const|let) (\w+)", script, re.MULTILINE)
    assert len(names) > 20
    assert sorted(names) == sorted(set(names))
