"""The contract's calls over HTTP as a resident's page makes them, and what is measured of them."""
