"""The store itself: connection, coalescer, scripts and their headers, the embedded server."""
