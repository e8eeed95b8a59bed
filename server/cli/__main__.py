"""`python -m server.cli` is the command `jiaohao`."""

from server.cli import main

if __name__ == "__main__":
    main()
