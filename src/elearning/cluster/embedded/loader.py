"""What the system says when a server cannot start for want of a library."""

from __future__ import annotations

import re

__all__ = ["explain"]

GLIBC = re.compile(r"error while loading shared libraries: ([^\s:]+)")
DYLD = re.compile(r"Library not loaded: (\S+)")
OLD_GLIBC = re.compile(r"version [`']((?:GLIBC|GLIBCXX)_[\d.]+)' not found")

# Debian's package for a library; where its name changed, the older one second.
PACKAGES = {
    "libcurl.so.4": "libcurl4 (libcurl4t64 from Debian 13)",
    "libssl.so.3": "libssl3 (libssl3t64 from Debian 13)",
    "libcrypto.so.3": "libssl3 (libssl3t64 from Debian 13)",
    "liblzma.so.5": "liblzma5",
    "libxml2.so.2": "libxml2",
    "libz.so.1": "zlib1g",
    "libzstd.so.1": "libzstd1",
    "liblz4.so.1": "liblz4-1",
    "libreadline.so.8": "libreadline8 (libreadline8t64 from Debian 13)",
    "libldap-2.5.so.0": "libldap-2.5-0",
    "libgssapi_krb5.so.2": "libgssapi-krb5-2",
    "libgcc_s.so.1": "libgcc-s1",
    "libstdc++.so.6": "libstdc++6",
    "libuuid.so.1": "libuuid1",
    "libpam.so.0": "libpam0g",
    "libsystemd.so.0": "libsystemd0",
}


def explain(output: str) -> str | None:
    """Say which library a server is missing and what brings it, or None for another failure."""
    if found := GLIBC.search(output):
        library = found[1]
        if package := PACKAGES.get(library):
            return f"the library {library} is missing: on Debian it is in the package {package}"
        return f"the library {library} is missing: install the package that brings it"
    if found := DYLD.search(output):
        return f"the library {found[1]} is missing: install what brings it, by Homebrew for one"
    if found := OLD_GLIBC.search(output):
        return f"the C library is too old: the binary needs {found[1]}"
    return None
