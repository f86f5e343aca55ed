"""The README's code runs and prints what it claims, and what it links to exists."""

from __future__ import annotations

import re
import subprocess
import sys
import textwrap
from pathlib import Path

import chatkit

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")


def fenced(language: str) -> list[str]:
    """Code blocks of one language."""
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_five_lines_print_the_endings() -> None:
    """The Python block runs as it stands; figures may differ in the last digit, words may not."""
    code, claimed = fenced("python")[0], fenced("text")[0]
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=90)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert mask(done.stdout) == mask(claimed)


_WITH_A_LAB = """
import asyncio, chatkit
with chatkit.LabServer() as lab:
    url, token = lab.url, lab.token
    async def main():
{code}
    asyncio.run(main())
"""


def test_the_other_blocks_run(tmp_path: Path) -> None:
    """Against a lab, given its URL and a token; they say how the connection stands."""
    for block in fenced("python")[1:]:
        code = _WITH_A_LAB.format(code=textwrap.indent(block, " " * 8))
        done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=90)
        assert (done.returncode, done.stderr) == (0, ""), done.stderr
        assert done.stdout.startswith("Connection 1 ")


def mask(text: str) -> str:
    """Seconds become N."""
    return re.sub(r"\d+\.\d+ s", "N s", text)


def test_links_lead_somewhere() -> None:
    """Every relative link names a file of the project."""
    for target in re.findall(r"\]\(([^)]+)\)", README):
        if not target.startswith("http"):
            assert (ROOT / target).exists(), target


def test_changelog_and_version_agree() -> None:
    """The newest section is the package's version, or what is not released yet."""
    sections = re.findall(r"^## \[([^]]+)\]", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    assert sections[0] in ("Unreleased", chatkit.__version__)


def test_commands_of_the_readme_exist() -> None:
    """Every verb in a console block is one of the command line, every make target one of the Makefile."""
    from chatkit.cli import VERBS

    makefile = (ROOT / "Makefile").read_text("utf-8")
    for block in fenced("console"):
        for line in block.splitlines():
            words = line.removeprefix("$ ").split()
            if words[0] == "chatkit":
                assert words[1] in VERBS, line
            elif words[0] == "make":
                assert f"\n{words[1]}:" in makefile, line
