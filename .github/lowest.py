"""Print pip constraints that hold every dependency of pyproject.toml to its lower bound: `name==bound`, one a line."""

import re
import tomllib
from pathlib import Path

PROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
BOUND = re.compile(r"(?P<name>[\w.-]+)(\[[\w,]+\])?>=(?P<lowest>[\w.]+)")


def main() -> None:
    """Extras of our own, `name[cluster]`, have no bound; any other dependency without one is an error."""
    groups = (PROJECT["dependencies"], *PROJECT["optional-dependencies"].values())
    constraints = set()
    for dependency in (entry for group in groups for entry in group):
        if dependency.startswith(f"{PROJECT['name']}["):
            continue
        if (bound := BOUND.fullmatch(dependency)) is None:
            raise SystemExit(
                f"a dependency must have a lower bound and nothing else, got {dependency!r}; write name>=1"
            )
        constraints.add(f"{bound['name']}=={bound['lowest']}")
    print("\n".join(sorted(constraints)))


if __name__ == "__main__":
    main()
