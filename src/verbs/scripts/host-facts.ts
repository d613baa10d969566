/** Prints the release of the C library. Also run on this host, to be compared. */
export const libcScript = 'getconf GNU_LIBC_VERSION 2>/dev/null || ldd --version 2>&1 | head -1';
