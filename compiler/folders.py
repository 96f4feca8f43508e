"""Where Lamina keeps what it has built.

In: the environment. Out: the cache folder's path. Holds: nothing is looked up or created until someone asks.
"""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """The folder that LAMINA_CACHE names, else the platform's cache folder of the user; it need not exist."""
    configured = os.environ.get("LAMINA_CACHE")
    if configured:
        return Path(configured).expanduser()
    import platformdirs

    return Path(platformdirs.user_cache_path("lamina", appauthor=False))


def private_folder(path: Path) -> bool:
    """Makes the folder for its owner alone; False where it is another's or cannot be made."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = path.stat()
    except OSError:
        return False
    return not hasattr(os, "getuid") or (status.st_uid == os.getuid() and not status.st_mode & 0o022)
