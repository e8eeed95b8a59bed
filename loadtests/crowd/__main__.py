"""`python -m loadtests.crowd`: write the files that a server under test must import."""

from loadtests.crowd.files import main

main()
