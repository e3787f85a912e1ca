"""What tests share; an assertion that fails here shows its values, as one in a test does."""

from pathlib import Path

import pytest

pytest.register_assert_rewrite(*(f"{__name__}.{part.stem}" for part in Path(__file__).parent.iterdir()))
