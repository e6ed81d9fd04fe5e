"""Where the library keeps files between runs."""

from __future__ import annotations

import os
from pathlib import Path


def cache_dir() -> Path:
    """Names the folder for files that the library may fetch or compute again.

    It is the environment variable `PYRODIS_CACHE` where that is set and not empty, else the user's cache folder of
    the platform. The folder is not created.

    Returns:
        An absolute path.

    Example:
        >>> cache_dir().is_absolute()
        True
    """
    chosen = os.environ.get("PYRODIS_CACHE")
    if chosen:
        return Path(chosen).expanduser().absolute()
    import platformdirs

    return Path(platformdirs.user_cache_dir("pyrodis", appauthor=False)).absolute()
