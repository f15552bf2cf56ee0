"""What a result was computed by."""

import platform
from importlib import metadata


def installed_versions() -> dict[str, str]:
    """Give the versions of Python and of the packages that compute a result."""
    versions = {"python": platform.python_version()}
    for name in ("chorus-edge", "numpy", "tensorflow-cpu", "tensorflow", "keras"):
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions
