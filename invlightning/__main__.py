"""``python -m invlightning`` is the command ``invlightning``."""

from invlightning.cli import main

if __name__ == "__main__":
    main()
