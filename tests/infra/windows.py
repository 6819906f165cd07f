"""The hooks' module of this name, which lies outside any package."""

import importlib.util
import sys
from types import ModuleType

from tests.infra.templates import INFRA


def load(name: str) -> ModuleType:
    """A hook or a module beside it, from its file."""
    hooks = str(INFRA / "hooks")
    if hooks not in sys.path:
        sys.path.append(hooks)
    spec = importlib.util.spec_from_file_location(name, INFRA / "hooks" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[f"infra_hooks_{name}"] = module
    spec.loader.exec_module(module)
    return module


windows = load("windows")
